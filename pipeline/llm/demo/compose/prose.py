"""Small tools for text: sentences, markers, the parts of a Markdown article, lengths."""

from __future__ import annotations

import re
from dataclasses import dataclass

MARKER = re.compile(r"\s*\[S[0-9a-f]{5,12}\]")

_SENTENCE_END = re.compile(r"(?<=[.!?])[”’\")]*\s+(?=[“\"(A-Z0-9])")
_POINTS_BACK = re.compile(
    r"(?:it|its|they|their|these|this|that|those|then|each|both|such|with two|from then|here|he|she"
    r"|so|but|and|another|the second|the other|after that|parts? of)\b",
    re.IGNORECASE,
)
_EMPHASIS = re.compile(r"[*_`]+")


@dataclass(frozen=True, slots=True)
class Section:
    heading: str
    paragraphs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Article:
    """A Markdown article in parts. `lead` holds the paragraphs before the first section."""

    title: str
    lead: tuple[str, ...]
    sections: tuple[Section, ...]

    @property
    def body(self) -> tuple[Section, ...]:
        """Sections that hold sourced claims; all of them when none does."""
        cited = tuple(s for s in self.sections if any(MARKER.search(p) for p in s.paragraphs))
        return cited or self.sections


def read_article(markdown: str) -> Article:
    title = ""
    lead: list[str] = []
    sections: list[tuple[str, list[str]]] = []
    paragraphs = lead
    for block in re.split(r"\n\s*\n", markdown.strip()):
        text = block.strip()
        if text.startswith("# ") and not title:
            title = text[2:].strip()
        elif text.startswith("## "):
            paragraphs = []
            sections.append((text[3:].strip(), paragraphs))
        elif text:
            paragraphs.append(text)
    return Article(title, tuple(lead), tuple(Section(h, tuple(p)) for h, p in sections))


def sentences(text: str) -> list[str]:
    return [part.strip() for part in _SENTENCE_END.split(text) if part.strip()]


def plain(text: str) -> str:
    """`text` without source markers and emphasis, as one line."""
    return " ".join(_EMPHASIS.sub("", MARKER.sub("", text)).split())


def cited_sentences(article: Article) -> list[str]:
    """The sentences that rest on evidence, section by section, as plain text."""
    return [
        plain(sentence)
        for section in article.body
        for paragraph in section.paragraphs
        for sentence in _cited_span(sentences(paragraph))
    ]


def stands_alone(sentence: str) -> bool:
    """Whether a sentence can be read without the one before it."""
    return not _POINTS_BACK.match(sentence)


def _cited_span(parts: list[str]) -> list[str]:
    """From the first sentence with a marker to the last: what lies between rests on them too."""
    marked = [n for n, part in enumerate(parts) if MARKER.search(part)]
    return parts[marked[0] : marked[-1] + 1] if marked else []


def word_count(text: str) -> int:
    return len(text.split())


def clip(text: str, limit: int) -> str:
    """At most `limit` characters, cut at a word's end and marked with an ellipsis."""
    text = " ".join(text.split())
    if len(text) <= limit:
        return text
    cut = text[: limit - 1]
    head = cut.rpartition(" ")[0]
    return (head if len(head) > limit // 2 else cut).rstrip(" ,;:–-") + "…"


def whole_sentences(text: str, limit: int) -> str:
    """As many whole sentences as fit into `limit` characters; clipped when not one does."""
    taken = ""
    for sentence in sentences(text):
        longer = f"{taken} {sentence}".strip()
        if len(longer) > limit:
            break
        taken = longer
    return taken or clip(text, limit)
