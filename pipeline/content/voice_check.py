"""Say where a text breaks its brand voice, as far as code can tell. Pure.

Checked are words that must not stand, spellings, and that the call to action stands word for word.
How a text sounds, code cannot say.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, Literal

import regex  # type: ignore[import-untyped]

from pipeline.content.addresses import unlinked_words
from pipeline.content.citations import drop_markers
from pipeline.voice import Spelling, Voice

EXCERPT_CHARS = 60  # on each side of what was found
_ADDRESS = re.compile(r"(?:https?://|www\.)\S{1,2000}", re.IGNORECASE)
_INVISIBLE = dict.fromkeys(map(ord, "\u00ad\u200b\u2060\ufeff"))
_SIGNS = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "—": "-", "‑": "-"})
# Scripts whose words stand side by side without a space: there a word begins anywhere.
_UNSPACED = regex.compile(
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}]"
)

Span = tuple[int, int]
Kind = Literal["banned_word", "spelling", "call_to_action"]


@dataclass(frozen=True, slots=True)
class VoiceFault:
    """One thing to mend: `found` stands `count` times, first in `excerpt`; `wanted` may be empty."""

    kind: Kind
    found: str
    wanted: str = ""
    count: int = 1
    excerpt: str = ""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def sentence(self) -> str:
        """For people and for models alike."""
        times = "" if self.count == 1 else f", {self.count} times"
        match self.kind:
            case "banned_word":
                return f"“{self.found}” must not be used{times}: “{self.excerpt}”."
            case "spelling":
                return f"Write “{self.wanted}”, not “{self.found}”{times}: “{self.excerpt}”."
            case "call_to_action":
                return f"The call to action is missing: “{self.wanted}”."


def word_faults(voice: Voice, text: str) -> list[VoiceFault]:
    """Banned words and other spellings in `text`, Markdown or plain; addresses are left alone."""
    prose = _read(text)
    banned = [
        _fault("banned_word", word, "", _found(word, prose), prose.text)
        for word in voice.banned_words
    ]
    spelt = [
        _fault("spelling", pair.instead_of, pair.use, _misspelt(pair, prose), prose.text)
        for pair in voice.spelling
    ]
    return [fault for fault in (*banned, *spelt) if fault is not None]


def action_fault(voice: Voice, text: str) -> VoiceFault | None:
    """The call to action, unless there is none or `text` has it word for word."""
    if not voice.call_to_action or has_action(voice, text):
        return None
    return VoiceFault("call_to_action", "", voice.call_to_action)


def has_action(voice: Voice, text: str) -> bool:
    """True when the call to action stands in `text`; its address, emphasis and case do not matter."""
    wanted = _bare(voice.call_to_action)
    return bool(wanted) and wanted in _bare(text)


def _bare(text: str) -> str:
    words = _ADDRESS.sub(" ", _prose(text)).replace("{link}", " ")
    return " ".join(re.sub(r"[*_`]", "", words).casefold().split()).rstrip(" .:!")


def _prose(text: str) -> str:
    """As people read it: no citations, no targets of links, no invisible signs, plain quotes."""
    return _plain(unlinked_words(drop_markers(text)))


def _plain(text: str) -> str:
    return unicodedata.normalize("NFC", text.translate(_INVISIBLE).translate(_SIGNS))


@lru_cache(maxsize=512)
def _pattern(words: str, *, folded: bool) -> Any:
    """A whole word or phrase, whatever white space is inside it."""
    plain = _plain(words)
    inner = r"\s+".join(regex.escape(part) for part in plain.split())
    before = "" if _UNSPACED.match(plain[:1]) else r"(?<![\w@/])"
    after = "" if _UNSPACED.match(plain[-1:]) else r"(?!\w)"
    flags = regex.IGNORECASE | regex.FULLCASE if folded else 0
    return regex.compile(f"{before}{inner}{after}", flags)


@dataclass(frozen=True, slots=True)
class _Read:
    """A text, and what makes looking for many words in it quick."""

    text: str
    folded: str  # for a first look: what does not stand here stands nowhere in the text
    addresses: tuple[Span, ...]


def _read(text: str) -> _Read:
    prose = _prose(text)
    addresses = tuple(match.span() for match in _ADDRESS.finditer(prose))
    return _Read(prose, _folded(prose), addresses)


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text.casefold()).split())


def _found(words: str, prose: _Read, *, folded: bool = True) -> list[Span]:
    if _folded(_plain(words)) not in prose.folded:
        return []
    found = (match.span() for match in _pattern(words, folded=folded).finditer(prose.text))
    return [span for span in found if not _inside(span, prose.addresses)]


def _misspelt(pair: Spelling, prose: _Read) -> list[Span]:
    """Where `instead_of` stands that is not a part of `use`; pairs of one word differ in case."""
    folded = pair.use.casefold() != pair.instead_of.casefold()
    wrong = _found(pair.instead_of, prose, folded=folded)
    right = _found(pair.use, prose, folded=folded) if wrong else []
    return [span for span in wrong if not _inside(span, right)]


def _inside(span: Span, others: Sequence[Span]) -> bool:
    """True when one of `others`, in the order of the text, holds the whole span."""
    last = bisect_right(others, span[0], key=lambda other: other[0]) - 1
    return last >= 0 and span[1] <= others[last][1]


def _fault(
    kind: Kind, found: str, wanted: str, spans: Sequence[Span], prose: str
) -> VoiceFault | None:
    if not spans:
        return None
    return VoiceFault(kind, found, wanted, len(spans), _excerpt(prose, *spans[0]))


def _excerpt(prose: str, start: int, end: int) -> str:
    """What stands around a place, on one line, cut between words."""
    before, after = prose[:start], prose[end:]
    if len(before) > EXCERPT_CHARS:
        before = "… " + before[-EXCERPT_CHARS:].partition(" ")[2]
    if len(after) > EXCERPT_CHARS:
        after = after[:EXCERPT_CHARS].rpartition(" ")[0] + " …"
    return " ".join(f"{before}{prose[start:end]}{after}".split())
