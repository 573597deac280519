"""From what was typed to a `Voice`, and back to what can be typed again. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

from pipeline.errors import SpecError
from pipeline.voice import Voice

LINE_READ_MAX_CHARS = 2_500  # of a typed line, before it is split up

_PAIR = re.compile(r"\s*(?P<use>[^=]*?)\s*=\s*(?P<instead>[^=]*?)\s*")
_LINK = re.compile(r"\s*(?P<title>.*?)[\s:=|–-]*(?P<url>\S+://\S+)\s*")


def make_voice(**fields: Any) -> Voice:
    """Validate what was typed. Raises `SpecError` with one sentence per problem."""
    try:
        return Voice(**fields)
    except ValidationError as error:
        raise SpecError("\n".join(map(_sentence, error.errors()))) from error


def words_of(lines: str) -> tuple[str, ...]:
    """One word or phrase a line, each once."""
    return tuple(dict.fromkeys(line.strip() for line in lines.splitlines() if line.strip()))


def spelling_of(lines: str) -> tuple[dict[str, str], ...]:
    """`colour = color`, one a line. Raises `SpecError` for a line of another form."""
    return tuple(
        {"use": match["use"], "instead_of": match["instead"]}
        for match in _matches(_PAIR, lines, "colour = color")
    )


def links_of(lines: str) -> tuple[dict[str, str], ...]:
    """`Our shop: https://example.com`, one a line. Raises `SpecError` for a line of another form."""
    return tuple(
        {"title": match["title"], "url": match["url"]}
        for match in _matches(_LINK, lines, "Our shop: https://example.com")
    )


def _matches(form: re.Pattern[str], lines: str, example: str) -> Iterable[re.Match[str]]:
    for line in words_of(lines):
        match = form.fullmatch(line[:LINE_READ_MAX_CHARS])
        if match is None:
            raise SpecError(f"“{line[:80]}” is not of the form “{example}”.", "Write it like that.")
        yield match


def _sentence(item: Any) -> str:
    message = str(item["msg"]).removeprefix("Value error, ").removesuffix(".")
    where = [
        part + 1 if isinstance(part, int) else str(part).replace("_", " ") for part in item["loc"]
    ]
    return f"{' '.join(map(str, where)).capitalize()}: {message}."


def form_of(voice: Voice) -> dict[str, str]:
    """The lists as lines, the way they are typed."""
    return {
        "banned_words": "\n".join(voice.banned_words),
        "spelling": "\n".join(f"{pair.use} = {pair.instead_of}" for pair in voice.spelling),
        "links": "\n".join(f"{link.title}: {link.url}" for link in voice.links),
    }
