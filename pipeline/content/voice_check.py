"""Say where a text breaks its brand voice, as far as code can tell. Pure.

Checked are words that must not stand, spellings, and that the call to action stands word for word.
How a text sounds, code cannot say.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, Literal

import regex  # type: ignore[import-untyped]

from pipeline.content.addresses import unlinked_words
from pipeline.content.citations import drop_markers
from pipeline.voice import Voice

EXCERPT_CHARS = 60  # on each side of what was found
_ADDRESS = re.compile(r"(?:https?://|www\.)\S{1,2000}", re.IGNORECASE)
_INVISIBLE = dict.fromkeys(map(ord, "\u00ad\u200b\u2060\ufeff"))
_SIGNS = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "—": "-", "‑": "-"})
# Scripts whose words stand side by side without a space: there a word begins anywhere.
_UNSPACED = regex.compile(
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}]"
)

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
    prose = _prose(text)
    banned = [
        _fault("banned_word", word, "", _found(_pattern(word, folded=True), prose), prose)
        for word in voice.banned_words
    ]
    spelt = [
        _fault(
            "spelling",
            pair.instead_of,
            pair.use,
            _misspelt(pair.use, pair.instead_of, prose),
            prose,
        )
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
    shown = unlinked_words(drop_markers(text)).translate(_INVISIBLE).translate(_SIGNS)
    return unicodedata.normalize("NFC", shown)


@lru_cache(maxsize=512)
def _pattern(words: str, *, folded: bool) -> Any:
    """A whole word or phrase, whatever white space is inside it."""
    plain = unicodedata.normalize("NFC", words.translate(_INVISIBLE).translate(_SIGNS))
    inner = r"\s+".join(regex.escape(part) for part in plain.split())
    before = "" if _UNSPACED.match(plain[:1]) else r"(?<![\w@/])"
    after = "" if _UNSPACED.match(plain[-1:]) else r"(?!\w)"
    flags = regex.IGNORECASE | regex.FULLCASE if folded else 0
    return regex.compile(f"{before}{inner}{after}", flags)


def _found(pattern: Any, prose: str) -> list[tuple[int, int]]:
    taken = [match.span() for match in _ADDRESS.finditer(prose)]
    return [match.span() for match in pattern.finditer(prose) if not _inside(match.span(), taken)]


def _misspelt(use: str, instead_of: str, prose: str) -> list[tuple[int, int]]:
    """Where `instead_of` stands that is not a part of `use`; pairs of one word differ in case."""
    same = use.casefold() == instead_of.casefold()
    right = _found(_pattern(use, folded=not same), prose)
    wrong = _found(_pattern(instead_of, folded=not same), prose)
    return [span for span in wrong if not _inside(span, right)]


def _inside(span: tuple[int, int], others: Iterable[tuple[int, int]]) -> bool:
    return any(start <= span[0] and span[1] <= end for start, end in others)


def _fault(
    kind: Kind, found: str, wanted: str, spans: Sequence[tuple[int, int]], prose: str
) -> VoiceFault | None:
    if not spans:
        return None
    start, end = spans[0]
    excerpt = prose[max(0, start - EXCERPT_CHARS) : end + EXCERPT_CHARS]
    return VoiceFault(kind, found, wanted, len(spans), " ".join(excerpt.split()))
