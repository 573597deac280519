"""What stands in the head of a page for machines: JSON-LD Article and Open Graph. Made by code.

Only what is known is said: no author, publisher, picture or address is invented.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from html import escape
from typing import Any

from pipeline.content.article import Article
from pipeline.content.inert import SAFE_TARGET, clean_text
from pipeline.content.languages import language_code
from pipeline.content.readability import prose_paragraphs
from pipeline.content.seo.wording import words

DATA_TYPE = "application/ld+json"


def json_ld(
    title: str,
    description: str,
    tags: Sequence[str],
    article: Article,
    *,
    language: str = "",
    created: datetime | None = None,
) -> str:
    """Schema.org Article for a `<script>` element: only what is known, `<`, `>` and `&` escaped.

    `language` as the brief names it; a language without a code is left out. `created` is when the run
    was asked for, written with its offset (ISO 8601).
    """
    data: dict[str, Any] = {
        "@context": "https://schema.org",
        "@type": "Article",
        "headline": title,
        "wordCount": len(words(" ".join(prose_paragraphs(article.body_markdown)))),
    }
    if description:
        data["description"] = description
    if tags:
        data["keywords"] = ", ".join(tags)
    if code := language_code(language):
        data["inLanguage"] = code
    if created is not None:
        data["dateCreated"] = created.isoformat()
    if urls := [e.source.url for e in article.sources if SAFE_TARGET.match(e.source.url)]:
        data["citation"] = urls
    text = json.dumps(data, ensure_ascii=False, indent=2)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def open_graph(title: str, description: str, tags: Sequence[str]) -> list[tuple[str, str]]:
    """Property and content, in order; see https://ogp.me, type article."""
    found = [("og:type", "article"), ("og:title", title)]
    if description:
        found.append(("og:description", description))
    return [*found, *(("article:tag", tag) for tag in tags)]


def head_html(
    title: str, description: str, properties: Sequence[tuple[str, str]], structured: str
) -> str:
    """All of it as lines for a page's `<head>`, escaped. `structured` is what `json_ld` made."""
    lines = [f"<title>{_text(title)}</title>"]
    if description:
        lines.append(f'<meta name="description" content="{_text(description)}">')
    lines.append(meta_properties(properties))
    lines.append(data_block(structured))
    return "\n".join(lines)


def meta_properties(properties: Sequence[tuple[str, str]]) -> str:
    return "\n".join(
        f'<meta property="{_text(name)}" content="{_text(value)}">' for name, value in properties
    )


def data_block(structured: str) -> str:
    """The element for `json_ld`'s text: data, which no browser runs."""
    return f'<script type="{DATA_TYPE}">\n{structured}\n</script>'


def _text(value: str) -> str:
    return escape(clean_text(value), quote=True)
