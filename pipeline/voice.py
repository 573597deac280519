"""A brand voice: how one owner's articles sound, and what code can check of that. Pure values.

Presets live in the store; a run carries a copy of the one it was asked for with.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo

from pipeline.signs import STORED, check_signs, has_visible, is_web_address

NAME_MAX_CHARS = 80
TEXT_MAX_CHARS = 1_500
LINE_MAX_CHARS = 300
WORD_MAX_CHARS = 80
WORDS_MAX = 100
LINKS_MAX = 10


def _text(value: str, info: ValidationInfo) -> str:
    if info.context is STORED:
        return value
    check_signs(value, "text")
    return value.strip()


def _line(value: str, info: ValidationInfo) -> str:
    return value if info.context is STORED else " ".join(_text(value, info).split())


def _word(value: str, info: ValidationInfo) -> str:
    line = _line(value, info)
    if info.context is not STORED and not has_visible(line):
        raise ValueError("a word is empty; remove the line")
    return line


def _name(value: str, info: ValidationInfo) -> str:
    line = _line(value, info)
    if info.context is not STORED and not has_visible(line):
        raise ValueError("it is empty; runs and pages call the voice by it")
    return line


def _address(value: str, info: ValidationInfo) -> str:
    url = _line(value, info)
    if info.context is not STORED and not is_web_address(url):
        raise ValueError(f"“{url[:80]}” is no web address; write it whole, with https://")
    return url


Text = Annotated[str, Field(max_length=TEXT_MAX_CHARS), AfterValidator(_text)]
Line = Annotated[str, Field(max_length=LINE_MAX_CHARS), AfterValidator(_line)]
Word = Annotated[str, Field(max_length=WORD_MAX_CHARS), AfterValidator(_word)]


class Kept(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Spelling(Kept):
    """`use` stands wherever somebody would write `instead_of`."""

    use: Word
    instead_of: Word


class HouseLink(Kept):
    """A page of one's own that articles and posts may lead to."""

    title: Line
    url: Annotated[str, AfterValidator(_address)]


class Voice(Kept):
    """What writer, editor and promoter are told, and what code checks of it.

    Code checks `banned_words`, `spelling` and that `call_to_action` stands word for word; it takes
    `links` for known addresses. `voice` and `audience` are for the models alone.
    """

    name: Annotated[str, Field(max_length=NAME_MAX_CHARS), AfterValidator(_name)]
    voice: Text = ""
    audience: Line = ""
    banned_words: tuple[Word, ...] = Field(default=(), max_length=WORDS_MAX)
    spelling: tuple[Spelling, ...] = Field(default=(), max_length=WORDS_MAX)
    links: tuple[HouseLink, ...] = Field(default=(), max_length=LINKS_MAX)
    call_to_action: Line = ""
