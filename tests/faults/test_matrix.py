"""The fault matrix on whole runs: what each fault of one agent means for the run and its siblings.

docs/faults.md has the same rows in words. A fault that passes is met once by the content writer,
which no run can do without, and the run must come to its full end. One that stays is met for good
by the content writer, where the run must stop with a sentence and go on once the fault is gone,
and by the SEO specialist, whose sibling and whose article must not notice.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from pipeline.chat_orchestrator import ChatOrchestrator, RunResult
from pipeline.content.article import article_of
from pipeline.events import BackoffStarted, CallFinished
from pipeline.journal import Journal
from pipeline.llm.admission import CircuitRules, GateRegistry
from pipeline.llm.call import Deadlines
from pipeline.llm.client import ModelCaller, make_client
from pipeline.models import AgentState, RunStatus
from pipeline.tools.samples import sample_research
from tests.fault_front import TOKEN, Fault, FaultFront, events_of, text_of
from tests.fault_server import (
    DONE,
    SILENCE,
    Answer,
    Repeat,
    Reset,
    data,
    error,
    finish,
    json_body,
    page,
    stream,
    text,
    usage,
)

MODEL = "gantry-demo-instant"
TOPIC = "Heat pumps in old buildings"
CRITICAL, OPTIONAL, SIBLING = "content_writer", "seo_specialist", "metrics_analyzer"
IN_TIME = Deadlines(first_token_s=20.0, idle_s=10.0, total_s=30.0)
HASTY = Deadlines(first_token_s=0.5, idle_s=0.5, total_s=3.0)


def cut_after(count: int, *ending: object) -> Fault:
    """The first chunks of the good answer's text, then `ending`."""

    def fault(good: bytes) -> Answer:
        words = text_of(good).split(" ", count)[:count]
        return stream(*(text(f"{word} ") for word in words), *ending)  # type: ignore[arg-type]

    return fault


def openai_error(message: str, code: str | None = None, **more: object) -> dict[str, object]:
    return {"error": {"message": message, "type": "error", "param": None, "code": code, **more}}


NO_FINISH = Answer([text("Half a reply ")], framing="close")
BROKEN = stream(text("Half a reply "), b'data: {"choices": [{"delta"\n\n')
OVERLOADED = openai_error("the server is overloaded")
CONTEXTS = {
    "by code": openai_error("too long", "context_length_exceeded"),
    "openai": openai_error("This model's maximum context length is 8192 tokens."),
    "llama.cpp": openai_error("the request exceeds the available context size"),
    "llama-cpp-python": openai_error("Requested tokens (5000) exceed context window of 2048"),
    "vllm": {"object": "error", "message": "maximum context length is 10, you asked for 20"},
    "type": openai_error("no", None, type="exceed_context_size_error"),
}


@dataclass(frozen=True, slots=True)
class Passing:
    """A fault that the next attempt does not meet: the run must end as if nothing had been."""

    fault: Fault
    attempts: int = 2
    deadlines: Deadlines = IN_TIME
    code: str = ""  # of the discarded attempt


@dataclass(frozen=True, slots=True)
class Lasting:
    """A fault that stays: `attempts` requests, then the agent fails with `code` and `words`."""

    fault: Fault
    code: str
    words: str
    attempts: int = 1
    deadlines: Deadlines = field(default=IN_TIME)


