"""Brand voices in the database: kept by owner, each name once."""

from __future__ import annotations

import pytest

from pipeline.errors import SpecError
from pipeline.store import Store, voices
from pipeline.voice import HouseLink, Spelling, Voice
from tests.store.outside import Outside

ANN, BEN = "ann", "ben"

HOUSE = Voice(
    name="House 🏠",
    voice="Warm,\nnever loud.",
    audience="Owners",
    banned_words=("guru", "蜜蜂"),
    spelling=(Spelling(use="colour", instead_of="color"),),
    links=(HouseLink(title="Shop", url="https://example.com"),),
    call_to_action="Write to us.",
)


async def test_a_voice_comes_back_as_it_was_kept(store: Store) -> None:
    preset = await store.voices.add(ANN, HOUSE)

    assert preset.voice == HOUSE
    assert await store.voices.get(ANN, preset.id) == preset
    assert await store.voices.named(ANN, "House 🏠") == preset
    assert await store.voices.listed(ANN) == [preset]


async def test_nothing_of_another_owner_is_disclosed_or_changed(store: Store) -> None:
    preset = await store.voices.add(ANN, HOUSE)

    assert await store.voices.get(BEN, preset.id) is None
    assert await store.voices.named(BEN, HOUSE.name) is None
    assert await store.voices.listed(BEN) == []
    assert not await store.voices.change(BEN, preset.id, Voice(name="Mine"))
    assert not await store.voices.delete(BEN, preset.id)
    assert await store.voices.get(ANN, preset.id) == preset


@pytest.mark.parametrize("wrong", ["", "nul\x00", "\ud800", "x" * 10_000])
async def test_an_id_that_cannot_be_is_missing(store: Store, wrong: str) -> None:
    assert await store.voices.get(ANN, wrong) is None
    assert await store.voices.named(ANN, wrong) is None
    assert not await store.voices.change(ANN, wrong, HOUSE)
    assert not await store.voices.delete(ANN, wrong)


async def test_an_owner_has_a_name_once_and_another_owner_has_it_too(store: Store) -> None:
    await store.voices.add(ANN, HOUSE)
    await store.voices.add(BEN, HOUSE)
    other = await store.voices.add(ANN, Voice(name="a"))

    with pytest.raises(SpecError, match="already"):
        await store.voices.add(ANN, HOUSE)
    with pytest.raises(SpecError, match="already"):
        await store.voices.change(ANN, other.id, HOUSE)
    assert [p.voice.name for p in await store.voices.listed(ANN)] == ["a", "House 🏠"]


async def test_a_change_keeps_the_id_and_says_when(store: Store) -> None:
    preset = await store.voices.add(ANN, HOUSE)
    louder = HOUSE.model_copy(update={"voice": "Loud."})

    assert await store.voices.change(ANN, preset.id, louder)

    changed = await store.voices.get(ANN, preset.id)
    assert changed is not None
    assert (changed.voice, changed.created_at) == (louder, preset.created_at)
    assert changed.updated_at >= preset.updated_at


async def test_deleting_leaves_nothing(store: Store, outside: Outside) -> None:
    preset = await store.voices.add(ANN, HOUSE)

    assert await store.voices.delete(ANN, preset.id)

    assert not await store.voices.delete(ANN, preset.id)
    assert await outside.ask("SELECT count(*) FROM voices") == [(0,)]


async def test_too_many_are_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voices, "MAX_VOICES", 1)
    await store.voices.add(ANN, HOUSE)

    with pytest.raises(SpecError, match="limit"):
        await store.voices.add(ANN, Voice(name="b"))
    await store.voices.add(BEN, HOUSE)
