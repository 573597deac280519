"""What goes into a row comes out of it, whatever a model wrote."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import events
from pipeline.engine.loop_thread import LoopThread
from pipeline.events import AgentFinished
from pipeline.models import (
    AgentOutput,
    AgentState,
    Checkpoint,
    Flag,
    FlagKind,
    RunSpec,
    Source,
    Usage,
)
from pipeline.settings import Settings
from pipeline.store import Store, database_url
from pipeline.store.codec import encode_event, from_json, storable, to_json

any_text = st.text(st.characters())  # surrogates and NUL included
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | any_text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(any_text, inner, max_size=4),
    max_leaves=10,
)
sources = st.builds(
    Source,
    id=any_text,
    title=any_text,
    url=any_text,
    kind=st.sampled_from(["sample", "web", "kb", "user"]),
    passage=any_text,
    publisher=any_text,
)
outputs = st.builds(
    AgentOutput,
    text=any_text,
    data=st.none() | st.dictionaries(any_text, json_values, max_size=4),
    sources=st.lists(sources, max_size=3).map(tuple),
    prompt=any_text,
    response_model=any_text,
    mark=any_text,
    flags=st.lists(st.builds(Flag, st.sampled_from(FlagKind), any_text, any_text), max_size=3).map(
        tuple
    ),
)
counts = st.none() | st.integers(0, 10**12)
checkpoints = st.builds(
    Checkpoint,
    agent=st.just("writer"),
    key=st.text("0123456789abcdef", max_size=64),
    epoch=st.integers(1, 99),
    output=outputs,
    usage=st.builds(Usage, counts, counts),
    state=st.sampled_from([AgentState.DONE, AgentState.SUBSTITUTED]),
)


@pytest.fixture(scope="module")
def loop() -> Iterator[LoopThread]:
    thread = LoopThread("store-under-test")
    thread.start()
    yield thread
    assert thread.close(5)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def store(
    request: pytest.FixtureRequest, loop: LoopThread, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Store]:
    folder, url = tmp_path_factory.mktemp("store"), None
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").migrated_database()
    store = loop.call(Store.open(database_url(Settings(data_dir=folder, database_url=url))), 30)
    loop.call(store.insert_run("r1", "ann", RunSpec(topic="Tidal power")), 5)
    loop.call(store.begin("r1"), 5)
    yield store
    loop.call(store.aclose(), 5)


@settings(max_examples=60, deadline=None)
@given(checkpoints)
def test_a_checkpoint_comes_back_as_it_was(
    loop: LoopThread, store: Store, checkpoint: Checkpoint
) -> None:
    loop.call(store.writer.commit("r1", 1, checkpoint), 10)

    assert loop.call(store.checkpoints("r1", "ann"), 10) == {"writer": checkpoint}


@pytest.mark.parametrize("text", ["\ud83d\ude00", "😀" * 500_000, "a\x00b\r\n\u2028"])
def test_awkward_and_large_texts_come_back_as_they_were(
    loop: LoopThread, store: Store, text: str
) -> None:
    checkpoint = Checkpoint("writer", "k", 1, AgentOutput(text), Usage())
    loop.call(store.writer.commit("r1", 1, checkpoint), 10)

    assert loop.call(store.checkpoints("r1", "ann"), 10)["writer"].output.text == text


@given(json_values)
def test_json_comes_back_as_it_was(value: object) -> None:
    assert from_json(to_json(value)) == value


@given(any_text)
def test_a_storable_text_is_plain_utf8_without_nul(text: str) -> None:
    assert "\x00" not in storable(text)
    assert storable(text).encode("utf-8").decode("utf-8") == storable(text)


@given(any_text)
def test_a_fact_stays_readable_whatever_its_error_says(text: str) -> None:
    fact = AgentFinished(epoch=1, seq=1, at_s=0.5, agent="writer", state="failed", error=text)

    read = events.decode(encode_event(fact))

    assert isinstance(read, AgentFinished)
    assert replace_error(read, "") == replace_error(fact, "")
    readable = not any("\ud800" <= character <= "\udfff" for character in text)
    assert (read.error == text) == readable


def replace_error(fact: AgentFinished, error: str) -> AgentFinished:
    return AgentFinished(
        **{**{f: getattr(fact, f) for f in fact.__struct_fields__}, "error": error}
    )


@given(st.builds(RunSpec, topic=st.just("Tidal power"), seed=st.integers(0, 2**63)))
def test_a_spec_comes_back_as_it_was(spec: RunSpec) -> None:
    assert RunSpec.model_validate_json(spec.model_dump_json()) == spec
