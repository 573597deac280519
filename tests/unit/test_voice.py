"""A brand voice as typed, kept and read again."""

import re

import pytest

from pipeline.errors import SpecError
from pipeline.models import STORED, RunSpec
from pipeline.voice import WORDS_MAX, Voice
from pipeline.voice_form import form_of, links_of, make_voice, spelling_of, words_of


def test_what_is_typed_comes_back_as_it_can_be_typed_again() -> None:
    voice = make_voice(
        name="  House  voice ",
        banned_words=words_of(" leverage \n\nworld class\nleverage\n"),
        spelling=spelling_of("colour = color\nGitHub = Github"),
        links=links_of("Our shop: https://example.com/shop?a=b\nhttps://example.com"),
        call_to_action="Write to us.",
    )

    assert voice.name == "House voice"
    assert form_of(voice) == {
        "banned_words": "leverage\nworld class",
        "spelling": "colour = color\nGitHub = Github",
        "links": "Our shop: https://example.com/shop?a=b\n: https://example.com",
    }
    typed = form_of(voice)
    assert links_of(typed["links"]) == tuple(link.model_dump() for link in voice.links)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": " "}, "Name: it is empty"),
        ({"name": "a", "voice": "x" * 1_501}, "Voice: String should have at most 1500"),
        ({"name": "a\x00"}, "control characters"),
        ({"name": "a", "banned_words": ("a\u202eb",)}, "Banned words 1: "),
        ({"name": "a", "banned_words": ("w",) * (WORDS_MAX + 1)}, "at most 100"),
        ({"name": "a", "links": ({"title": "t", "url": "javascript://x"},)}, "Links 1 url: “javas"),
        ({"name": "a", "links": ({"title": "t", "url": "https://"},)}, "no web address"),
    ],
)
def test_what_does_not_fit_is_said_in_a_sentence(fields: dict[str, object], said: str) -> None:
    with pytest.raises(SpecError, match=r"\.\Z") as caught:
        make_voice(**fields)

    assert said in str(caught.value)


@pytest.mark.parametrize("line", ["colour", "a = b = c", "="])
def test_a_spelling_of_another_form_is_refused_with_an_example(line: str) -> None:
    with pytest.raises(SpecError):
        make_voice(name="a", spelling=spelling_of(line))


def test_a_link_without_an_address_is_refused_with_an_example() -> None:
    with pytest.raises(SpecError, match=re.escape("Our shop: https://example.com")):
        links_of("Our shop: example")


def test_a_run_keeps_its_voice_and_can_be_read_by_a_stricter_reader() -> None:
    spec = RunSpec(topic="Bees", voice=Voice(name="House", banned_words=("a",)))
    stored = spec.model_dump_json().replace('"a"', '"a\\u202eb"')

    read = RunSpec.model_validate_json(stored, context=STORED)

    assert read.voice is not None
    assert read.voice.banned_words == ("a\u202eb",)
    assert RunSpec.model_validate_json(spec.model_dump_json()) == spec
    assert RunSpec.model_validate_json('{"topic": "Bees"}').voice is None