PASSING = {
    "1 429 with retry-after": Passing(
        error(429, openai_error("slow down"), {"retry-after": "1"}), code="rate_limited"
    ),
    "3 500 once": Passing(error(500, OVERLOADED), code="server_failed"),
    "3 502 once": Passing(error(502, "<html>Bad gateway</html>"), code="server_failed"),
    "3 503 once": Passing(error(503, OVERLOADED), code="server_failed"),
    "10 a broken chunk": Passing(BROKEN, code="stream_broken"),
    "11 cut after three chunks": Passing(cut_after(3, Reset()), code="stream_broken"),
    "12 a clean close without finish_reason": Passing(NO_FINISH, code="stream_broken"),
    "13 finish_reason without [DONE]": Passing(
        lambda good: Answer([good.replace(DONE, b"")], framing="close"), attempts=1
    ),
    "14 an error object in mid-stream": Passing(
        cut_after(3, data(openai_error("upstream exploded"))), code="stream_broken"
    ),
    "14 an error event in mid-stream": Passing(
        cut_after(3, b'event: error\ndata: {"error": {"message": "exploded"}}\n\n'),
        code="stream_broken",
    ),
    "15 the first token is late": Passing(stream(SILENCE), deadlines=HASTY, code="deadline"),
    "16 silence in mid-stream": Passing(cut_after(3, SILENCE), deadlines=HASTY, code="deadline"),
    "17 keep-alive comments without end": Passing(
        cut_after(3, Repeat(b": keep-alive\n\n", 0.05)), deadlines=HASTY, code="deadline"
    ),
    "18 text without end": Passing(
        stream(Repeat(text("and so on "), 0.02)), deadlines=HASTY, code="deadline"
    ),
    "20 no usage": Passing(
        lambda good: stream(*(e for e in events_of(good) if b'"usage"' not in e)), attempts=1
    ),
    "20 usage several times": Passing(
        lambda good: stream(*(e for e in events_of(good) if e != DONE), usage(700, 70), DONE),
        attempts=1,
    ),
}

LASTING = {
    "2 429 with retry-after 300": Lasting(
        error(429, openai_error("slow down"), {"retry-after": "300"}), "rate_limited", "rate limit"
    ),
    "2 insufficient_quota": Lasting(
        error(429, openai_error("no credit", "insufficient_quota")), "quota", "credit"
    ),
    "4 500 always": Lasting(error(500, OVERLOADED), "server_failed", "HTTP 500", attempts=3),
    "5 401": Lasting(error(401, openai_error("bad key")), "auth", "API key"),
    "5 403": Lasting(error(403, openai_error("not yours")), "auth", "403"),
    "6 404 model": Lasting(
        error(404, openai_error("gone", "model_not_found")), "model_not_found", f"`{MODEL}`"
    ),
    "6 400 unknown model": Lasting(
        error(400, openai_error(f"Invalid model name passed in model={MODEL}")),
        "model_not_found",
        f"`{MODEL}`",
    ),
    **{
        f"7 context length, {name}": Lasting(
            error(400, body), "context_too_long", "prompt is too long"
        )
        for name, body in CONTEXTS.items()
    },
    "8 a web page with status 200": Lasting(page(), "not_an_endpoint", "not an OpenAI-compatible"),
    "9 a JSON error with status 200": Lasting(
        json_body(openai_error("something is wrong")), "bad_request", "something is wrong"
    ),
    "10 broken chunks always": Lasting(BROKEN, "stream_broken", "endpoint sent", attempts=3),
    "12 never a finish_reason": Lasting(NO_FINISH, "stream_broken", "", attempts=3),
    "15 never a first token": Lasting(
        stream(SILENCE), "deadline", "did not begin", attempts=3, deadlines=HASTY
    ),
    "23 finish_reason length": Lasting(
        stream(text("Half a text"), finish("length"), DONE), "output_invalid", "cut", attempts=3
    ),
    "23 a reason for a cut in other words": Lasting(
        stream(text("Half a text"), finish("MAX_TOKENS"), DONE),
        "output_invalid",
        "cut",
        attempts=3,
    ),
    "23 a reason nobody knows": Lasting(
        stream(text("Half a text"), finish("OTHER"), DONE),
        "output_invalid",
        "did not fit",
        attempts=3,
    ),
    "23 a reason for a refusal in other words": Lasting(
        stream(text("Half"), finish("sensitive"), DONE), "output_invalid", "content filter"
    ),
    "23 a reason for a failure": Lasting(
        stream(text("Half"), finish("network_error"), DONE),
        "stream_broken",
        "network_error",
        attempts=3,
    ),
    "23 finish_reason content_filter": Lasting(
        stream(text("Half"), finish("content_filter"), DONE), "output_invalid", "content filter"
    ),
    "23 a refusal": Lasting(
        stream(
            data({"choices": [{"index": 0, "delta": {"refusal": "I will not."}}]}), finish(), DONE
        ),
        "output_invalid",
        "I will not",
    ),
    "23 an empty reply": Lasting(stream(finish(), DONE), "output_invalid", "empty", attempts=3),
}


@dataclass(slots=True)
class Place:
    front: FaultFront
    gates: GateRegistry
    orchestrator: ChatOrchestrator

    async def run(self, journal: Journal | None = None, **brief: object) -> RunResult:
        return await self.orchestrator.run_pipeline(TOPIC, journal=journal, **brief)


