"""What the mock server writes: an answer that fits the agent's schema, in exactly so many chunks.

Pure, and made once per agent and size: the server only copies bytes while it is measured.
"""

from __future__ import annotations

import json
from functools import cache
from itertools import pairwise

from benchmarks.workload import MODEL

CHARS_PER_TOKEN = 4
_PROSE = (
    "Old buildings lose most of their heat through the roof and the walls, so the first thing to "
    "measure is where it goes. A short list of readings taken on a cold morning tells more than "
    "any table. "
)
_HEAD = {
    "id": "chatcmpl-bench0123456789abcdef",
    "object": "chat.completion.chunk",
    "created": 1_735_689_600,
    "model": MODEL,
    "system_fingerprint": "fp_0123456789",
}


@cache
def chunks(agent: str, tokens: int, sections: int) -> tuple[bytes, ...]:
    """The answer's SSE events as HTTP chunks: one per token, before the tail."""
    text = answer(agent, tokens, sections)
    cuts = [len(text) * n // tokens for n in range(tokens + 1)]
    pieces = [text[a:b] for a, b in pairwise(cuts)]
    return tuple(_event({"content": piece}) for piece in pieces)


@cache
def head() -> bytes:
    """The first event: a role and no text."""
    return _event({"role": "assistant", "content": ""})


@cache
def tail(tokens: int) -> bytes:
    """Finish reason, usage, `[DONE]` and the end of the body, in one write."""
    usage = {"prompt_tokens": 500, "completion_tokens": tokens, "total_tokens": 500 + tokens}
    last = _sse(json.dumps({**_HEAD, "choices": [], "usage": usage}))
    return _event({}, "stop") + _http_chunk(last) + _http_chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"


def answer(agent: str, tokens: int, sections: int) -> str:
    """A valid answer of about four characters a token; longer when the schema needs it."""
    size = tokens * CHARS_PER_TOKEN
    name, _, part = agent.partition("/")
    make = _ANSWERS.get(name)
    if make is None:
        return _markdown(f"## Part {part}" if part else "# Heat in old buildings", size)
    bare = json.dumps(make("", sections))
    return json.dumps(make(_prose(size - len(bare)), sections))


def _event(delta: dict[str, str], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return _http_chunk(_sse(json.dumps({**_HEAD, "choices": [choice], "usage": None})))


def _sse(data: str) -> bytes:
    return b"data: " + data.encode() + b"\n\n"


def _http_chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _prose(chars: int) -> str:
    chars = max(1, chars)
    return (_PROSE * (chars // len(_PROSE) + 1))[:chars]


def _markdown(heading: str, chars: int) -> str:
    start = f"{heading}\n\n"
    return start + _prose(chars - len(start)).rstrip() + "\n"


def _plan(filler: str, sections: int) -> dict[str, object]:
    outline = [
        {"id": f"s{n}", "heading": f"Part {n}", "goal": "g", "key_questions": [], "word_budget": 90}
        for n in range(1, sections + 1)
    ]
    return {
        "title": "Heat",
        "angle": filler,
        "intent": "i",
        "outline": outline,
        "search_queries": [{"query": "heat", "reason": "r"}],
        "keywords": ["heat"],
        "out_of_scope": [],
    }


def _findings(filler: str, _sections: int) -> dict[str, object]:
    return {"findings": [], "gaps": [filler], "conflicts": []}


def _seo(filler: str, _sections: int) -> dict[str, object]:
    return {
        "title": "Heat",
        "meta_description": "m",
        "slug": "heat",
        "focus_keyword": "heat",
        "secondary_keywords": [],
        "search_intent": "informational",
        "tags": [],
        "suggestions": [filler],
    }


def _metrics(filler: str, _sections: int) -> dict[str, object]:
    return {"interpretation": filler, "audience_fit": "a", "recommendations": []}


def _publisher(filler: str, _sections: int) -> dict[str, object]:
    return {"title": "Heat", "standfirst": "", "edits": [], "not_applied": [filler]}


def _summary(filler: str, _sections: int) -> dict[str, object]:
    return {"tldr": "t", "abstract": "a", "key_points": ["b", "c", filler]}


def _social(filler: str, _sections: int) -> dict[str, object]:
    half = len(filler) // 2
    texts = (filler[:half] or "x", filler[half:] or "x")
    platforms = ("linkedin", "mastodon")
    return {
        "posts": [
            {"platform": p, "variant": "a", "text": t, "hashtags": []}
            for p, t in zip(platforms, texts, strict=True)
        ]
    }


_ANSWERS = {
    "topic_planner": _plan,
    "web_researcher": _findings,
    "kb_researcher": _findings,
    "seo_specialist": _seo,
    "metrics_analyzer": _metrics,
    "publisher": _publisher,
    "summary_writer": _summary,
    "social_promoter": _social,
}
