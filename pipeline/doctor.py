"""`python -m pipeline doctor`: look at everything a run needs, and say what to do about the rest.

Each check answers in words and never raises; none of them changes anything that is kept. No key is
shown: every sentence passes `redact`.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL

from pipeline.base_url import address
from pipeline.engine.health import Grade
from pipeline.engine.lock import EngineLock
from pipeline.errors import GantryError
from pipeline.prices import load_prices
from pipeline.redaction import redact
from pipeline.settings import Settings, load_settings
from pipeline.store import database_file, database_url
from pipeline.store.database import is_postgresql
from pipeline.store.schema import SCHEMA
from pipeline.store.sqlite import translated
from pipeline.telemetry import ENDPOINTS, MISSING, packages_installed

if TYPE_CHECKING:
    from openai import AsyncOpenAI

OLDEST_PYTHON = (3, 11)
LOW_BYTES, TOO_LOW_BYTES = 1_000_000_000, 100_000_000  # free on the data folder's disk
PROJECT = Path(__file__).parents[1]
_PIN = re.compile(r"^([A-Za-z0-9][\w.-]*)==([^\s;\\]+)\s*(;?)")


@dataclass(frozen=True, slots=True)
class Check:
    """`grade` is ok, warn or fail; `hint` what to do, "" when nothing is."""

    name: str
    grade: Grade
    sentence: str
    hint: str = ""


def examine(*, ask_provider: bool = True) -> Iterator[Check]:
    """Every check, in the order in which a start would need them."""
    for check in _all(ask_provider):
        yield Check(check.name, check.grade, redact(check.sentence), redact(check.hint))


def passed(checks: list[Check]) -> bool:
    return all(check.grade != "fail" for check in checks)


def lines(check: Check) -> list[str]:
    """The check, for a terminal."""
    found = [f"{check.grade:<4}  {check.name:<9} {check.sentence}"]
    return found + ([f"                → {check.hint}"] if check.hint else [])


def to_dict(checks: list[Check]) -> dict[str, Any]:
    """The checks, for programs."""
    return {"ok": passed(checks), "checks": [asdict(check) for check in checks]}


def _all(ask_provider: bool) -> Iterator[Check]:
    yield python()
    yield packages(PROJECT / "requirements.txt")
    try:
        settings = load_settings()
    except GantryError as error:
        yield Check("settings", "fail", error.message, error.hint)
        return
    yield _settings(settings)
    yield from _guarded("prices", settings, lambda s: iter((_prices(s),)))
    yield from _guarded("database", settings, _stored)
    if ask_provider:
        yield from _guarded("provider", settings, lambda s: iter((asyncio.run(provider(s)),)))
    yield from _guarded("search", settings, lambda s: iter((web_search(s, ask=ask_provider),)))
    yield from _guarded("vectors", settings, lambda s: iter((vectors(s, ask=ask_provider),)))
    yield _traces()


def _guarded(
    name: str, settings: Settings, ask: Callable[[Settings], Iterator[Check]]
) -> Iterator[Check]:
    try:
        yield from ask(settings)
    except GantryError as error:
        yield Check(name, "fail", error.message, error.hint)
    except OSError as error:
        yield Check(name, "fail", f"{error.strerror or error}: {error.filename or ''}".strip(": "))


def python() -> Check:
    found = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info[:2] < OLDEST_PYTHON:
        wanted = ".".join(str(part) for part in OLDEST_PYTHON)
        return Check("python", "fail", f"Python {found} is too old.", f"Use {wanted} or newer.")
    return Check("python", "ok", f"Python {found}.")


def packages(pinned: Path) -> Check:
    """Installed against pinned; a package that only some platforms need may be missing."""
    if not pinned.is_file():
        return Check("packages", "warn", f"{pinned.name} is missing; versions were not compared.")
    pins = [m for line in pinned.read_text().splitlines() if (m := _PIN.match(line))]
    missing, different = [], []
    for name, wanted, condition in (pin.groups() for pin in pins):
        try:
            found = version(name)
        except PackageNotFoundError:
            if not condition:
                missing.append(name)
            continue
        if found != wanted and not condition:
            different.append(f"{name} {found} instead of {wanted}")
    if missing:
        return Check("packages", "fail", f"Missing: {', '.join(missing)}.", "Run `make app`.")
    if different:
        sentence = f"Not as tested: {', '.join(different)}."
        return Check("packages", "warn", sentence, "Run `make app`, or install requirements.txt.")
    return Check("packages", "ok", f"{len(pins)} packages, as pinned.")


def _settings(settings: Settings) -> Check:
    if not settings.has_endpoint:
        return Check("settings", "ok", "No endpoint is configured: runs use the offline demo.")
    key = "a key is set" if settings.openai_api_key is not None else "no key is set"
    model = f"model {settings.openai_model}" if settings.openai_model else "no model is named"
    return Check("settings", "ok", f"{address(settings.openai_base_url)}, {key}, {model}.")


def _prices(settings: Settings) -> Check:
    table = load_prices(settings.prices_file)
    return Check("prices", "ok", f"Of {table.date}, {len(table.models)} models ({table.source}).")


def _stored(settings: Settings) -> Iterator[Check]:
    url = database_url(settings)
    if is_postgresql(url):
        yield asyncio.run(server(url))
        return
    file = database_file(url)
    yield folder(file.parent)
    with translated(url):
        yield sqlite(file)
    yield engine(file)


def folder(path: Path) -> Check:
    """Can it be written, and is there room? A folder that is missing is made at the first start."""
    there = path
    while not there.exists():
        there = there.parent
    try:
        with tempfile.TemporaryFile(dir=there):
            free = shutil.disk_usage(there).free
    except OSError as error:
        return Check(
            *("data", "fail", f"{there} cannot be written: {error.strerror}."),
            hint="Give this user write access, or set GANTRY_DATA_DIR to another folder.",
        )
    room = f"{free / 1e9:.1f} GB free"
    if free < LOW_BYTES:
        grade: Grade = "fail" if free < TOO_LOW_BYTES else "warn"
        return Check("data", grade, f"{path}: only {room}.", "Free some space on this disk.")
    made = "" if there == path else " It will be made at the first start."
    return Check("data", "ok", f"{path} can be written, {room}.{made}")


def sqlite(file: Path) -> Check:
    """Read the file as it is: nothing is migrated, nothing repaired."""
    if not file.exists() or not file.stat().st_size:
        return Check("database", "ok", "There is none yet; the first start makes it.")
    with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        try:
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                return _damaged(file, verdict)
            (schema,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
            runs, unfinished = connection.execute(
                "SELECT count(*), count(*) FILTER (WHERE status IN ('queued', 'running')) FROM runs"
            ).fetchone()
        except (sqlite3.DatabaseError, TypeError) as error:
            if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) not in _NOT_OURS:
                raise  # locked, not readable, …: said in the store's words
            return _damaged(file, str(error))
    size = f"{file.stat().st_size / 1e6:.1f} MB, {runs} runs, {unfinished} unfinished"
    return _of_schema(str(schema), f"{file}: intact, {size}")


_NOT_OURS = (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _damaged(file: Path, why: str) -> Check:
    return Check(
        *("database", "fail", f"{file} is damaged, or no Gantry database: {why}."),
        hint="Restore a backup (docs/operations.md), or move the file away to start empty.",
    )


async def server(url: URL) -> Check:
    """The PostgreSQL that is configured: reachable, and of our schema? It is not migrated."""
    from pipeline.store.postgresql import read_revision

    schema = await read_revision(url)
    name = f"PostgreSQL {url.database} on {url.host or 'the local socket'} answers"
    if schema is None:
        return Check(
            "database", "warn", f"{name}; it is empty.", "Run `python -m pipeline migrate`."
        )
    return _of_schema(schema, name)


def _of_schema(schema: str, sentence: str) -> Check:
    if schema == SCHEMA:
        return Check("database", "ok", f"{sentence}.")
    if schema > SCHEMA:
        newer = f"{sentence}, but made by a newer Gantry (schema {schema}, known {SCHEMA})."
        return Check("database", "fail", newer, "Update Gantry.")
    older = f"{sentence}, with the schema of an older Gantry ({schema}, now {SCHEMA})."
    return Check(
        "database", "warn", older, "The next start brings it up to date; back it up first."
    )


def engine(file: Path) -> Check:
    """Who executes the runs of this file now?"""
    if not file.exists():
        return Check("engine", "ok", "No process has used this data folder yet.")
    lock = EngineLock(file)
    if lock.is_free():
        return Check("engine", "ok", "No process executes runs here now; the next start will.")
    who = lock.holder()
    named = f"Process {who.pid} on {who.host}, since {who.since}," if who else "Another process"
    return Check("engine", "ok", f"{named} executes the runs; others here show and submit.")


async def provider(settings: Settings) -> Check:
    """Ask the endpoint for its models, and the configured model for one word; or start the demo."""
    from pipeline.llm.client import make_client
    from pipeline.llm.demo.process import DemoProcess
    from pipeline.llm.endpoint import test_connection

    if not settings.has_endpoint:
        async with DemoProcess("instant") as demo:
            if await demo.healthy():
                return Check("provider", "ok", "The offline demo starts and answers.")
        return Check(
            "provider", "fail", "The offline demo started and did not answer.", "Try again."
        )
    async with make_client(settings.configured_endpoint()) as client:
        report = await test_connection(client, settings.openai_model)
    if not report.ok:
        return Check("provider", "fail", report.message, report.hint)
    took = f" {report.latency_s:.1f} s." if report.latency_s is not None else ""
    return Check("provider", "ok", f"{report.message}{took}")


def web_search(settings: Settings, *, ask: bool) -> Check:
    """What searches the web for runs on an endpoint; asked for one page when `ask`."""
    if settings.search is None:
        hint = "Set GANTRY_SEARCH to have researchers search the web: docs/web-research.md."
        return Check("search", "ok", "No service is configured; the demo has its samples.", hint)
    if settings.search == "samples":
        return Check("search", "ok", "The bundled samples, for runs on an endpoint too.")
    if not ask:
        return Check("search", "ok", f"{settings.search} is configured; it was not asked.")
    return asyncio.run(_search_once(settings, settings.search))


async def _search_once(settings: Settings, name: str) -> Check:
    from pipeline.tools.base import ToolError
    from pipeline.tools.web_search import SearchService

    key = settings.search_key.get_secret_value() if settings.search_key else ""
    service = SearchService(name, base=settings.search_url or "", key=key)
    try:
        found = await service.search("encyclopedia", limit=1, language="English")
    except ToolError as error:
        return Check("search", "fail", error.message, error.hint)
    finally:
        await service.aclose()
    if not found:
        return Check("search", "warn", f"{service.name} answers, but found nothing.", "Try again.")
    return Check("search", "ok", f"{service.name} answers; a query found a page.")


def vectors(settings: Settings, *, ask: bool) -> Check:
    """What makes vectors of own documents; asked for one when `ask`."""
    model = settings.embedding_model
    if not model:
        return Check("vectors", "ok", "Off: own documents are ranked by words.")
    if not settings.has_endpoint:
        return Check(
            *("vectors", "warn", f"{model} is named, but no endpoint is configured."),
            hint="Set OPENAI_API_KEY or OPENAI_BASE_URL, or unset GANTRY_EMBEDDING_MODEL.",
        )
    if not ask:
        return Check("vectors", "ok", f"{model} is configured; it was not asked.")
    return asyncio.run(_embed_once(settings, model))


async def _embed_once(settings: Settings, model: str) -> Check:
    from pipeline.llm.client import make_client
    from pipeline.llm.embeddings import EndpointEmbedder

    async with make_client(settings.configured_endpoint()) as client:

        async def same() -> AsyncOpenAI:
            return client

        matrix = await EndpointEmbedder(model, same).embed(["one word"])
    return Check("vectors", "ok", f"{model} gives vectors of {matrix.shape[1]} numbers.")


def _traces() -> Check:
    if not any(os.environ.get(name, "").strip() for name in ENDPOINTS):
        return Check("traces", "ok", "Off: no OTLP endpoint is configured.")
    if not packages_installed():
        return Check("traces", "warn", *MISSING.split(". ", 1))
    return Check("traces", "ok", "Sent to the configured OTLP endpoint.")
