"""Whether this process can do its work now, in parts that each say it with one word and a sentence.

Pure, but for the asking itself, which is the runtime's. Anyone may read it: no key, no user name, no
path and no topic stands in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from pipeline.llm.admission import CircuitReading, GateSnapshot

Grade = Literal["ok", "warn", "fail"]  # warn: works, and somebody should look


@dataclass(frozen=True, slots=True)
class Part:
    """`name` of database, queue, provider; `word` is stable, for programs; `sentence` for people."""

    name: str
    grade: Grade
    word: str
    sentence: str


class Readiness(Protocol):
    """Whoever can be asked how it is. Blocks for seconds at most; never raises."""

    def __call__(self) -> Sequence[Part]: ...


def database_part(error: str | None, limit_s: float) -> Part:
    """`error` is a `GantryError`'s code, or `no_answer` when the time was up; None: it answered."""
    match error:
        case None:
            return Part("database", "ok", "ok", "The database answers and can be written.")
        case "no_answer":
            sentence = f"The database did not answer within {limit_s:g} s."
        case "store_busy":
            sentence = "The database is locked by another program. Close it."
        case _:
            sentence = "The database cannot be used; the log says why."
    return Part("database", "fail", error, sentence)


def queue_part(*, is_engine: bool, is_serving: bool, unfinished: int, executing: int) -> Part:
    if not is_engine:
        return Part(
            "queue", "ok", "viewer", "Another process executes the runs; this one shows them."
        )
    if not is_serving:
        return Part(
            "queue", "fail", "stopped", "The queue has stopped; it is started anew shortly."
        )
    sentence = f"Runs execute here: {executing} now, {max(0, unfinished - executing)} waiting."
    return Part("queue", "ok", "serving", sentence)


def provider_part(gates: Sequence[GateSnapshot], circuits: Sequence[CircuitReading]) -> Part:
    """Never a failure of ours: pages and stored runs are there whatever an endpoint does.

    Endpoints are counted, not named: some were typed by one person and are nobody else's matter.
    """
    if circuits:
        sentence = (
            f"{_endpoints({one.endpoint for one in circuits})} to be down; one call at a time "
            "finds out whether that is over."
        )
        return Part("provider", "warn", "open", sentence)
    if any(gate.cooling_s > 0 for gate in gates):
        return Part("provider", "warn", "cooling", "An endpoint asked for a pause; calls wait.")
    if refused := sum(gate.refused_last_minute for gate in gates):
        sentence = f"{refused} calls were refused in the last minute; they are made again."
        return Part("provider", "warn", "refusing", sentence)
    if not any(gate.admitted for gate in gates):
        return Part("provider", "ok", "unused", "No call has been made from this process yet.")
    return Part("provider", "ok", "ok", "Calls are admitted and answered.")


def unanswered(word: str, sentence: str) -> tuple[Part, ...]:
    """When there is nobody to ask: one part for the whole engine."""
    return (Part("engine", "fail", word, sentence),)


def report(parts: Sequence[Part]) -> tuple[int, dict[str, Any]]:
    """HTTP status and JSON body: 503 as soon as one part has failed."""
    ready = all(part.grade != "fail" for part in parts)
    body = {
        "status": "ready" if ready else "not ready",
        "parts": {
            part.name: {"grade": part.grade, "word": part.word, "sentence": part.sentence}
            for part in parts
        },
    }
    return (200 if ready else 503), body


def _endpoints(names: set[str]) -> str:
    return "One endpoint seems" if len(names) == 1 else f"{len(names)} endpoints seem"
