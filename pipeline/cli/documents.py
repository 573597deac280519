"""`documents`: fill the knowledge base from scripts, see what is in it, take things out.

Works beside an open dashboard and workers: they see a change with their next search.
"""

from __future__ import annotations

import asyncio
import textwrap
from collections.abc import Coroutine
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from pipeline.cli.console import BAD_USAGE, FAILED, INTERRUPTED, settings_and_logging, stop
from pipeline.errors import GantryError, SpecError
from pipeline.models import LOCAL_OWNER
from pipeline.settings import Settings
from pipeline.views.progress import printable

if TYPE_CHECKING:
    from pipeline.store import Store
    from pipeline.store.documents import Document

T = TypeVar("T")
EXCERPT_CHARS = 200

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.command()
def add(
    files: Annotated[list[Path], typer.Argument(help="PDF, DOCX, PPTX, HTML, Markdown or text.")],
) -> None:
    """Read FILES into the knowledge base. Exit code 1 when one of them could not be read."""
    settings = settings_and_logging()
    refused = _finished(_add(settings, files))
    raise typer.Exit(FAILED if refused else 0)


@app.command("list")
def list_() -> None:
    """One line for each document: id, kind, passages, title, file; newest first."""
    for document in _finished(_all(settings_and_logging())):
        typer.echo(_line(document))


@app.command()
def search(
    query: Annotated[str, typer.Argument(help="What a researcher would ask for.")],
    limit: Annotated[int, typer.Option(min=1, max=50, help="Passages at most.")] = 5,
) -> None:
    """Print the passages that fit QUERY best, by words alone. Exit code 1 when none does."""
    found = _finished(_search(settings_and_logging(), query, limit))
    for title, place, text in found:
        typer.echo(printable(f"{title} · {place}" if place else title))
        typer.echo(f"  {textwrap.shorten(printable(text), EXCERPT_CHARS, placeholder=' …')}")
    if not found:
        typer.echo("nothing found", err=True)
        raise typer.Exit(FAILED)


@app.command()
def delete(
    document_ids: Annotated[list[str], typer.Argument(help="As `documents list` names them.")],
) -> None:
    """Take documents out for good; runs that cite them keep the passages they quote."""
    missing = _finished(_delete(settings_and_logging(), document_ids))
    for document_id in missing:
        typer.echo(f"error: There is no document {printable(document_id)}.", err=True)
    raise typer.Exit(BAD_USAGE if missing else 0)


async def _add(settings: Settings, files: list[Path]) -> int:
    """Read them one after another, saying what became of each; how many were refused."""
    from pipeline.knowledge.reading import read_document

    refused = 0
    async with aclosing(await _opened(settings)) as store:
        for file in files:
            try:
                if not file.is_file():
                    raise SpecError("There is no such file.")
                document, parts = await read_document(file, file.name)
                stored = await store.documents.add(LOCAL_OWNER, document, parts)
            except (GantryError, OSError) as error:
                refused += 1
                typer.echo(f"error: {printable(f'{file}: {error}')}", err=True)
                continue
            known = "" if stored.id == document.id else "   (the same file was there already)"
            typer.echo(f"{_line(stored)}{known}")
            for warning in stored.warnings:
                typer.echo(f"note: {printable(f'{file}: {warning}')}", err=True)
    return refused


async def _all(settings: Settings) -> list[Document]:
    async with aclosing(await _opened(settings)) as store:
        return await store.documents.listed(LOCAL_OWNER, await store.documents.count(LOCAL_OWNER))


async def _search(settings: Settings, query: str, limit: int) -> list[tuple[str, str, str]]:
    """Title, place in the document and text of the passages, best first."""
    from pipeline.knowledge.service import Knowledge

    async with aclosing(await _opened(settings)) as store:
        result = await Knowledge(store.documents).find(LOCAL_OWNER, query, limit, by_words=True)
    return [
        (
            one.document.title,
            f"page {one.passage.page}" if one.passage.page else one.passage.path,
            one.passage.text,
        )
        for one in result.found
    ]


async def _delete(settings: Settings, document_ids: list[str]) -> list[str]:
    """Those that are not there."""
    async with aclosing(await _opened(settings)) as store:
        return [one for one in document_ids if not await store.documents.delete(LOCAL_OWNER, one)]


async def _opened(settings: Settings) -> Store:
    from pipeline.store import Store, database_url

    return await Store.open(database_url(settings))


def _finished(work: Coroutine[None, None, T]) -> T:
    try:
        return asyncio.run(work)
    except SpecError as error:
        stop(error, BAD_USAGE)
    except GantryError as error:
        stop(error, FAILED)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


def _line(document: Document) -> str:
    count = document.chunk_count
    passages = f"{count:,} {'passage' if count == 1 else 'passages'}"
    words = [document.id, document.kind, passages, document.title, document.name]
    return printable("  ".join(words))
