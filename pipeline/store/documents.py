"""Rows of own documents: added, listed, deleted by owner, and what an index is made of.

Every change counts the owner's revision up in the same transaction, so that the indexes of all
processes can tell whether they are old. What terms and vectors mean is `pipeline.knowledge`'s.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    delete,
    func,
    insert,
    or_,
    select,
    tuple_,
)

from pipeline.errors import SpecError
from pipeline.redaction import without_known
from pipeline.store import codec
from pipeline.store.database import Database
from pipeline.store.tables import chunks, documents, embeddings, knowledge
from pipeline.store.writer import Writer, insert_for

MAX_DOCUMENTS = 2_000  # of one owner
MAX_CHUNKS = 100_000  # of one owner; its index takes a tenth of a gigabyte then
ASKED_AT_ONCE = 500  # rows named in one question: databases limit its length


@dataclass(frozen=True, slots=True)
class Document:
    """A document as it is listed. `size` in bytes; `pages` None: its kind has none."""

    id: str
    name: str
    title: str
    kind: str
    language: str
    size: int
    pages: int | None
    chunk_count: int
    warnings: tuple[str, ...]
    digest: str
    added_at: datetime


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """A passage. `terms` are 64-bit numbers, little-endian, one after another."""

    position: int
    path: str
    page: int | None
    text: str
    terms: bytes = b""


@dataclass(frozen=True, slots=True)
class Contents:
    """What an owner has at one moment: every document, and the chunks of those asked for."""

    revision: int
    documents: tuple[Document, ...]  # oldest first
    chunks: Mapping[str, tuple[StoredChunk, ...]]  # by document; texts are left empty


@dataclass(frozen=True, slots=True)
class StoredVector:
    document_id: str
    position: int
    vector: bytes  # float32, little-endian


Place = tuple[str, int]  # document and position


class Documents:
    """One per store. A foreign id looks exactly like a missing one."""

    def __init__(self, database: Database, writer: Writer) -> None:
        self._database = database
        self._writer = writer

    async def add(self, owner: str, document: Document, parts: Sequence[StoredChunk]) -> Document:
        """Store the document with its passages; what was there when the same file is already.

        Raises `SpecError` when the owner has too many documents.
        """
        row = _values(owner, document)
        rows = [_chunk_values(document.id, part) for part in parts]

        def change(connection: Connection) -> Document | None:
            revise(connection, owner)  # first: it locks, so that two additions count one another
            own = documents.c.owner == owner
            same = select(documents).where(own, documents.c.digest == document.digest)
            if (there := connection.execute(same).first()) is not None:
                return _document(there)
            sums = select(func.count(), func.coalesce(func.sum(documents.c.chunk_count), 0))
            count, total = connection.execute(sums.where(own)).one()
            if count >= MAX_DOCUMENTS or total + len(rows) > MAX_CHUNKS:
                return None
            connection.execute(insert(documents), row)
            if rows:
                connection.execute(insert(chunks), rows)
            return document

        stored = await self._writer.do(change, is_repeatable=True)
        if stored is None:
            raise SpecError(
                f"There is no room for “{document.name}”: {MAX_DOCUMENTS:,} documents or "
                f"{MAX_CHUNKS:,} passages are taken.",
                "Delete documents you no longer need.",
            )
        return stored

    async def get(self, owner: str, document_id: str) -> Document | None:
        rows = await self._rows(select(documents).where(_is(owner, document_id)))
        return _document(rows[0]) if rows else None

    async def listed(
        self, owner: str, limit: int = 50, offset: int = 0, text: str = ""
    ) -> list[Document]:
        """Newest first; `text` keeps those whose title or file name contains it."""
        d = documents.c
        query = select(documents).where(_listed(owner, text)).order_by(d.added_at.desc(), d.id)
        return [_document(row) for row in await self._rows(query.limit(limit).offset(offset))]

    async def count(self, owner: str, text: str = "") -> int:
        query = select(func.count()).select_from(documents).where(_listed(owner, text))
        return int((await self._rows(query))[0][0])

    async def passages(
        self, owner: str, document_id: str, limit: int = 50, offset: int = 0
    ) -> list[StoredChunk]:
        """A document's passages in its order; none when it is missing."""
        query = select(chunks).join(documents).where(_is(owner, document_id))
        query = query.order_by(chunks.c.position).limit(limit).offset(offset)
        return [_chunk(row) for row in await self._rows(query)]

    async def passages_at(
        self, owner: str, places: Sequence[Place]
    ) -> dict[Place, tuple[Document, StoredChunk]]:
        """The passages at `places`, with their documents; what is gone is left out."""
        if not places:
            return {}
        c = chunks.c
        query = (
            select(documents, c.position, c.path, c.page, c.text)
            .join(chunks, c.document_id == documents.c.id)
            .where(documents.c.owner == owner)
            .where(tuple_(c.document_id, c.position).in_(list(places)))
        )
        found = await self._rows(query)
        return {(row.id, row.position): (_document(row), _chunk(row)) for row in found}

    async def delete(self, owner: str, document_id: str) -> bool:
        """Remove everything of the document. False when it is missing."""
        return bool(await self._delete(owner, _is(owner, document_id)))

    async def delete_all(self, owner: str) -> int:
        """Remove every document of the owner; how many there were."""
        return await self._delete(owner, documents.c.owner == owner)

    async def _delete(self, owner: str, chosen: ColumnElement[bool]) -> int:
        def change(connection: Connection) -> int:
            # passages and vectors go with their document (ON DELETE CASCADE)
            gone = int(connection.execute(delete(documents).where(chosen)).rowcount)
            if gone:
                revise(connection, owner)
            return gone

        return await self._writer.do(change)

    async def revision(self, owner: str) -> int:
        """Counts up with every change; 0 before the first."""
        query = select(knowledge.c.revision).where(knowledge.c.owner == owner)
        rows = await self._rows(query)
        return int(rows[0][0]) if rows else 0

    async def contents(self, owner: str, known: Collection[str] = ()) -> Contents:
        """Everything an index is made of, from one state; chunks of `known` are left out."""

        def ask(connection: Connection) -> Contents:
            revision = connection.execute(
                select(knowledge.c.revision).where(knowledge.c.owner == owner)
            ).scalar()
            d, c = documents.c, chunks.c
            query = select(documents).where(d.owner == owner).order_by(d.added_at, d.id)
            every = [_document(row) for row in connection.execute(query)]
            new = [document.id for document in every if document.id not in known]
            found: dict[str, list[StoredChunk]] = {document_id: [] for document_id in new}
            for at in range(0, len(new), ASKED_AT_ONCE):
                part = new[at : at + ASKED_AT_ONCE]
                rows = select(c.document_id, c.position, c.path, c.page, c.terms)
                rows = rows.where(c.document_id.in_(part)).order_by(c.document_id, c.position)
                for row in connection.execute(rows):
                    chunk = StoredChunk(row.position, row.path, row.page, "", bytes(row.terms))
                    found[row.document_id].append(chunk)
            made = {document_id: tuple(one) for document_id, one in found.items()}
            return Contents(int(revision or 0), tuple(every), made)

        return await self._database.read(ask)

    # Vectors

    async def without_vector(self, owner: str, model: str, limit: int) -> list[tuple[Place, str]]:
        """Passages that `model` has no vector of yet, with the text to make it from."""
        d, c, e = documents.c, chunks.c, embeddings.c
        query = (
            select(c.document_id, c.position, d.title, c.path, c.text)
            .join(documents, d.id == c.document_id)
            .outerjoin(
                embeddings,
                and_(e.document_id == c.document_id, e.position == c.position, e.model == model),
            )
            .where(d.owner == owner, e.model.is_(None))
            .order_by(d.added_at, c.document_id, c.position)
            .limit(limit)
        )
        return [
            ((row.document_id, row.position), _whole(row.title, row.path, row.text))
            for row in await self._rows(query)
        ]

    async def add_vectors(
        self, owner: str, model: str, dimension: int, vectors: Sequence[StoredVector]
    ) -> None:
        """Store vectors of passages that are still there."""
        rows = [
            {
                "document_id": one.document_id,
                "position": one.position,
                "model": model,
                "dimension": dimension,
                "vector": one.vector,
            }
            for one in vectors
        ]
        ids = {one.document_id for one in vectors}

        def change(connection: Connection) -> None:
            own = select(documents.c.id).where(documents.c.owner == owner, documents.c.id.in_(ids))
            there = set(connection.execute(own).scalars())
            kept = [row for row in rows if row["document_id"] in there]
            if kept:
                added = insert_for(connection.dialect, embeddings).on_conflict_do_nothing()
                connection.execute(added, kept)
                revise(connection, owner)

        await self._writer.do(change, is_repeatable=True)

    async def vectors(self, owner: str, model: str, dimension: int) -> list[StoredVector]:
        """Every vector of `model` in the owner's documents that has `dimension` numbers."""
        e = embeddings.c
        query = (
            select(e.document_id, e.position, e.vector)
            .join(documents, documents.c.id == e.document_id)
            .where(documents.c.owner == owner, e.model == model, e.dimension == dimension)
        )
        rows = await self._rows(query)
        return [StoredVector(row.document_id, row.position, bytes(row.vector)) for row in rows]

    async def _rows(self, query: Select[Any]) -> Sequence[Row[Any]]:
        return await self._database.read(lambda connection: connection.execute(query).all())


