"""Own documents in the database: kept by owner, counted with every change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pipeline.errors import SpecError
from pipeline.store import Store, documents
from pipeline.store.documents import Document, StoredChunk, StoredVector
from tests.store.outside import Outside

ANN, BEN = "ann", "ben"


def document(name: str = "guide.md", *, at: int = 0, digest: str = "") -> Document:
    return Document(
        id=f"id-{name}",
        name=name,
        title=f"Title of {name}",
        kind="md",
        language="english",
        size=1_234,
        pages=None,
        chunk_count=2,
        warnings=("Page 3 is a picture.",),
        digest=digest or name,
        added_at=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=at),
    )


PARTS = (
    StoredChunk(0, "A › B", 1, "First \ud800 passage\x00.", b"12345678"),
    StoredChunk(1, "", None, "Second passage.", b"12345678abcdefgh"),
)


async def test_a_document_comes_back_as_it_was_stored(store: Store) -> None:
    await store.documents.add(ANN, document(), PARTS)

    assert await store.documents.get(ANN, "id-guide.md") == document()
    found = await store.documents.passages(ANN, "id-guide.md")
    assert [(p.position, p.path, p.page, p.text) for p in found] == [
        (p.position, p.path, p.page, p.text) for p in PARTS
    ]


async def test_nothing_of_another_owner_is_disclosed_or_changed(store: Store) -> None:
    await store.documents.add(ANN, document(), PARTS)
    mine, places = "id-guide.md", [("id-guide.md", 0)]

    assert await store.documents.get(BEN, mine) is None
    assert await store.documents.passages(BEN, mine) == []
    assert await store.documents.passages_at(BEN, places) == {}
    assert await store.documents.listed(BEN) == []
    assert await store.documents.count(BEN) == 0
    assert not await store.documents.delete(BEN, mine)
    assert await store.documents.delete_all(BEN) == 0
    assert (await store.documents.contents(BEN)).documents == ()
    assert await store.documents.without_vector(BEN, "m", 10) == []
    await store.documents.add_vectors(BEN, "m", 2, [StoredVector(mine, 0, b"x" * 8)])
    assert await store.documents.vectors(ANN, "m", 2) == []
    assert await store.documents.get(ANN, mine) == document()


async def test_an_owner_has_a_file_once_and_another_owner_has_it_too(store: Store) -> None:
    first = await store.documents.add(ANN, document("a.md", digest="same"), PARTS)
    again = await store.documents.add(ANN, document("b.md", digest="same"), PARTS)
    others = await store.documents.add(BEN, document("c.md", digest="same"), PARTS)

    assert (first.id, again.id, others.id) == ("id-a.md", "id-a.md", "id-c.md")
    assert await store.documents.count(ANN) == 1


async def test_deleting_leaves_nothing_of_a_document(store: Store, outside: Outside) -> None:
    await store.documents.add(ANN, document(), PARTS)
    await store.documents.add_vectors(ANN, "m", 2, [StoredVector("id-guide.md", 0, b"x" * 8)])

    assert await store.documents.delete(ANN, "id-guide.md")

    for table in ("documents", "chunks", "embeddings"):
        assert await outside.ask(f"SELECT count(*) FROM {table}") == [(0,)]


async def test_every_change_counts_the_owners_revision_up(store: Store) -> None:
    seen = [await store.documents.revision(ANN)]
    await store.documents.add(ANN, document("a.md"), PARTS)
    seen.append(await store.documents.revision(ANN))
    await store.documents.add_vectors(ANN, "m", 2, [StoredVector("id-a.md", 0, b"x" * 8)])
    seen.append(await store.documents.revision(ANN))
    await store.documents.delete(ANN, "id-a.md")
    seen.append(await store.documents.revision(ANN))

    assert seen[0] == 0
    assert seen == sorted(set(seen))
    assert await store.documents.revision(BEN) == 0


async def test_an_index_asks_only_for_documents_it_does_not_know(store: Store) -> None:
    await store.documents.add(ANN, document("a.md", at=1), PARTS)
    await store.documents.add(ANN, document("b.md", at=2), PARTS)

    contents = await store.documents.contents(ANN, {"id-a.md"})

    assert [one.id for one in contents.documents] == ["id-a.md", "id-b.md"]
    assert list(contents.chunks) == ["id-b.md"]
    assert [one.terms for one in contents.chunks["id-b.md"]] == [p.terms for p in PARTS]
    assert contents.revision == await store.documents.revision(ANN)


async def test_the_list_is_newest_first_and_finds_part_of_a_name(store: Store) -> None:
    for at, name in enumerate(("bees.md", "pumps.pdf", "100%_sure.txt")):
        await store.documents.add(ANN, document(name, at=at), PARTS)

    listed = await store.documents.listed(ANN)

    assert [one.name for one in listed] == ["100%_sure.txt", "pumps.pdf", "bees.md"]
    assert [one.name for one in await store.documents.listed(ANN, 1, 1)] == ["pumps.pdf"]
    assert [one.name for one in await store.documents.listed(ANN, text="PUMP")] == ["pumps.pdf"]
    assert await store.documents.count(ANN, "%_") == 1


async def test_a_full_shelf_says_what_to_do(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MAX_CHUNKS", 3)
    await store.documents.add(ANN, document("a.md"), PARTS)

    with pytest.raises(SpecError, match="Delete documents"):
        await store.documents.add(ANN, document("b.md"), PARTS)

    assert await store.documents.count(ANN) == 1
    await store.documents.add(BEN, document("c.md"), PARTS)


async def test_vectors_are_kept_for_each_model_and_dimension(store: Store) -> None:
    await store.documents.add(ANN, document(), PARTS)
    missing = await store.documents.without_vector(ANN, "small", 10)
    vectors = [StoredVector(*place, b"12345678") for place, _ in missing]
    await store.documents.add_vectors(ANN, "small", 2, vectors)

    assert [place for place, _ in missing] == [("id-guide.md", 0), ("id-guide.md", 1)]
    assert missing[1][1] == "Title of guide.md\nSecond passage."
    assert await store.documents.without_vector(ANN, "small", 10) == []
    assert len(await store.documents.without_vector(ANN, "large", 10)) == len(PARTS)
    assert await store.documents.vectors(ANN, "small", 2) == vectors
    assert await store.documents.vectors(ANN, "small", 3) == []
    assert await store.documents.vectors(ANN, "large", 2) == []


async def test_a_vector_of_a_document_that_is_gone_is_left_out(store: Store) -> None:
    await store.documents.add_vectors(ANN, "m", 2, [StoredVector("gone", 0, b"12345678")])

    assert await store.documents.vectors(ANN, "m", 2) == []