async def at_once(_delay_s: float) -> None:
    """Backoff has its own tests; only what a provider asks for is waited here, by the gate."""
    await asyncio.sleep(0)


@asynccontextmanager
async def place(deadlines: Deadlines) -> AsyncIterator[Place]:
    async with FaultFront() as front, make_client(front.endpoint) as client:
        gates = GateRegistry(16, circuit=CircuitRules(0.05, 20.0))
        caller = ModelCaller(
            client, gates=gates, deadlines=deadlines, rng=random.Random(1), sleep=at_once
        )
        try:
            yield Place(
                front,
                gates,
                ChatOrchestrator(client, model=MODEL, caller=caller, research=sample_research()),
            )
        finally:
            await caller.aclose()


def check_texts(front: FaultFront, result: RunResult) -> None:
    """What is on screen and what is kept is what the provider meant, once."""
    for name, output in result.outputs.items():
        if result.settled[name].state is AgentState.DONE:
            meant = {meant.strip() for meant in front.meant[name]}
            assert output.text.strip() in meant, name
            assert result.journal.text(name).strip() == output.text.strip(), name


def discarded(result: RunResult, agent: str) -> list[str]:
    return [
        e.error_code
        for e in result.journal.events
        if isinstance(e, CallFinished) and e.agent == agent and e.outcome == "discarded"
    ]


@pytest.mark.parametrize("row", PASSING.values(), ids=PASSING)
async def test_a_fault_that_passes_costs_an_attempt_and_nothing_else(row: Passing) -> None:
    async with place(row.deadlines) as here:
        here.front.faults[CRITICAL] = [row.fault]

        result = await here.run()

        assert result.status is RunStatus.DONE
        asked = here.front.requests_of(CRITICAL)
        assert len(asked) == row.attempts
        assert discarded(result, CRITICAL) == ([row.code] if row.attempts == 2 else [])
        check_texts(here.front, result)
        if row.code == "rate_limited":
            assert asked[1].at_s - asked[0].at_s >= 1.0
            (shown,) = [e for e in result.journal.events if isinstance(e, BackoffStarted)]
            assert shown.delay_s >= 1.0


@pytest.mark.parametrize("row", LASTING.values(), ids=LASTING)
async def test_a_fault_that_stays_stops_the_run_which_goes_on_when_it_is_gone(row: Lasting) -> None:
    async with place(row.deadlines) as here:
        here.front.always[CRITICAL] = row.fault

        result = await here.run()

        assert result.status is RunStatus.FAILED
        assert result.error is not None
        assert result.error.code == row.code
        assert row.words in result.error.message
        assert result.error.hint
        assert len(here.front.requests_of(CRITICAL)) == row.attempts
        assert CRITICAL not in result.outputs
        assert article_of(result.spec, result.outputs, result.degraded) is None
        assert TOKEN not in repr(result.journal.events)
        check_texts(here.front, result)
        kept = set(result.outputs)
        assert kept == {"topic_planner", "web_researcher", "kb_researcher"}
        before = len(here.front.asked)

        here.front.always.clear()
        journal = Journal(
            "run",
            epoch=2,
            events=result.journal.events,
            checkpoints=result.journal.checkpoints,
        )
        again = await here.run(journal)

        assert again.status is RunStatus.DONE
        assert not kept & {asked.agent for asked in here.front.asked[before:]}
        check_texts(here.front, again)


@pytest.mark.parametrize("row", LASTING.values(), ids=LASTING)
async def test_a_fault_that_stays_takes_no_sibling_and_no_article_along(row: Lasting) -> None:
    async with place(row.deadlines) as here:
        here.front.always[OPTIONAL] = row.fault

        result = await here.run()

        assert result.status is RunStatus.DEGRADED
        assert len(here.front.requests_of(OPTIONAL)) == row.attempts
        assert result.settled[OPTIONAL].state is AgentState.ABSENT
        (mark,) = result.degraded
        assert mark.startswith("SEO specialist is missing")
        assert row.words in mark
        assert result.settled[SIBLING].state is AgentState.DONE
        article = article_of(result.spec, result.outputs, result.degraded)
        assert article is not None
        assert "Half a" not in article.markdown
        check_texts(here.front, result)
