"""The knowledge base as pages use it: from any thread, each call with a time limit.

Every method takes the owner; a foreign id looks exactly like a missing one.
"""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from pipeline.knowledge.service import Knowledge, SearchResult
from pipeline.knowledge.uploads import Upload, Uploads
from pipeline.store.documents import Document, StoredChunk

T = TypeVar("T")


class Call(Protocol):
    """Runs a coroutine in the pipeline's loop. Raises `NoAnswer` when it takes too long."""

    def __call__(self, coroutine: Coroutine[Any, Any, T], /) -> T: ...


@dataclass(frozen=True, slots=True)
class OwnDocuments:
    """Raises `StoreError` where the database cannot be used."""

    _knowledge: Knowledge
    _uploads: Uploads
    _call: Call

    def take(self, owner: str, name: str, content: bytes) -> Upload:
        """Have a file read; returns at once. Raises `SpecError` when too many wait already."""
        return self._call(self._uploads.take(owner, name, content))

    def uploads(self, owner: str) -> tuple[Upload, ...]:
        """The owner's files under way, and those that ended since `clear`."""

        async def ask() -> tuple[Upload, ...]:
            return self._uploads.states(owner)

        return self._call(ask())

    def clear(self, owner: str) -> None:
        """Forget uploads that are over; their documents stay."""

        async def ask() -> None:
            self._uploads.clear(owner)

        self._call(ask())

    def listed(
        self, owner: str, limit: int = 50, offset: int = 0, text: str = ""
    ) -> list[Document]:
        """Newest first."""
        return self._call(self._knowledge.documents.listed(owner, limit, offset, text))

    def count(self, owner: str, text: str = "") -> int:
        return self._call(self._knowledge.documents.count(owner, text))

    def get(self, owner: str, document_id: str) -> Document | None:
        return self._call(self._knowledge.documents.get(owner, document_id))

    def passages(
        self, owner: str, document_id: str, limit: int = 50, offset: int = 0
    ) -> list[StoredChunk]:
        """A document's passages in its order; none when it is missing."""
        return self._call(self._knowledge.documents.passages(owner, document_id, limit, offset))

    def search(self, owner: str, query: str, limit: int) -> SearchResult:
        """What a researcher would find."""
        return self._call(self._knowledge.find(owner, query, limit))

    def delete(self, owner: str, document_id: str) -> bool:
        """Remove everything of the document. False when it is missing."""
        return self._call(self._knowledge.documents.delete(owner, document_id))

    def delete_all(self, owner: str) -> int:
        """Remove every document of the owner; how many there were."""
        return self._call(self._knowledge.documents.delete_all(owner))
