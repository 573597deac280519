"""What a brief may hold: decided on characters, said in a sentence."""

from __future__ import annotations

import pytest

from pipeline.models import RunSpec, clean_topic, has_visible


@pytest.mark.parametrize("topic", ["", " \n", "\ufeff\u200b", "\u3164\u2800", "\u0301", "\u200f"])
def test_a_topic_in_which_nothing_can_be_seen_is_empty(topic: str) -> None:
    assert not has_visible(topic)
    with pytest.raises(ValueError, match="The topic is empty"):
        clean_topic(topic)


@pytest.mark.parametrize("topic", ["?", "7", "🐝", "蜂", "نحل\u200f", "👩\u200d🌾", "می\u200cروم"])
def test_what_can_be_seen_is_a_topic_whatever_the_script(topic: str) -> None:
    assert clean_topic(f" {topic} ") == topic


@pytest.mark.parametrize(
    "sign", [*map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A))]
)
def test_what_turns_text_around_is_refused_by_name(sign: str) -> None:
    with pytest.raises(ValueError, match=f"U\\+{ord(sign):04X}"):
        clean_topic(f"bees {sign} seeb")
    with pytest.raises(ValueError, match="tone"):
        RunSpec(topic="bees", tone=f"calm{sign}")


@pytest.mark.parametrize(
    "urls",
    [
        ["file:///etc/passwd"],
        ["example.org"],
        ["https://"],
        ["javascript:alert(1)"],
        ["https://a b"],
        ["https://example.org/\u202e"],
        ["http://[::1"],
        [f"https://example.org/{n}" for n in range(11)],
        ["https://example.org/" + "x" * 2_000],
    ],
)
def test_what_is_no_web_address_is_refused(urls: list[str]) -> None:
    with pytest.raises(ValueError):
        RunSpec(topic="Bees", urls=tuple(urls))


def test_addresses_are_kept_each_once_in_order() -> None:
    urls = (" https://example.org/b ", "HTTP://example.org/a", "", "https://example.org/b")

    assert RunSpec(topic="Bees", urls=urls).urls == (
        "https://example.org/b",
        "HTTP://example.org/a",
    )
