"""The bundled sample collection: original articles that stand in for the web and a knowledge base.

Files are `collection/<shelf>/<name>.md`: a few `key: value` lines between `---`, then paragraphs.
A paragraph is a passage, the unit that is found, quoted and cited; its id is a hash of document
and text, so that it stays the same for as long as the words do.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, get_args

from pipeline.models import Source
from pipeline.tools.base import (
    Hit,
    KnowledgeBase,
    PageReader,
    Research,
    ToolError,
    WebPage,
    passage_id,
)
from pipeline.tools.search import PassageIndex

COLLECTION = Path(__file__).parent / "collection"
PUBLISHER = "Gantry sample collection"
SCHEME = "sample:"
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


class SampleWeb:
    """The shelf `web` in the place of a search service and of a reader of pages.

    Addresses that are none of the collection's are read by `beyond`.
    """

    name = PUBLISHER

    def __init__(self, beyond: PageReader | None = None) -> None:
        self._beyond = beyond

    async def search(self, query: str, *, limit: int, language: str) -> list[Hit]:
        """One hit for each passage that fits, several of one article where several do."""
        # in a thread: the first search reads the files and builds the index
        found = await asyncio.to_thread(find_passages, query, "web")
        return [Hit(s.url, s.title, s.passage, s.publisher) for s in found[:limit]]

    async def read(self, url: str) -> WebPage:
        if self._beyond is not None and not url.startswith(SCHEME):
            return await self._beyond.read(url)
        document = (await asyncio.to_thread(_by_address)).get(url)
        if document is None or document.shelf != "web":
            raise ToolError(
                f"No sample has the address `{url[:200]}`.",
                "Use an address that `web_search` returned.",
            )
        text = "\n\n".join(source.passage for source in document.passages)
        return WebPage(url, document.title, text, PUBLISHER)

    async def aclose(self) -> None:
        """Nothing is open here; `beyond` belongs to who made it."""


class SampleKnowledge:
    """The shelf `knowledge` beside somebody's `own` documents, or in their place. Own ones come first."""

    def __init__(self, own: KnowledgeBase | None = None) -> None:
        self._own = own

    async def search(self, owner: str, query: str, *, limit: int) -> tuple[Source, ...]:
        own = await self._own.search(owner, query, limit=limit) if self._own is not None else ()
        found = await asyncio.to_thread(find_passages, query, "knowledge")
        return (*own, *found)[:limit]


def sample_research(beyond: PageReader | None = None, own: KnowledgeBase | None = None) -> Research:
    """What researchers reach for, from the collection.

    Pages outside it are read by `beyond`; `own` documents are searched as well.
    """
    web = SampleWeb(beyond)
    return Research(web, web, SampleKnowledge(own))


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
def _by_address() -> Mapping[str, Document]:
    return {document.passages[0].url: document for document in documents()}


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
        url = f"{SCHEME}{shelf}/{name}"
        yield Source(
            id=passage_id(url, text),
            title=title,
            url=url,
            kind="sample",
            passage=text,
            publisher=PUBLISHER,
        )
