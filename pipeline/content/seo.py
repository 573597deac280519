"""Check search metadata by code: what is measurable, with its value and what to do about it.

The thresholds are guidelines, not ranking facts, and the score is the weighted share of checks
that passed, nothing a model said. Title, description, slug and keyword come from the SEO
specialist; without it, what can be checked on the article alone still is.
"""

from __future__ import annotations

import itertools
import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from markdown_it import MarkdownIt

from pipeline.content.addresses import addresses, canonical
from pipeline.content.article import Article
from pipeline.content.inert import SAFE_TARGET
from pipeline.content.readability import has_cjk, prose_paragraphs

TITLE_CHARS = (30, 60)
DESCRIPTION_CHARS = (70, 155)
SLUG_CHARS = 60
OPENING_WORDS = 100
DENSITY_MAX = 3.0  # percent; above it a text reads stuffed
_WORD = re.compile(r"[^\W_]+")
_parser = MarkdownIt("commonmark")

WEIGHTS: Mapping[str, int] = {
    "title_length": 10,
    "description_length": 10,
    "one_title": 10,
    "heading_levels": 10,
    "keyword_in_title": 10,
    "keyword_in_headline": 10,
    "keyword_in_opening": 10,
    "keyword_in_slug": 5,
    "keyword_in_heading": 5,
    "keyword_density": 5,
    "slug": 5,
    "links": 10,
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


def seo_view(report: Mapping[str, Any] | None, article: Article) -> dict[str, Any]:
    """Everything the SEO tab and the exports show, as plain JSON values.

    `report` is the SEO specialist's validated data, or None when it is absent.
    """
    title = _field(report, "title") or article.title
    description = _field(report, "meta_description")
    slug = make_slug(_field(report, "slug") or title)
    keyword = _field(report, "focus_keyword")
    checks = [
        *_metadata_checks(title, description, slug),
        *_structure_checks(article),
        *_keyword_checks(keyword, title, slug, article),
    ]
    return {
        "by_model": report is not None,
        "title": title,
        "meta_description": description,
        "slug": slug,
        "focus_keyword": keyword,
        "secondary_keywords": _lines(report, "secondary_keywords"),
        "search_intent": _field(report, "search_intent"),
        "tags": _lines(report, "tags"),
        "suggestions": _lines(report, "suggestions"),
        "checks": [asdict(check) for check in checks],
        "score": score(checks),
        "json_ld": json_ld(title, description, _lines(report, "tags"), article),
    }


def make_slug(text: str, limit: int = SLUG_CHARS) -> str:
    """ASCII words joined by hyphens, at most `limit` characters, cut between words; never empty."""
    slug = ""
    for word in _ascii_words(text):
        longer = f"{slug}-{word}" if slug else word[:limit]
        if len(longer) > limit:
            break
        slug = longer
    return slug or "article"


def score(checks: list[Check]) -> int | None:
    """Percent of the weight of all checks that could be made; None when there were none."""
    made = [check for check in checks if check.ok is not None and check.weight]
    total = sum(check.weight for check in made)
    return round(100 * sum(check.weight for check in made if check.ok) / total) if total else None


def keyword_count(keyword: str, text: str) -> int:
    """How often the keyword stands in the text as whole words, in any case."""
    wanted, words = _words(keyword), _words(text)
    size = len(wanted)
    if not size:
        return 0
    if has_cjk(keyword):  # words are not separated there
        return text.count(keyword)
    return sum(words[i : i + size] == wanted for i in range(len(words) - size + 1))


def json_ld(title: str, description: str, tags: list[str], article: Article) -> str:
    """Schema.org Article for a `<script>` element: only what is known, `<` escaped."""
    data: dict[str, Any] = {
        "@context": "https://schema.org",
        "@type": "Article",
        "headline": title,
        "wordCount": len(_words(" ".join(prose_paragraphs(article.body_markdown)))),
    }
    if description:
        data["description"] = description
    if tags:
        data["keywords"] = ", ".join(tags)
    if urls := [e.source.url for e in article.sources if SAFE_TARGET.match(e.source.url)]:
        data["citation"] = urls
    text = json.dumps(data, ensure_ascii=False, indent=2)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _field(report: Mapping[str, Any] | None, name: str) -> str:
    return " ".join(str((report or {}).get(name) or "").split())


def _lines(report: Mapping[str, Any] | None, name: str) -> list[str]:
    return [" ".join(str(line).split()) for line in (report or {}).get(name) or []]


def _words(text: str) -> list[str]:
    return [word.casefold() for word in _WORD.findall(text)]


def _ascii_words(text: str) -> list[str]:
    plain = unicodedata.normalize("NFKD", text.replace("ß", "ss")).encode("ascii", "ignore")
    return re.findall(r"[a-z0-9]+", plain.decode("ascii").lower().replace("'", ""))


def _check(name: str, label: str, ok: bool | None, value: str, advice: str) -> Check:
    return Check(name, label, ok, value, "" if ok else advice, WEIGHTS[name])


def _metadata_checks(title: str, description: str, slug: str) -> list[Check]:
    return [
        _length_check("title_length", "Title length", title, TITLE_CHARS),
        _length_check("description_length", "Description length", description, DESCRIPTION_CHARS),
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
    ok = low <= len(text) <= high if text else None
    advice = f"Aim for {low} to {high} characters." if text else "There is none."
    return _check(name, label, ok, f"{len(text)} characters", advice)


def _structure_checks(article: Article) -> list[Check]:
    levels = _heading_levels(article.markdown)
    titles = levels.count(1)
    jumps = [f"H{a} to H{b}" for a, b in itertools.pairwise(levels) if b > a + 1]
    known = {canonical(entry.source.url) for entry in article.sources if entry.source.url}
    strange = [url for url in addresses(article.body_markdown) if canonical(url) not in known]
    return [
        _check("one_title", "One H1", titles == 1, f"{titles}", "Keep one first-level heading."),
        _check(
            "heading_levels",
            "No heading level skipped",
            not jumps,
            ", ".join(jumps) or f"{len(levels)} headings in order",
            "Go down one level at a time.",
        ),
        _check(
            "links",
            "Links are known sources",
            not strange,
            ", ".join(strange) or "all known",
            "Take out addresses that no source stands for.",
        ),
    ]


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
    checks = [
        _check(name, label, *_stands_in(keyword, text), f"Use “{keyword}” there, if it reads well.")
        for name, label, text in places
    ]
    return [*checks, _density_check(keyword, prose)]


def _stands_in(keyword: str, text: str) -> tuple[bool | None, str]:
    if not keyword:
        return None, "no focus keyword"
    # An ASCII slug cannot hold other letters, so the keyword may match in its ASCII form.
    found = keyword_count(keyword, text) or keyword_count(" ".join(_ascii_words(keyword)), text)
    return bool(found), "yes" if found else "no"


def _density_check(keyword: str, prose: str) -> Check:
    total = len(_words(prose))
    label = "Keyword density"
    if not keyword or not total:
        return _check("keyword_density", label, None, "no focus keyword", "")
    count = keyword_count(keyword, prose)
    percent = 100 * count * len(_words(keyword)) / total
    advice = (
        f"Above {DENSITY_MAX:g} % a text reads stuffed: use other words for it."
        if count
        else "The text never uses the keyword: choose one it is about."
    )
    ok = 0 < percent <= DENSITY_MAX
    return _check("keyword_density", label, ok, f"{percent:.1f} % ({count} times)", advice)


def _heading_levels(markdown: str) -> list[int]:
    return [int(t.tag[1]) for t in _parser.parse(markdown) if t.type == "heading_open"]


def _headings(markdown: str) -> list[str]:
    tokens = _parser.parse(markdown)
    return [b.content for a, b in itertools.pairwise(tokens) if a.type == "heading_open"]
