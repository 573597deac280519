"""Count a text and compute how hard it is to read. Numbers by code; what they mean is for others.

Counted is prose only: paragraphs, list items and quotations. Headings, code, tables, addresses
and citations are left out. The formulas were fitted to one language each and are given for no other.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

from pipeline.content.citations import drop_markers, strip_references
from pipeline.content.formulas import ENGLISH, Counts, Metric, measured
from pipeline.content.language_formulas import FORMULAS
from pipeline.content.languages import Language, language_code
from pipeline.content.syllables import syllable_counter
from pipeline.content.syllables.english import syllables as english_syllables

KEPT_TEXTS = 16
LEAST_WORDS = 100
WORDS_PER_MINUTE = 238
CJK_PER_MINUTE = 500
DIVERSITY_WINDOW = 100
LONG_WORD = 6  # letters; words of more are counted as long
LONG_SENTENCE = 25  # words; longer ones are counted as long
CJK_SHARE = 0.3  # of the letters; above it words are not separated by spaces

COUNTED = "paragraphs, lists and quotations; no headings, code, tables, addresses or citations"
TOO_SHORT = f"too short: fewer than {LEAST_WORDS} words"
NOT_ENGLISH = "not applicable: this formula was made for English"
NO_SPACES = "not applicable: this script does not separate words"

_WORD = re.compile(r"[^\W_]+(?:['’\-][^\W_]+)*")
# Hiragana, katakana and Han with its extensions: scripts that do not separate words.
_CJK = re.compile(r"[\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_LETTER = re.compile(r"[^\W\d_]")
# Every repetition before something that must follow is bounded: text from outside may have no end.
_ADDRESS = re.compile(
    r"(?:https?://|www\.)\S+|[^\s@]{1,64}@[^\s@.]{1,63}\.[^\s@]{1,190}", re.IGNORECASE
)
_END = re.compile(r"(?<![.!?…])[.!?…]+[\"'”’)\]]*(?=\s|$)|[。！？]+")
_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|vs|cf|ca|approx|dr|mr|mrs|ms|prof|st|no|fig|vol|pp|inc|ltd|co|jr|sr"
    r"|bzw|usw|evtl|ggf|inkl|nr|sog|vgl|sra|srta|dra|pág|mme|mlle|sig|sigg|dott|ecc)"
    r"|\b[A-Z]|\b[a-z]\.[a-z])\.$",
    re.IGNORECASE,
)
_parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])


@dataclass(frozen=True, slots=True)
class ComputedMetrics:
    language: str
    note: str  # what readers must know about these numbers as a whole; may be empty
    metrics: dict[str, Metric]  # name → number, in the order in which they are shown

    def value(self, name: str) -> float | int | None:
        return self.metrics[name].value

    def to_dict(self) -> dict[str, object]:
        """Plain JSON values: the numbers by name, and beside them how each was made."""
        return {
            "language": self.language,
            "counted": COUNTED,
            "note": self.note,
            "numbers": {name: metric.value for name, metric in self.metrics.items()},
            "metrics": {name: asdict(metric) for name, metric in self.metrics.items()},
        }


@lru_cache(maxsize=KEPT_TEXTS)
def computed_metrics(markdown: str, language: str) -> ComputedMetrics:
    """All numbers for an article in Markdown, in the language the brief names.

    Agents, page and report ask about the same few texts: the last ones are remembered.
    """
    # accents as signs of their own would part words and hide vowels
    paragraphs = [unicodedata.normalize("NFC", text) for text in prose_paragraphs(markdown)]
    code = language_code(language)
    counts, words = count(paragraphs, code)
    is_cjk = counts.cjk > CJK_SHARE * max(1, len(_LETTER.findall(" ".join(paragraphs))))
    code = "" if is_cjk else code
    metrics = _lengths(counts, words, is_cjk=is_cjk)
    too_short = TOO_SHORT if counts.words < LEAST_WORDS else ""
    own = FORMULAS.get(code, {})
    metrics.update({name: measured(formula, counts, too_short) for name, formula in own.items()})
    if code == "en":
        return ComputedMetrics(language, "", metrics)
    metrics.update({name: measured(f, counts, NOT_ENGLISH) for name, f in ENGLISH.items()})
    names = " and ".join(formula.label for formula in own.values())
    known = f"lengths, {names}" if names else "lengths only"
    return ComputedMetrics(language, f"{language}: {known}; the others are for English", metrics)


def has_cjk(text: str) -> bool:
    return bool(_CJK.search(text))


def prose_paragraphs(markdown: str) -> list[str]:
    """The text of each paragraph, list item and quotation; nothing else."""
    return list(_prose(markdown))


@lru_cache(maxsize=KEPT_TEXTS)
def _prose(markdown: str) -> tuple[str, ...]:
    tokens = _parser.parse(drop_markers(strip_references(markdown)))
    found: list[str] = []
    inside = ""
    for token in tokens:
        if token.type in ("paragraph_open", "heading_open", "table_open"):
            inside = inside if inside == "table_open" else token.type
        elif token.type in ("paragraph_close", "heading_close", "table_close"):
            inside = inside if inside == "table_open" and token.type != "table_close" else ""
        elif token.type == "inline" and inside == "paragraph_open":
            text = " ".join(_ADDRESS.sub(" ", _inline_text(token)).split())
            if text:
                found.append(text)
    return tuple(found)


def figure_words(metric: Mapping[str, Any]) -> str:
    """A metric's value as people read it: with its unit, a share as a percentage."""
    value, unit = metric["value"], metric["unit"]
    if value is None:
        return "–"
    words = f"{value:.0%}" if unit == "share" else f"{value:,} {unit}".strip()
    return f"{words}: {metric['band']}" if metric.get("band") else words


