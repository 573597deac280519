"""SEO specialist and metrics analyzer: metadata from the article, words for computed numbers."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Any

from pipeline.agents.outputs import MetricsReading, Recommendation, SeoReport
from pipeline.llm.demo.compose.prose import (
    Article,
    clip,
    plain,
    read_article,
    sentences,
    whole_sentences,
    word_count,
)
from pipeline.llm.demo.compose.reading import Task
from pipeline.llm.demo.compose.topic import Topic, keywords

TITLE_CHARS = (50, 60)
META_CHARS = (140, 155)
SLUG_CHARS = 60
LONG_SENTENCE_WORDS = 28
EASE_FIGURES = (
    "flesch_reading_ease",
    "amstad",
    "fernandez_huerta",
    "kandel_moles",
    "flesch_vacca",
)

_TITLE_TAILS = (
    "",
    ": a guide",
    ": a practical guide",
    ": what to know first",
    ": what to know before you start",
    ": the basics, the work, the mistakes",
)
_META_TAILS = (
    "What to know first.",
    "With clear steps and sources.",
    "Clear steps, usual mistakes and sources.",
    "The basics, the first steps and the usual mistakes, with sources.",
)


def seo(task: Task) -> str:
    article, topic = read_article(task.text("editor")), task.brief.topic
    focus = topic.core if topic.has_core else " ".join(topic.keywords[:3])
    words = [w for w in frequent_words(article) if w[:5] not in focus.lower()]
    return SeoReport(
        title=page_title(article.title or topic.title),
        meta_description=meta_description(article, topic),
        slug=slug(topic.title),
        focus_keyword=clip(focus, 100),
        secondary_keywords=words[:6],
        search_intent="informational",
        tags=list(dict.fromkeys([*topic.keywords[:3], *words[:3]])),
        suggestions=_suggestions(article, focus),
    ).model_dump_json(indent=1)


def page_title(title: str) -> str:
    """A results-page title near 50 to 60 characters that begins with the article's own."""
    low, high = TITLE_CHARS
    base = title if len(title) <= high else title.split(": ")[0]
    tails = ("",) if ":" in base or base.endswith("?") else _TITLE_TAILS
    options = [base + tail for tail in tails if len(base + tail) <= high] or [clip(base, high)]
    return next((option for option in options if len(option) >= low), options[-1])


def meta_description(article: Article, topic: Topic) -> str:
    low, high = META_CHARS
    lead = plain(article.lead[0]) if article.lead else f"About {topic.about}."
    text = whole_sentences(lead, high)
    tails = [tail for tail in _META_TAILS if len(text) + 1 + len(tail) <= high]
    if len(text) >= low or not tails:
        return clip(text, high)
    return f"{text} {tails[-1]}"


def slug(title: str) -> str:
    ascii_text = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    whole = re.sub(r"[^a-z0-9]+", "-", ascii_text).strip("-")
    if len(whole) > SLUG_CHARS:
        whole = whole[:SLUG_CHARS].rpartition("-")[0] or whole[:SLUG_CHARS]
    return whole or "article"


def frequent_words(article: Article) -> list[str]:
    text = " ".join(plain(p) for s in article.sections for p in s.paragraphs)
    counts = Counter(w for w in re.findall(r"[a-z]{5,}", text.lower()) if keywords(w))
    by_stem: dict[str, str] = {}
    for word, count in counts.most_common(40):
        if count > 1:
            by_stem.setdefault(word[:5], word)
    return list(by_stem.values())


def _suggestions(article: Article, focus: str) -> list[str]:
    found = []
    if article.lead and focus.lower() not in article.lead[0].lower():
        found.append(f"Use “{focus}” in the opening paragraph.")
    if article.sections and not any(focus.lower() in s.heading.lower() for s in article.sections):
        found.append(f"Work “{focus}” into one section heading.")
    for section in article.sections:
        long = [
            s
            for p in section.paragraphs
            for s in sentences(plain(p))
            if word_count(s) > LONG_SENTENCE_WORDS
        ]
        if long:
            found.append(
                f"Split the sentence that begins “{clip(long[0], 50)}” in “{section.heading}”."
            )
    found.append("Link to this article from related pages with the title as the link text.")
    return found[:5]


