"""Rows of brand voices: kept by owner, each name once. What a voice is stands in `pipeline.voice`."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, delete, func, select, update

from pipeline.errors import SpecError
from pipeline.redaction import without_known
from pipeline.signs import STORED
from pipeline.store import codec
from pipeline.store.database import Database
from pipeline.store.tables import voices
from pipeline.store.writer import Writer, insert_for
from pipeline.voice import Voice

MAX_VOICES = 100  # of one owner


@dataclass(frozen=True, slots=True)
class Preset:
    """A voice as it is kept."""

    id: str
    voice: Voice
    created_at: datetime
    updated_at: datetime


class Voices:
    """One per store. A foreign id looks exactly like a missing one."""

    def __init__(self, database: Database, writer: Writer) -> None:
        self._database = database
        self._writer = writer

    async def add(self, owner: str, voice: Voice) -> Preset:
        """Keep a new voice. Raises `SpecError` when its name is taken or there are too many."""
        at = datetime.now(UTC)
        preset = Preset(secrets.token_hex(16), voice, at, at)
        row = {"id": preset.id, "owner": owner, "created_at": at, **_values(voice, at)}

        def change(connection: Connection) -> bool:
            own = voices.c.owner == owner
            count = connection.execute(select(func.count()).select_from(voices).where(own)).scalar()
            if int(count or 0) >= MAX_VOICES:
                raise SpecError(
                    f"{MAX_VOICES} brand voices are the limit.", "Delete one you no longer need."
                )
            added = insert_for(connection.dialect, voices).values(row).on_conflict_do_nothing()
            connection.execute(added)
            is_there = select(voices.c.id).where(_is(owner, preset.id))
            return connection.execute(is_there).first() is not None

        if not await self._writer.do(change, is_repeatable=True):
            raise _taken(voice)
        return preset

    async def change(self, owner: str, voice_id: str, voice: Voice) -> bool:
        """Replace a voice. False when it is missing. Raises `SpecError` when its name is taken."""

        def change(connection: Connection) -> bool:
            others = select(voices.c.id).where(
                _named(owner, voice.name), voices.c.id != codec.storable(voice_id)
            )
            if connection.execute(others).first() is not None:
                raise _taken(voice)
            changed = update(voices).where(_is(owner, voice_id))
            values = _values(voice, datetime.now(UTC))
            return bool(connection.execute(changed.values(values)).rowcount)

        return await self._writer.do(change, is_repeatable=True)

    async def delete(self, owner: str, voice_id: str) -> bool:
        """False when it is missing. Runs keep the copy they were asked for with."""

        def change(connection: Connection) -> bool:
            return bool(connection.execute(delete(voices).where(_is(owner, voice_id))).rowcount)

        return await self._writer.do(change)

    async def get(self, owner: str, voice_id: str) -> Preset | None:
        rows = await self._rows(select(voices).where(_is(owner, voice_id)))
        return _preset(rows[0]) if rows else None

    async def named(self, owner: str, name: str) -> Preset | None:
        rows = await self._rows(select(voices).where(_named(owner, name)))
        return _preset(rows[0]) if rows else None

    async def listed(self, owner: str) -> list[Preset]:
        """By name."""
        query = select(voices).where(voices.c.owner == owner)
        found = [_preset(row) for row in await self._rows(query)]
        return sorted(found, key=lambda preset: (preset.voice.name.casefold(), preset.id))

    async def _rows(self, query: Select[Any]) -> Sequence[Row[Any]]:
        return await self._database.read(lambda connection: connection.execute(query).all())


def _is(owner: str, voice_id: str) -> ColumnElement[bool]:
    # ids come from session state and form fields
    return and_(voices.c.id == codec.storable(voice_id), voices.c.owner == owner)


def _named(owner: str, name: str) -> ColumnElement[bool]:
    return and_(voices.c.name == codec.storable(name), voices.c.owner == owner)


def _values(voice: Voice, at: datetime) -> dict[str, Any]:
    content = without_known(voice.model_dump_json())
    return {
        "name": codec.storable(without_known(voice.name)),
        "content": codec.text_bytes(content),
        "updated_at": at,
    }


def _preset(row: Row[Any]) -> Preset:
    voice = Voice.model_validate_json(codec.text_of(row.content), context=STORED)
    return Preset(row.id, voice, row.created_at, row.updated_at)


def _taken(voice: Voice) -> SpecError:
    return SpecError(f"There is a brand voice “{voice.name}” already.", "Choose another name.")
