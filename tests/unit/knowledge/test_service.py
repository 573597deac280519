"""Search as researchers and pages use it: current, by owner, with vectors where there are some."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from pipeline.errors import SpecError
from pipeline.knowledge.index import to_bytes
from pipeline.knowledge.service import ByWords, Knowledge
from pipeline.knowledge.terms import terms_of
from pipeline.knowledge.uploads import Upload, Uploads, UploadState
from pipeline.llm.embeddings import EndpointEmbedder
from pipeline.store import Store
from pipeline.store.documents import Document, StoredChunk
from tests.store.test_documents import document
from tests.unit.knowledge.conftest import Embeddings

ANN, BEN = "ann", "ben"


async def add(knowledge: Knowledge, owner: str, name: str, *texts: str) -> Document:
    parts = [
        StoredChunk(at, "Path", 3, text, to_bytes(terms_of(text, "english")))
        for at, text in enumerate(texts)
    ]
    return await knowledge.documents.add(owner, document(f"{owner}-{name}"), parts)


async def passages(knowledge: Knowledge, owner: str, query: str) -> list[str]:
    return [source.passage for source in await knowledge.search(owner, query, limit=5)]


async def test_a_passage_found_can_be_cited_with_document_page_and_section(
    knowledge: Knowledge,
) -> None:
    stored = await add(knowledge, ANN, "cats", "Cats sleep all day.")

    (source,) = await knowledge.search(ANN, "sleeping cat", limit=5)

    assert (source.kind, source.title, source.document_id) == ("kb", stored.title, stored.id)
    assert (source.page, source.section, source.passage) == (3, "Path", "Cats sleep all day.")
    again = (await knowledge.search(ANN, "cat", limit=5))[0]
    assert again.id == source.id


async def test_nobody_finds_another_owners_passages(knowledge: Knowledge) -> None:
    await add(knowledge, ANN, "cats", "Cats sleep all day.")
    await add(knowledge, BEN, "dogs", "Dogs walk all day.")

    assert await passages(knowledge, ANN, "cats dogs") == ["Cats sleep all day."]
    assert await passages(knowledge, "nobody", "cats dogs") == []


async def test_a_document_is_found_as_soon_as_it_is_stored_and_gone_when_deleted(
    knowledge: Knowledge,
) -> None:
    assert await passages(knowledge, ANN, "cats") == []
    first = await add(knowledge, ANN, "cats", "Cats sleep all day.")
    assert await passages(knowledge, ANN, "cats") == ["Cats sleep all day."]
    await add(knowledge, ANN, "more", "Cats hunt at night.")
    assert len(await passages(knowledge, ANN, "cats")) == 2

    await knowledge.documents.delete(ANN, first.id)

    assert await passages(knowledge, ANN, "cats") == ["Cats hunt at night."]


async def test_what_another_process_changes_is_followed(store: Store, knowledge: Knowledge) -> None:
    await add(knowledge, ANN, "cats", "Cats sleep all day.")
    assert await passages(knowledge, ANN, "cats") == ["Cats sleep all day."]
    elsewhere = Knowledge(store.documents)

    await add(elsewhere, ANN, "more", "Cats hunt at night.")

    assert len(await passages(knowledge, ANN, "cats")) == 2


async def test_many_searches_at_once_build_one_index_and_agree(knowledge: Knowledge) -> None:
    await add(knowledge, ANN, "cats", *(f"Cats number {at} sleeps." for at in range(50)))

    found = await asyncio.gather(*(passages(knowledge, ANN, "cats sleep") for _ in range(20)))

    assert all(one == found[0] and len(one) == 5 for one in found)


async def _vectors_made(knowledge: Knowledge, owner: str, wanted: int) -> None:
    async with asyncio.timeout(10):
        while (  # noqa: ASYNC110 - a background task makes them; the database tells
            len(await knowledge.documents.vectors(owner, "tiny-embedding", 3)) < wanted
        ):
            await asyncio.sleep(0.01)


async def test_vectors_find_what_shares_no_word(
    store: Store, embedder: EndpointEmbedder, embeddings: Embeddings
) -> None:
    knowledge = Knowledge(store.documents, embedder)
    await add(knowledge, ANN, "pets", "A kitten plays.", "A lorry stops.")
    knowledge.fill(ANN)
    await _vectors_made(knowledge, ANN, 2)

    found = await passages(knowledge, ANN, "tiger")

    assert found == ["A kitten plays."]
    assert await ByWords(knowledge).search(ANN, "tiger", limit=5) == ()
    assert embeddings.asked[0][0].endswith("Path\nA kitten plays.")
    await knowledge.aclose()


async def test_an_endpoint_that_gives_no_vectors_leaves_the_ranking_by_words_and_says_so(
    store: Store, embedder: EndpointEmbedder, embeddings: Embeddings
) -> None:
    knowledge = Knowledge(store.documents, embedder)
    await add(knowledge, ANN, "pets", "A kitten plays.")
    embeddings.status = 400

    result = await knowledge.find(ANN, "kitten", 5)

    assert [one.passage.text for one in result.found] == ["A kitten plays."]
    assert "by words alone" in result.note
    await knowledge.aclose()


async def _ended(uploads: Uploads, owner: str) -> Sequence[Upload]:
    async with asyncio.timeout(30):
        while not all(  # noqa: ASYNC110 - as a page does: it looks again and again
            one.is_over for one in uploads.states(owner)
        ):
            await asyncio.sleep(0.01)
    return uploads.states(owner)


async def test_uploads_are_read_in_turn_and_can_be_searched(knowledge: Knowledge) -> None:
    uploads = Uploads(knowledge)
    try:
        await uploads.take(ANN, "cats.md", b"# Cats\n\nCats sleep all day and hunt at night.")
        await uploads.take(ANN, "again.md", b"# Cats\n\nCats sleep all day and hunt at night.")
        await uploads.take(ANN, "empty.txt", b"  \n")
        first, second, third = await _ended(uploads, ANN)
    finally:
        await uploads.aclose()

    assert (first.state, first.passages) == (UploadState.STORED, 1)
    assert second.state is UploadState.KNOWN
    assert (third.state, bool(third.problem)) == (UploadState.REFUSED, True)
    assert uploads.states(BEN) == ()
    (source,) = await knowledge.search(ANN, "cats hunting", limit=5)
    assert source.title == "Cats"


async def test_what_is_over_can_be_cleared_and_files_leave_nothing_behind(
    knowledge: Knowledge, tmp_path: Path
) -> None:
    uploads = Uploads(knowledge)
    await uploads.take(ANN, "../../cats.md", b"Cats sleep all day.")
    await _ended(uploads, ANN)
    folder = uploads._folder

    uploads.clear(ANN)
    await uploads.aclose()

    assert uploads.states(ANN) == ()
    assert folder is not None and not folder.exists()


async def test_a_file_that_cannot_be_kept_is_refused_and_does_not_wait(
    knowledge: Knowledge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    uploads = Uploads(knowledge)

    with pytest.raises(SpecError, match="Make room"):
        await uploads.take(ANN, "cats.md", b"Cats sleep all day.")

    assert uploads.states(ANN) == ()
    await uploads.aclose()
