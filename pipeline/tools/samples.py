"""The bundled sample collection: original articles that stand in for the web and a knowledge base.

Files are `collection/<shelf>/<name>.md`: a few `key: value` lines between `---`, then paragraphs.
A paragraph is a passage, the unit that is found, quoted and cited; its id is a hash of document
and text, so that it stays the same for as long as the words do.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from pipeline.models import Source
from pipeline.tools.base import Tool, ToolContext, ToolError, ToolResult
from pipeline.tools.search import PassageIndex

COLLECTION = Path(__file__).parent / "collection"
PUBLISHER = "Gantry sample collection"
TOP_PASSAGES = 5

Shelf = Literal["web", "knowledge"]

_building = threading.Lock()  # `cache` alone would let two first callers build twice


@dataclass(frozen=True, slots=True)
class Document:
    shelf: str
    name: str
    title: str
    tags: tuple[str, ...]
    passages: tuple[Source, ...]


class SearchArguments(BaseModel):
    model_config = ConfigDict(extra="forbid")

    query: str = Field(min_length=1, max_length=500, description="Words to look for")
    shelf: Shelf = Field(description="`web`: published pages; `knowledge`: the knowledge base")


class ReadArguments(BaseModel):
    model_config = ConfigDict(extra="forbid")

    id: str = Field(
        min_length=1, max_length=40, description="The id of a passage that a search returned"
    )


async def search(arguments: SearchArguments, _: ToolContext) -> ToolResult:
    # in a thread: the first search reads the files and builds the index
    found = await asyncio.to_thread(find_passages, arguments.query, arguments.shelf)
    rows = [
        {"id": s.id, "title": s.title, "publisher": s.publisher, "passage": s.passage}
        for s in found
    ]
    return ToolResult(_json(rows), tuple(found))


async def read(arguments: ReadArguments, _: ToolContext) -> ToolResult:
    document = (await asyncio.to_thread(_by_passage)).get(arguments.id)
    if document is None:
        raise ToolError(
            f"No sample has the id `{arguments.id}`.", "Use an id that `search_samples` returned."
        )
    # each paragraph behind its id, so that it can be cited exactly
    text = "\n\n".join(f"[{source.id}] {source.passage}" for source in document.passages)
    content = {
        "id": arguments.id,
        "title": document.title,
        "publisher": PUBLISHER,
        "text": text,
    }
    return ToolResult(_json(content), document.passages)


def find_passages(query: str, shelf: str) -> list[Source]:
    """The passages that fit `query` best, best first; none when nothing on the shelf is about it."""
    with _building:
        passages, index = _shelf(shelf)
    return [passages[position] for position in index.best(query, TOP_PASSAGES)]


def warm_samples() -> None:
    """Build both indexes now, so that no run waits for them. Takes about half a second, once."""
    for shelf in get_args(Shelf):
        find_passages("", shelf)


@cache
def documents() -> tuple[Document, ...]:
    """All articles, in the order of shelf and file name."""
    return tuple(_read_document(path) for path in sorted(COLLECTION.glob("*/*.md")))


@cache
def _shelf(shelf: str) -> tuple[tuple[Source, ...], PassageIndex]:
    on_it = [document for document in documents() if document.shelf == shelf]
    entries = [
        (passage, " ".join((document.title, *document.tags)))
        for document in on_it
        for passage in document.passages
    ]
    index = PassageIndex((passage.passage, subject) for passage, subject in entries)
    return tuple(passage for passage, _ in entries), index


@cache
def _by_passage() -> Mapping[str, Document]:
    return {passage.id: document for document in documents() for passage in document.passages}


def _read_document(path: Path) -> Document:
    _, head, body = path.read_text(encoding="utf-8").split("---\n", 2)
    fields = dict(line.split(": ", 1) for line in head.strip().splitlines())
    shelf, name = path.parent.name, path.stem
    return Document(
        shelf=shelf,
        name=name,
        title=fields["title"],
        tags=tuple(tag.strip() for tag in fields["tags"].split(",")),
        passages=tuple(_passages(shelf, name, fields["title"], body)),
    )


def _passages(shelf: str, name: str, title: str, body: str) -> Iterable[Source]:
    for block in re.split(r"\n\s*\n", body.strip()):
        text = " ".join(block.split())
        digest = hashlib.sha256(f"{shelf}/{name}\n{text}".encode()).hexdigest()
        yield Source(
            id=f"S{digest[:5]}",
            title=title,
            url=f"sample:{shelf}/{name}",
            kind="sample",
            passage=text,
            publisher=PUBLISHER,
        )


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


SEARCH_SAMPLES = Tool(
    name="search_samples",
    description=(
        "Search the sample collection. Returns up to five passages, best first, each with the id "
        "under which it is cited; an empty list when nothing on that shelf is about the query."
    ),
    parameters=SearchArguments,
    run=search,
)
READ_SAMPLE = Tool(
    name="read_sample",
    description=(
        "Read the whole sample document that a passage is from. Each paragraph stands behind "
        "its own id in square brackets; cite a paragraph by that id."
    ),
    parameters=ReadArguments,
    run=read,
)