def sentences(paragraph: str) -> list[str]:
    """Sentences of one paragraph; abbreviations and initials do not end one."""
    found: list[str] = []
    start = 0
    for match in _END.finditer(paragraph):
        last_words = paragraph[max(start, match.end() - 12) : match.end()]
        if match[0] == "." and _ABBREVIATION.search(last_words) and match.end() < len(paragraph):
            continue
        found.append(paragraph[start : match.end()].strip())
        start = match.end()
    if rest := paragraph[start:].strip():
        found.append(rest)
    return [sentence for sentence in found if _WORD.search(sentence)]


def count(paragraphs: Sequence[str], language: Language = "en") -> tuple[Counts, list[str]]:
    """Count the paragraphs; the words come along, in order."""
    words = [word for paragraph in paragraphs for word in _WORD.findall(paragraph)]
    syllables = syllable_counter(language)
    per_word = [syllables(word) for word in words]
    letters = [sum(c.isalnum() for c in word) for word in words]
    complex_words = [w for w, n in zip(words, per_word, strict=True) if n >= 3]
    all_sentences = [s for paragraph in paragraphs for s in sentences(paragraph)]
    counts = Counts(
        words=len(words),
        elided=sum(len(re.findall("['’]", word)) for word in words),
        sentences=len(all_sentences),
        long_sentences=sum(len(_WORD.findall(s)) > LONG_SENTENCE for s in all_sentences),
        paragraphs=len(paragraphs),
        letters=sum(letters),
        syllables=sum(per_word),
        complex_words=len(complex_words),
        fog_words=sum(_counts_for_fog(word) for word in complex_words),
        monosyllables=per_word.count(1),
        long_words=sum(n > LONG_WORD for n in letters),
        cjk=sum(len(_CJK.findall(paragraph)) for paragraph in paragraphs),
    )
    return counts, words


def diversity(words: Sequence[str], window: int = DIVERSITY_WINDOW) -> float | None:
    """Mean share of different words in every stretch of `window` words; None when too short.

    The plain share falls with length; this moving average (Covington and McFall, 2010) does not.
    """
    lowered = [word.lower() for word in words]
    if len(lowered) < window:
        return None
    stretches = len(lowered) - window + 1
    seen: dict[str, int] = {}
    total = 0
    for position, word in enumerate(lowered):
        seen[word] = seen.get(word, 0) + 1
        if position >= window:
            gone = lowered[position - window]
            seen[gone] -= 1
            if not seen[gone]:
                del seen[gone]
        if position >= window - 1:
            total += len(seen)
    return total / stretches / window


def _inline_text(token: Token) -> str:
    parts: list[str] = []
    for child in token.children or []:
        if child.type == "text":
            parts.append(child.content)
        elif child.type in ("softbreak", "hardbreak", "code_inline", "image"):
            parts.append(" ")
    return "".join(parts)


def _counts_for_fog(word: str) -> bool:
    """Three syllables without an ending that inflection added; hyphenated words do not count."""
    if "-" in word:
        return False
    stem = re.sub(r"(?:es|ed|ing)$", "", word.lower())
    return stem == word.lower() or english_syllables(stem) >= 3


def _lengths(counts: Counts, words: Sequence[str], *, is_cjk: bool) -> dict[str, Metric]:
    no_words = NO_SPACES if is_cjk else ""
    per_minute = counts.cjk / CJK_PER_MINUTE if is_cjk else counts.words / WORDS_PER_MINUTE
    basis = f"{CJK_PER_MINUTE} characters" if is_cjk else f"{WORDS_PER_MINUTE} words"
    spread = None if is_cjk else diversity(words)
    return {
        "words": Metric("Words", None if is_cjk else counts.words, "words", "counted", no_words),
        "characters": Metric(
            "Letters and digits", counts.letters, "characters", "counted, without spaces"
        ),
        "sentences": Metric("Sentences", counts.sentences, "sentences", "counted"),
        "paragraphs": Metric("Paragraphs", counts.paragraphs, "paragraphs", "counted"),
        "words_per_sentence": Metric(
            "Average sentence",
            None if is_cjk else _ratio(counts.words, counts.sentences),
            "words",
            "words / sentences",
            no_words,
        ),
        "long_sentence_share": Metric(
            "Long sentences",
            None
            if is_cjk or not counts.sentences
            else round(counts.long_sentences / counts.sentences, 2),
            "share",
            f"sentences of more than {LONG_SENTENCE} words / sentences",
            no_words,
        ),
        "sentences_per_paragraph": Metric(
            "Average paragraph",
            _ratio(counts.sentences, counts.paragraphs),
            "sentences",
            "sentences / paragraphs",
        ),
        "reading_minutes": Metric(
            "Reading time", round(per_minute, 1), "minutes", f"{basis} a minute"
        ),
        "vocabulary_diversity": Metric(
            "Vocabulary diversity",
            None if spread is None else round(spread, 2),
            "share",
            f"different words in every {DIVERSITY_WINDOW} words, moving average",
            no_words or ("" if spread is not None else TOO_SHORT),
        ),
    }


def _ratio(part: int, whole: int) -> float | None:
    return round(part / whole, 1) if whole else None
