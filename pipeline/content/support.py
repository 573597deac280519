"""Set each statement against the passages it cites: do its words and numbers stand there?

Pure, and plain counting: shared stems, equal numbers, a denial on one side only. It cannot tell whether
a passage *means* what a statement says, and a passage may itself be wrong (docs/grounding.md).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pipeline.content.claim_words import ClaimWords, claim_words, language_of
from pipeline.content.languages import Language
from pipeline.content.readability import sentences
from pipeline.content.statements import Statement
from pipeline.models import Source

SUPPORTED_SHARE = 0.5  # of a statement's stems, in the passages it cites
WEAK_SHARE = 0.25
STANDS_ELSEWHERE_SHARE = 0.7  # of an uncited statement's stems, in one passage of the article's
CLAIM_STEMS = 4  # a statement with fewer, and no number, says too little to need a source


class Verdict(StrEnum):
    SUPPORTED = "supported"
    WEAK = "weak"
    UNSUPPORTED = "unsupported"
    NOT_COMPARED = "not_compared"  # the passages are in another language
    UNCITED = "uncited"
    NO_CLAIM = "no_claim"  # headings, questions, transitions


@dataclass(frozen=True, slots=True)
class Support:
    """What was found for one statement. `score`: share of its stems in the cited passages, 0 to 1.

    `passage` is the id of the passage that has most of them, `words` the sentences of it that do.
    """

    statement: Statement
    verdict: Verdict
    score: float = 0.0
    passage: str = ""
    words: str = ""
    notes: tuple[str, ...] = ()


def support_of(
    found: Sequence[Statement], sources: Mapping[str, Source], language: Language = ""
) -> tuple[Support, ...]:
    """The support of every statement, in order. About 0.1 s for an article of 100 kB."""
    index = _Passages(sources, language)
    return tuple(
        _cited(statement, keys, index)
        if (keys := [key for key in statement.keys if key in sources])
        else _uncited(statement, index)
        for statement in found
    )


class _Passages:
    """The passages' words, and which passage has which stem."""

    def __init__(self, sources: Mapping[str, Source], language: Language) -> None:
        self.language = language
        self.sources = sources
        self.words = {key: claim_words(source.passage, language) for key, source in sources.items()}
        self._having: dict[str, list[str]] = defaultdict(list)
        for key, words in self.words.items():
            for stem in words.stems:
                self._having[stem].append(key)

    def best_anywhere(self, words: ClaimWords) -> tuple[str, float]:
        """The passage with most of the stems, and the share it has."""
        counts = Counter(key for stem in words.stems for key in self._having.get(stem, ()))
        if not counts:
            return "", 0.0
        key, count = counts.most_common(1)[0]
        return key, count / len(words.stems)

    def in_other_language(self, key: str) -> bool:
        other = language_of(self.sources[key].passage)
        return bool(self.language and other and other != self.language)


def share_of(words: ClaimWords, other: ClaimWords) -> float:
    """Share of the stems of `words` that `other` has; 0 when there are none."""
    return len(words.stems & other.stems) / len(words.stems) if words.stems else 0.0


def _cited(statement: Statement, keys: Sequence[str], index: _Passages) -> Support:
    if statement.kind == "heading":
        return Support(statement, Verdict.NO_CLAIM)
    words = claim_words(statement.text, index.language)
    best = max(keys, key=lambda key: share_of(words, index.words[key]))
    stems = frozenset().union(*(index.words[key].stems for key in keys))
    score = len(words.stems & stems) / len(words.stems) if words.stems else 0.0
    there = frozenset().union(
        *(index.words[key].numbers | index.words[key].spelled for key in keys)
    )
    quoted = _best_sentences(words, index.sources[best].passage, index.language)
    missing = sorted(words.numbers - there)
    verdict = _verdict(score)
    notes = []
    if missing:
        verdict = Verdict.UNSUPPORTED
        notes.append(f"Not in the passage: {', '.join(missing[:6])}")
    elif verdict is not Verdict.SUPPORTED and all(map(index.in_other_language, keys)):
        verdict = Verdict.NOT_COMPARED
        notes.append("The passage is in another language: only numbers were compared")
    elif (
        words.denies != claim_words(quoted, index.language).denies and verdict is Verdict.SUPPORTED
    ):
        verdict = Verdict.WEAK
        notes.append("One of the two denies something, the other does not")
    return Support(statement, verdict, round(score, 3), best, quoted, tuple(notes))


def _verdict(score: float) -> Verdict:
    if score >= SUPPORTED_SHARE:
        return Verdict.SUPPORTED
    return Verdict.WEAK if score >= WEAK_SHARE else Verdict.UNSUPPORTED


def _uncited(statement: Statement, index: _Passages) -> Support:
    words = claim_words(statement.text, index.language)
    asks = statement.text.rstrip("\"'”’»)").endswith(("?", "？"))
    if (
        statement.kind == "heading"
        or asks
        or (not words.numbers and len(words.stems) < CLAIM_STEMS)
    ):
        return Support(statement, Verdict.NO_CLAIM)
    key, score = index.best_anywhere(words)
    if score < STANDS_ELSEWHERE_SHARE or words.numbers - index.words[key].numbers:
        return Support(statement, Verdict.UNCITED)
    quoted = _best_sentences(words, index.sources[key].passage, index.language)
    note = "Its words stand in this source, which it does not name"
    return Support(statement, Verdict.UNCITED, round(score, 3), key, quoted, (note,))


def _best_sentences(words: ClaimWords, passage: str, language: Language) -> str:
    """The one or two neighbouring sentences of the passage that share most stems."""
    parts = sentences(" ".join(passage.split())) or [passage.strip()]
    each = [claim_words(part, language) for part in parts]
    best = max(range(len(parts)), key=lambda at: len(words.stems & each[at].stems))
    near = [at for at in (best - 1, best + 1) if 0 <= at < len(parts)]
    have = words.stems & each[best].stems
    gain = {at: len((words.stems & each[at].stems) - have) for at in near}
    other = max(near, key=lambda at: gain[at], default=best)
    if gain.get(other, 0) < 2:
        return parts[best]
    first, second = sorted((best, other))
    return f"{parts[first]} {parts[second]}"
