"""Everything the SEO tab and the exports show, in one value of plain JSON.

Title, description, slug and keyword come from the SEO specialist; without it, what can be said of the
article alone still is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from pipeline.content.article import Article
from pipeline.content.seo.checks import checks, score
from pipeline.content.seo.snippet import snippets
from pipeline.content.seo.structured import json_ld, open_graph
from pipeline.content.seo.wording import make_slug


def seo_view(
    report: Mapping[str, Any] | None,
    article: Article,
    *,
    language: str = "",
    created: datetime | None = None,
) -> dict[str, Any]:
    """`report` is the SEO specialist's validated data, or None when it is absent (`by_model`).

    `language` as the brief names it; `created` is when the run was asked for.
    """
    title = _field(report, "title") or article.title
    description = _field(report, "meta_description")
    slug = make_slug(_field(report, "slug") or title)
    keyword = _field(report, "focus_keyword")
    tags = _lines(report, "tags")
    made = checks(title, description, slug, keyword, article)
    return {
        "by_model": report is not None,
        "title": title,
        "meta_description": description,
        "slug": slug,
        "focus_keyword": keyword,
        "secondary_keywords": _lines(report, "secondary_keywords"),
        "search_intent": _field(report, "search_intent"),
        "tags": tags,
        "suggestions": _lines(report, "suggestions"),
        "checks": [asdict(check) for check in made],
        "score": score(made),
        "snippets": [asdict(snippet) for snippet in snippets(title, description, slug)],
        "json_ld": json_ld(title, description, tags, article, language=language, created=created),
        "open_graph": open_graph(title, description, tags),
    }


def _field(report: Mapping[str, Any] | None, name: str) -> str:
    return " ".join(str((report or {}).get(name) or "").split())


def _lines(report: Mapping[str, Any] | None, name: str) -> list[str]:
    return [" ".join(str(line).split()) for line in (report or {}).get(name) or []]