def revise(connection: Connection, owner: str) -> None:
    """Tell all processes that the owner's documents changed."""
    first = insert_for(connection.dialect, knowledge).values(owner=owner, revision=1)
    counted = first.on_conflict_do_update(
        index_elements=["owner"], set_={"revision": knowledge.c.revision + 1}
    )
    connection.execute(counted)


def _is(owner: str, document_id: str) -> ColumnElement[bool]:
    # ids come from addresses people can edit
    return and_(documents.c.id == codec.storable(document_id), documents.c.owner == owner)


def _listed(owner: str, text: str) -> ColumnElement[bool]:
    part = codec.storable(text)
    named = or_(
        documents.c.title.icontains(part, autoescape=True),
        documents.c.name.icontains(part, autoescape=True),
    )
    return and_(documents.c.owner == owner, named)


def _whole(title: str, path: str, text: bytes) -> str:
    """A passage with the headings above it: what a vector is made from."""
    return "\n".join(part for part in (title, path, codec.text_of(text)) if part)


def _values(owner: str, document: Document) -> dict[str, Any]:
    texts = {
        name: codec.storable(without_known(getattr(document, name)))
        for name in ("name", "title", "kind", "language")
    }
    return {
        **asdict(document),
        **texts,
        "owner": owner,
        "warnings": codec.to_json(list(document.warnings)),
    }


def _chunk_values(document_id: str, part: StoredChunk) -> dict[str, Any]:
    return {
        "document_id": document_id,
        "position": part.position,
        "path": codec.storable(without_known(part.path)),
        "page": part.page,
        "text": codec.text_bytes(part.text),
        "terms": part.terms,
    }


def _document(row: Row[Any]) -> Document:
    values = {name: getattr(row, name) for name in _FIELDS}
    return Document(**values | {"warnings": tuple(codec.from_json(row.warnings))})


_FIELDS = tuple(field.name for field in fields(Document))


def _chunk(row: Row[Any]) -> StoredChunk:
    return StoredChunk(row.position, row.path, row.page, codec.text_of(row.text))
