"""Own documents as researchers and pages use them: search, and what the index needs for it.

Owned by the pipeline's loop. Rows are `store/documents.py`'s, ranks `index.py`'s and `vectors.py`'s,
files `uploads.py`'s. An index is made when somebody searches and the owner's documents have changed,
here or in another process.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pipeline.errors import CallError, StoreError
from pipeline.models import Source
from pipeline.store.documents import Document, Documents, Place, StoredChunk, StoredVector
from pipeline.tools.base import passage_id

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from pipeline.knowledge.index import OwnerIndex
    from pipeline.knowledge.vectors import Embedder

KEPT_PASSAGES: Final = 300_000  # of all indexes together; 1.5 kB each
DEPTH: Final = 50  # passages of each ranking that are fused
BATCH: Final = 64  # texts in one request for vectors
QUERY_PATIENCE_S: Final = 10.0  # for the vector of a query

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Found:
    """A passage that fits a query, and the document it is from."""

    document: Document
    passage: StoredChunk

    @property
    def source(self) -> Source:
        """The passage as it is cited: the same id for as long as document and words are the same."""
        place = f"{self.document.id}#{self.passage.position}"
        return Source(
            id=passage_id(place, self.passage.text),
            title=self.document.title,
            url="",
            kind="kb",
            passage=self.passage.text,
            document_id=self.document.id,
            page=self.passage.page,
            section=self.passage.path,
        )


@dataclass(frozen=True, slots=True)
class SearchResult:
    """`note` says what was left aside, in words; empty when nothing was."""

    found: tuple[Found, ...]
    languages: frozenset[str] = frozenset()
    note: str = ""


@dataclass(slots=True)
class _Held:
    index: OwnerIndex
    terms: dict[str, tuple[npt.NDArray[np.uint64], ...]]
    vectors: dict[int, list[StoredVector]] = field(default_factory=dict)  # by dimension


class Knowledge:
    """Implements `pipeline.tools.KnowledgeBase` for every owner of a store."""

    def __init__(self, documents: Documents, embedder: Embedder | None = None) -> None:
        self.documents = documents
        self._embedder = embedder
        self._held: OrderedDict[str, _Held] = OrderedDict()
        self._building: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._filling: dict[str, asyncio.Task[None]] = {}
        self._filled: dict[str, int] = {}  # the revision at which no vector was missing

    async def aclose(self) -> None:
        """Stop making vectors; what is missing is made after the next search."""
        tasks = list(self._filling.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def has_documents(self, owner: str) -> bool:
        return bool(await self.documents.count(owner))

    async def search(self, owner: str, query: str, *, limit: int) -> tuple[Source, ...]:
        result = await self.find(owner, query, limit)
        if result.note:
            logger.warning("Searching documents: %s", result.note)
        return tuple(one.source for one in result.found)

    async def find(
        self, owner: str, query: str, limit: int, *, by_words: bool = False
    ) -> SearchResult:
        """The passages that fit `query` best, best first; none when no document is about it.

        `by_words`: no endpoint is asked for the query's vector.
        """
        held = await self._current(owner)
        rankings = [[one.place for one in held.index.best(query, DEPTH)]]
        note = ""
        if self._embedder is not None and len(held.index) and not by_words:
            try:
                rankings.append(await self._near(owner, held, query, self._embedder))
            except CallError as error:
                note = f"Ranked by words alone, because there was no vector: {error}"
            if self._filled.get(owner) != held.index.revision:
                self.fill(owner)
        found = await self._read(owner, _order(rankings, limit))
        return SearchResult(found, held.index.languages, note)

    def fill(self, owner: str) -> None:
        """Begin to make the vectors that are missing, if there is a model for them. Never waits."""
        if self._embedder is None or owner in self._filling:
            return
        task = asyncio.create_task(self._fill(owner, self._embedder), name="make vectors")
        self._filling[owner] = task
        task.add_done_callback(lambda _: self._filling.pop(owner, None))

    async def _read(self, owner: str, places: Sequence[Place]) -> tuple[Found, ...]:
        rows = await self.documents.passages_at(owner, places)  # deleted meanwhile: left out
        return tuple(Found(*rows[place]) for place in places if place in rows)

    async def _current(self, owner: str) -> _Held:
        """The owner's index as of now, made anew when anything has changed."""
        from pipeline.knowledge.index import (
            index_of,
        )  # with numpy: only where documents are searched

        async with self._building[owner]:
            held = self._held.get(owner)
            revision = await self.documents.revision(owner)
            if held is None or held.index.revision != revision:
                terms = held.terms if held is not None else {}
                contents = await self.documents.contents(owner, terms.keys())
                held = _Held(*await asyncio.to_thread(index_of, contents, terms))
                self._held[owner] = held
            self._held.move_to_end(owner)
            self._let_go()
            return held

    def _let_go(self) -> None:
        """Forget the indexes nobody has used for longest when there are too many passages."""
        total = sum(len(held.index) for held in self._held.values())
        while total > KEPT_PASSAGES and len(self._held) > 1:
            _, oldest = self._held.popitem(last=False)
            total -= len(oldest.index)

    async def _near(self, owner: str, held: _Held, query: str, embedder: Embedder) -> list[Place]:
        from pipeline.knowledge.vectors import nearest

        try:
            async with asyncio.timeout(QUERY_PATIENCE_S):
                vector = (await embedder.embed([query]))[0]
        except TimeoutError as error:
            raise CallError(f"It took longer than {QUERY_PATIENCE_S:g} s.") from error
        dimension = len(vector)
        if dimension not in held.vectors:
            held.vectors[dimension] = await self.documents.vectors(owner, embedder.model, dimension)
        return await asyncio.to_thread(nearest, vector, held.vectors[dimension], DEPTH)

    async def _fill(self, owner: str, embedder: Embedder) -> None:
        """Make every missing vector, a batch at a time. An endpoint that fails is asked again later."""
        from pipeline.knowledge.vectors import STORED

        try:
            revision = await self.documents.revision(owner)
            while missing := await self.documents.without_vector(owner, embedder.model, BATCH):
                made = await embedder.embed([text for _, text in missing])
                rows = [
                    StoredVector(document_id, position, row.astype(STORED).tobytes())
                    for ((document_id, position), _), row in zip(missing, made, strict=True)
                ]
                await self.documents.add_vectors(owner, embedder.model, made.shape[1], rows)
                revision = await self.documents.revision(owner)
            self._filled[owner] = revision
        except (CallError, StoreError) as error:
            logger.warning("No vectors for documents: %s The next search tries again.", error)


@dataclass(frozen=True, slots=True)
class ByWords:
    """The same documents for a run that must not ask any endpoint."""

    knowledge: Knowledge

    async def search(self, owner: str, query: str, *, limit: int) -> tuple[Source, ...]:
        result = await self.knowledge.find(owner, query, limit, by_words=True)
        return tuple(one.source for one in result.found)


def _order(rankings: Sequence[Sequence[Place]], limit: int) -> list[Place]:
    if len(rankings) == 1:
        return list(rankings[0][:limit])
    from pipeline.knowledge.vectors import fused

    return fused(rankings, limit)
