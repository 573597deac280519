"""A provider for benchmarks: fixed pace, and every token says when it was written.

Six agents answer at once; the four that run side by side in dataflow mode (SEO, metrics, summary,
social) stream `TOKENS` tokens at `RATE` tokens/s. A token is a space and the milliseconds of the
wall clock, modulo ten million, so that whoever sees it can tell how long it travelled.

    python -m benchmarks.paced_provider PORT
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator

from aiohttp import web

RATE = 50.0  # tokens/s of each paced agent
TOKENS = 350
MODULO_MS = 10_000_000

_PLAN = {
    "title": "Paced",
    "angle": "a",
    "intent": "i",
    "outline": [
        {"id": f"s{n}", "heading": f"H{n}", "goal": "g", "key_questions": [], "word_budget": 100}
        for n in (1, 2)
    ],
    "search_queries": [{"query": "heat pumps", "reason": "r"}],
    "keywords": ["k"],
    "out_of_scope": [],
}
_ARTICLE = "# Paced\n\nText.\n\n## One\n\nText.\n\n## Two\n\nText."
_AT_ONCE = {
    "topic_planner": json.dumps(_PLAN),
    "web_researcher": json.dumps({"findings": [], "gaps": [], "conflicts": []}),
    "kb_researcher": json.dumps({"findings": [], "gaps": [], "conflicts": []}),
    "content_writer": _ARTICLE,
    "editor": _ARTICLE,
    "publisher": json.dumps({"title": "Paced", "standfirst": "", "edits": [], "not_applied": []}),
}
# what stands before and after the paced tokens, so that the whole fits the agent's schema
_PACED = {
    "seo_specialist": (
        '{"title":"t","meta_description":"m","slug":"s","focus_keyword":"f",'
        '"secondary_keywords":[],"search_intent":"informational","tags":[],"suggestions":["',
        '"]}',
    ),
    "metrics_analyzer": ('{"interpretation":"', '","audience_fit":"a","recommendations":[]}'),
    "summary_writer": ('{"tldr":"t","abstract":"a","key_points":["b","c","', '"]}'),
    "social_promoter": (
        '{"posts":[{"platform":"linkedin","variant":"a","hashtags":[],"text":"',
        '"}]}',
    ),
}


def now_token() -> str:
    return f" {int(time.time() * 1000) % MODULO_MS:07d}"


async def _pieces(agent: str) -> AsyncIterator[str]:
    if agent not in _PACED:
        yield _AT_ONCE.get(agent, "ok")
        return
    before, after = _PACED[agent]
    yield before
    start = time.monotonic()
    for n in range(TOKENS):
        await asyncio.sleep(max(0.0, start + n / RATE - time.monotonic()))
        yield now_token()
    yield after


async def completions(request: web.Request) -> web.StreamResponse:
    body = await request.json()
    agent = str(body["messages"][0]["content"]).split("\n", 1)[0].removeprefix("Agent: ")
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    async for piece in _pieces(agent):
        await response.write(_chunk({"content": piece}, None))
    await response.write(_chunk({}, "stop") + b"data: [DONE]\n\n")
    await response.write_eof()
    return response


def _chunk(delta: dict[str, str], finish: str | None) -> bytes:
    chunk = {
        "id": "c",
        "object": "chat.completion.chunk",
        "created": 0,
        "model": "paced",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


async def models(_request: web.Request) -> web.Response:
    return web.json_response({"object": "list", "data": [{"id": "paced", "object": "model"}]})


def main() -> None:
    app = web.Application()
    app.router.add_post("/v1/chat/completions", completions)
    app.router.add_get("/v1/models", models)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)


if __name__ == "__main__":
    main()