def metrics(task: Task) -> str:
    article, computed = read_article(task.text("editor")), task.data("computed")
    numbers = _numbers(computed)
    audience = clip(task.brief.audience, 120)
    return MetricsReading(
        interpretation=_interpretation(numbers),
        audience_fit=f"For “{audience}”: {_fit(_reading_ease(numbers))}",
        recommendations=_recommendations(article, numbers),
    ).model_dump_json(indent=1)


def _numbers(value: Any, prefix: str = "") -> dict[str, float]:
    """All numbers of the computed section by their names, however they are nested."""
    found: dict[str, float] = {}
    if isinstance(value, dict):
        for key, inner in value.items():
            found |= _numbers(inner, str(key))
    elif isinstance(value, int | float) and not isinstance(value, bool) and prefix:
        found[prefix] = value
    return found


def _interpretation(numbers: dict[str, float]) -> str:
    parts = []
    if words := numbers.get("words"):
        minutes = numbers.get("reading_minutes")
        time = f", about {max(1, round(minutes))} minutes of reading" if minutes else ""
        parts.append(f"The text has {round(words):,} words{time}.")
    average = numbers.get("words_per_sentence") or numbers.get("average_sentence_words")
    if average:
        kind = "short" if average < 14 else "of middle length" if average < 21 else "long"
        parts.append(f"Its sentences have {average:.1f} words on average, which is {kind}.")
    if (ease := _reading_ease(numbers)) is not None:
        parts.append(f"A reading ease of {ease:.0f} means that the text reads {_ease(ease)}.")
    if not parts:
        return "No computed numbers were given, so there is nothing to interpret."
    return " ".join([*parts, "The formulas see lengths only; they do not judge what is said."])


def _reading_ease(numbers: dict[str, float]) -> float | None:
    """Flesch's figure, or what a language has in its place."""
    return next((numbers[name] for name in EASE_FIGURES if name in numbers), None)


def _ease(ease: float) -> str:
    for floor, words in ((70, "easily"), (55, "fairly easily"), (40, "with some attention")):
        if ease >= floor:
            return words
    return "with effort"


def _fit(ease: float | None) -> str:
    if ease is None:
        return "no readability figure applies, so the fit has to be judged by reading."
    if ease >= 55:
        return "the text asks for no special knowledge and no great patience."
    if ease >= 40:
        return "readers used to magazine articles will manage; hurried readers may want shorter sentences."
    return "the sentences and words are long; shorter ones would open the text to more readers."


def _recommendations(article: Article, numbers: dict[str, float]) -> list[Recommendation]:
    texts = [s for part in article.sections for p in part.paragraphs for s in sentences(plain(p))]
    found = [
        Recommendation(
            issue="The longest sentence asks for a second reading",
            evidence=f"“{clip(sentence, 90)}” has {word_count(sentence)} words",
            fix="Split it at the comma or the conjunction nearest its middle.",
        )
        for sentence in sorted(texts, key=word_count, reverse=True)[:1]
        if word_count(sentence) > LONG_SENTENCE_WORDS
    ]
    longest = max(article.sections, key=_section_words, default=None)
    if longest is not None and len(article.sections) > 2:
        found.append(
            Recommendation(
                issue=f"“{clip(longest.heading, 80)}” is the longest section",
                evidence=f"{_section_words(longest)} words; the others have "
                f"{_others_words(longest, article.sections)} on average",
                fix="Check whether its last paragraph would be better as a section of its own.",
            )
        )
    if (share := numbers.get("long_sentence_share")) and share > 0.25:
        found.append(
            Recommendation(
                issue="Many long sentences",
                evidence=f"{share:.0%} of the sentences are long",
                fix="Begin with the longest and give each thought its own sentence.",
            )
        )
    return found


def _others_words(longest: Any, sections: Sequence[Any]) -> int:
    others = [_section_words(section) for section in sections if section is not longest]
    return round(sum(others) / len(others)) if others else 0


def _section_words(section: Any) -> int:
    return sum(word_count(plain(p)) for p in section.paragraphs)
