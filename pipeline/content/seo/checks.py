"""Check search metadata by code: what is measurable, with its value and what to do about it.

The thresholds are guidelines, not ranking facts. The score is the weighted share of the checks that
could be made and passed; nothing a model said is in it. The weights add up to 100.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token

from pipeline.content.addresses import addresses, canonical
from pipeline.content.article import Article
from pipeline.content.readability import has_cjk, prose_paragraphs
from pipeline.content.seo.snippet import description_width, devices, title_width
from pipeline.content.seo.wording import SLUG_CHARS, ascii_words, keyword_count, words

TITLE_CHARS: Final = (30, 60)
DESCRIPTION_CHARS: Final = (70, 155)
OPENING_WORDS: Final = 100
DENSITY_MAX: Final = 3.0  # percent; above it a text reads stuffed
_parser = MarkdownIt("commonmark")

WEIGHTS: Final[Mapping[str, int]] = {
    "title_length": 8,
    "title_pixels": 6,
    "description_length": 8,
    "description_pixels": 6,
    "slug": 5,
    "one_title": 8,
    "heading_levels": 8,
    "links": 8,
    "alt_text": 5,
    "keyword_in_title": 10,
    "keyword_in_headline": 6,
    "keyword_in_opening": 8,
    "keyword_in_slug": 4,
    "keyword_in_heading": 5,
    "keyword_density": 5,
}


@dataclass(frozen=True, slots=True)
class Check:
    """One finding. `ok` is None when it cannot be checked; such a check has no part in the score."""

    name: str
    label: str
    ok: bool | None
    value: str
    advice: str = ""
    weight: int = 0


def checks(title: str, description: str, slug: str, keyword: str, article: Article) -> list[Check]:
    """All of them, in the order in which they are shown; empty fields are not checked."""
    return [
        *_metadata_checks(title, description, slug),
        *_structure_checks(article),
        *_keyword_checks(keyword, title, slug, article),
    ]


def score(made: Sequence[Check]) -> int | None:
    """Percent of the weight of all checks that could be made; None when there were none."""
    counted = [check for check in made if check.ok is not None and check.weight]
    total = sum(check.weight for check in counted)
    return (
        round(100 * sum(check.weight for check in counted if check.ok) / total) if total else None
    )


def _check(name: str, label: str, ok: bool | None, value: str, advice: str) -> Check:
    return Check(name, label, ok, value, "" if ok else advice, WEIGHTS[name])


def _metadata_checks(title: str, description: str, slug: str) -> list[Check]:
    desktop = devices()["desktop"]
    return [
        _length_check("title_length", "Title, characters", title, TITLE_CHARS),
        _pixel_check("title_pixels", "Title, pixels", title, title_width(title), desktop.title_px),
        _length_check(
            "description_length", "Description, characters", description, DESCRIPTION_CHARS
        ),
        _pixel_check(
            "description_pixels",
            "Description, pixels",
            description,
            description_width(description),
            desktop.description_px,
        ),
        _check(
            "slug",
            "Slug",
            len(slug) <= SLUG_CHARS and slug.isascii(),
            slug,
            f"Use ASCII words joined by hyphens, at most {SLUG_CHARS} characters.",
        ),
    ]


def _length_check(name: str, label: str, text: str, band: tuple[int, int]) -> Check:
    low, high = band
    if not text:
        return _check(name, label, None, "none", "There is none.")
    if has_cjk(text):  # a sign there says as much as a word: the pixels decide
        return _check(name, label, None, f"{len(text)}, see the pixels", "")
    ok = low <= len(text) <= high
    return _check(name, label, ok, f"{len(text)}", f"Aim for {low} to {high} characters.")


def _pixel_check(name: str, label: str, text: str, pixels: float, limit: int) -> Check:
    if not text:
        return _check(name, label, None, "none", "There is none.")
    advice = f"Above {limit} pixels a desktop's search page cuts it."
    return _check(name, label, pixels <= limit, f"{pixels:.0f} of {limit}", advice)


def _structure_checks(article: Article) -> list[Check]:
    tokens = _parser.parse(article.markdown)
    levels = [int(token.tag[1]) for token in tokens if token.type == "heading_open"]
    titles = levels.count(1)
    jumps = [f"H{a} to H{b}" for a, b in itertools.pairwise(levels) if b > a + 1]
    return [
        _check("one_title", "One H1", titles == 1, f"{titles}", "Keep one first-level heading."),
        _check(
            "heading_levels",
            "No heading level skipped",
            not jumps,
            ", ".join(jumps) or f"{len(levels)} headings in order",
            "Go down one level at a time.",
        ),
        _link_check(article),
        _picture_check(tokens),
    ]


def _link_check(article: Article) -> Check:
    known = {canonical(entry.source.url) for entry in article.sources if entry.source.url}
    strange = [url for url in addresses(article.body_markdown) if canonical(url) not in known]
    count = len(article.sources)
    sources = f"{count} {'source' if count == 1 else 'sources'}, no other address"
    return _check(
        "links",
        "Links are known sources",
        not strange,
        ", ".join(strange) or sources,
        "Take out addresses that no source stands for.",
    )


def _picture_check(tokens: Sequence[Token]) -> Check:
    """Pictures without a text for those who do not see them; an article by a model shows none."""
    pictures = [c for token in tokens for c in token.children or () if c.type == "image"]
    bare = sum(not picture.content.strip() for picture in pictures)
    return _check(
        "alt_text",
        "Pictures have a text",
        not bare if pictures else None,
        f"{len(pictures) - bare} of {len(pictures)}" if pictures else "no pictures",
        "Say in a few words what each picture shows.",
    )


def _keyword_checks(keyword: str, title: str, slug: str, article: Article) -> list[Check]:
    prose = " ".join(prose_paragraphs(article.body_markdown))
    opening = " ".join(prose.split()[:OPENING_WORDS])
    headings = " | ".join(_headings(article.body_markdown))
    places = (
        ("keyword_in_title", "Keyword in the title", title),
        ("keyword_in_headline", "Keyword in the H1", article.title),
        ("keyword_in_opening", f"Keyword in the first {OPENING_WORDS} words", opening),
        ("keyword_in_slug", "Keyword in the slug", slug.replace("-", " ")),
        ("keyword_in_heading", "Keyword in a heading", headings),
    )
    found = [
        _check(name, label, *_stands_in(keyword, text), f"Use “{keyword}” there, if it reads well.")
        for name, label, text in places
    ]
    return [*found, _density_check(keyword, prose)]


def _stands_in(keyword: str, text: str) -> tuple[bool | None, str]:
    if not keyword:
        return None, "no focus keyword"
    # An ASCII slug cannot hold other letters, so the keyword may match in its ASCII form.
    found = keyword_count(keyword, text) or keyword_count(" ".join(ascii_words(keyword)), text)
    return bool(found), "yes" if found else "no"


def _density_check(keyword: str, prose: str) -> Check:
    total = len(words(prose))
    label = "Keyword density"
    if not keyword or not total:
        return _check("keyword_density", label, None, "no focus keyword", "")
    count = keyword_count(keyword, prose)
    percent = 100 * count * len(words(keyword)) / total
    advice = (
        f"Above {DENSITY_MAX:g} % a text reads stuffed: use other words for it."
        if count
        else "The text never uses the keyword: choose one it is about."
    )
    ok = 0 < percent <= DENSITY_MAX
    return _check("keyword_density", label, ok, f"{percent:.1f} % ({count} times)", advice)


def _headings(markdown: str) -> list[str]:
    tokens = _parser.parse(markdown)
    return [b.content for a, b in itertools.pairwise(tokens) if a.type == "heading_open"]
