"""Rows to values and back, exactly. Pure functions; no I/O.

What a model wrote may hold anything a Python string can, lone surrogates included, so outputs
are JSON in UTF-8 with surrogates passed through. Short texts for people (errors) are made
storable instead: a database column takes neither surrogates nor NUL.
"""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import Any

import msgspec
from sqlalchemy import Row

from pipeline import events
from pipeline.events import AnyEvent
from pipeline.models import (
    STORED,
    AgentOutput,
    AgentState,
    Checkpoint,
    Flag,
    FlagKind,
    RunRecord,
    RunSpec,
    RunStatus,
    Source,
    Usage,
)
from pipeline.redaction import redact, without_known

KNOWN_FLAGS = frozenset(FlagKind)


def to_json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(
        "utf-8", "surrogatepass"
    )


def output_json(output: AgentOutput) -> bytes:
    """As `asdict`, without a copy of all that the fields hold."""
    values = {name: getattr(output, name) for name in _OUTPUT_FIELDS}
    return without_known(
        to_json(
            values
            | {
                "sources": [asdict(source) for source in output.sources],
                "flags": [asdict(flag) for flag in output.flags],
            }
        )
    )


_OUTPUT_FIELDS = tuple(field.name for field in fields(AgentOutput))


def from_json(payload: bytes) -> Any:
    return json.loads(payload.decode("utf-8", "surrogatepass"))


def text_bytes(text: str) -> bytes:
    """What a model wrote, as it is stored: without keys."""
    return without_known(text).encode("utf-8", "surrogatepass")


def text_of(payload: bytes) -> str:
    return payload.decode("utf-8", "surrogatepass")


def storable(text: str) -> str:
    """`text` as any database takes it: surrogates and NUL written as escapes."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")


def error_text(text: str) -> str:
    """Why a run stopped, as it is stored: without keys, and as any database takes it."""
    return storable(redact(text))


def encode_event(event: AnyEvent) -> bytes:
    """One fact as JSON, without keys. A lone surrogate in an error becomes `?`: facts stay readable."""
    try:
        payload = events.encode(event)
    except UnicodeEncodeError:
        plain = json.dumps(msgspec.to_builtins(event), ensure_ascii=False)
        payload = plain.encode("utf-8", "replace")
    return without_known(payload)


def checkpoint_values(checkpoint: Checkpoint) -> dict[str, Any]:
    return {
        "agent": checkpoint.agent,
        "key": checkpoint.key,
        "epoch": checkpoint.epoch,
        "output": output_json(checkpoint.output),
        "usage": to_json(asdict(checkpoint.usage)),
        "state": str(checkpoint.state),
        "edited": checkpoint.edited,
    }


def checkpoint_of(row: Row[Any]) -> Checkpoint:
    output = from_json(row.output)
    output["sources"] = tuple(Source(**source) for source in output["sources"])
    output["flags"] = tuple(
        Flag(FlagKind(flag["kind"]), flag["sentence"], flag["detail"])
        for flag in output.get("flags", ())
        if flag["kind"] in KNOWN_FLAGS  # of a newer Gantry: what it means is not known here
    )
    return Checkpoint(
        agent=row.agent,
        key=row.key,
        epoch=row.epoch,
        output=AgentOutput(**output),
        usage=Usage(**from_json(row.usage)),
        state=AgentState(row.state),
        edited=row.edited,
    )


def record_of(row: Row[Any]) -> RunRecord:
    return RunRecord(
        id=row.id,
        owner=row.owner,
        status=RunStatus(row.status),
        epoch=row.epoch,
        spec=RunSpec.model_validate_json(row.spec, context=STORED),
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        error=row.error,
        error_code=row.error_code,
        degraded=tuple(from_json(row.degraded)),
        makespan_s=row.makespan_s,
        saved_share=row.saved_share,
        priority=row.priority,
        parent_id=row.parent_id or "",
    )
