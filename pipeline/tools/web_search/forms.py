"""How each search service is asked and how it answers, by its published documentation.

Pure. None of the services could be asked while this was written: "not verified live". Each form says where
its documentation is.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from pipeline.tools.base import Hit

SNIPPET_CHARS = 1_200
_TAG = re.compile(r"</?[a-zA-Z][^<>]{0,200}>")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
# as the brief may name a language, in English or in itself
_LANGUAGES = MappingProxyType(
    {
        "english": "en",
        "german": "de",
        "deutsch": "de",
        "french": "fr",
        "français": "fr",
        "spanish": "es",
        "español": "es",
        "italian": "it",
        "italiano": "it",
        "dutch": "nl",
        "nederlands": "nl",
        "portuguese": "pt",
        "português": "pt",
        "polish": "pl",
        "polski": "pl",
    }
)


@dataclass(frozen=True, slots=True)
class Ask:
    """One request: `params` go into the address, `body` as JSON."""

    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Form:
    """A service: `ask(query, limit, language code, key)` and `rows(answer)`, the results as it gives them.

    `base` is empty for a service that everybody runs for themselves.
    """

    title: str
    base: str
    needs_key: bool
    documentation: str
    ask: Callable[[str, int, str, str], Ask]
    rows: Callable[[Mapping[str, Any]], object]
    url: str = "url"
    snippet: str = "content"
    published: str = ""


def language_code(language: str) -> str:
    """ISO 639-1, or empty when it is not known: then the service is not told."""
    name = language.strip().lower()
    return _LANGUAGES.get(name, name if re.fullmatch("[a-z]{2}", name) else "")


def hits(form: Form, answer: Mapping[str, Any], limit: int) -> list[Hit]:
    """The results of an answer, best first; what has no web address is left out.

    Raises `ValueError` when the answer is not of the documented form.
    """
    rows = form.rows(answer)
    if not isinstance(rows, list):
        raise ValueError(f"{form.title} answers in another form than its documentation says")
    found = (_hit(form, row) for row in rows if isinstance(row, dict))
    unique = {hit.url: hit for hit in found if hit is not None}
    return list(unique.values())[:limit]


def _hit(form: Form, row: Mapping[str, Any]) -> Hit | None:
    url = str(row.get(form.url) or "").strip()
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return None
    published = _DATE.match(str(row.get(form.published) or ""))
    snippet = row.get(form.snippet)
    if isinstance(snippet, list):
        snippet = " … ".join(str(part) for part in snippet)
    return Hit(
        url=url,
        title=_words(row.get("title"))[:300] or parts.hostname,
        snippet=_words(snippet)[:SNIPPET_CHARS],
        publisher=parts.hostname.removeprefix("www."),
        published=published[0] if published else "",
    )


def _words(text: object) -> str:
    """One line without markup and without characters that cannot be seen."""
    plain = html.unescape(_TAG.sub("", str(text or "")))
    seen = (
        c if c not in "\n\t\r" else " "
        for c in plain
        if c in "\n\t\r" or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co")
    )
    return " ".join("".join(seen).split())


def _within(*names: str) -> Callable[[Mapping[str, Any]], object]:
    """The value under these names; an empty list where a service leaves out what it did not find."""

    def rows(answer: Mapping[str, Any]) -> object:
        value: Any = answer
        for name in names:
            if not isinstance(value, dict):
                return None
            value = value.get(name, [] if name == names[-1] else {})
        return value

    return rows


def _given(**values: str) -> dict[str, str]:
    return {name: value for name, value in values.items() if value}


def _searxng(query: str, limit: int, language: str, key: str) -> Ask:
    return Ask("/search", _given(q=query, format="json", language=language or "all"))


def _brave(query: str, limit: int, language: str, key: str) -> Ask:
    return Ask(
        "/res/v1/web/search",
        _given(q=query, count=str(limit), search_lang=language),
        headers={"X-Subscription-Token": key},
    )


def _tavily(query: str, limit: int, language: str, key: str) -> Ask:
    body = {"query": query, "max_results": limit, "search_depth": "basic"}
    return Ask("/search", body=body, headers={"Authorization": f"Bearer {key}"})


def _exa(query: str, limit: int, language: str, key: str) -> Ask:
    body = {
        "query": query,
        "numResults": limit,
        "type": "auto",
        "contents": {"highlights": True},
    }
    return Ask("/search", body=body, headers={"x-api-key": key})


def _serper(query: str, limit: int, language: str, key: str) -> Ask:
    body = {"q": query, "num": limit, **_given(hl=language)}
    return Ask("/search", body=body, headers={"X-API-KEY": key})


FORMS: Mapping[str, Form] = MappingProxyType(
    {
        "searxng": Form(
            title="SearXNG",
            base="",
            needs_key=False,
            documentation="https://docs.searxng.org/dev/search_api.html",
            ask=_searxng,
            rows=_within("results"),
            published="publishedDate",
        ),
        "brave": Form(
            title="Brave Search",
            base="https://api.search.brave.com",
            needs_key=True,
            documentation="https://api-dashboard.search.brave.com/app/documentation",
            ask=_brave,
            rows=_within("web", "results"),
            snippet="description",
            published="page_age",
        ),
        "tavily": Form(
            title="Tavily",
            base="https://api.tavily.com",
            needs_key=True,
            documentation="https://docs.tavily.com/documentation/api-reference/endpoint/search",
            ask=_tavily,
            rows=_within("results"),
            published="published_date",
        ),
        "exa": Form(
            title="Exa",
            base="https://api.exa.ai",
            needs_key=True,
            documentation="https://docs.exa.ai/reference/search",
            ask=_exa,
            rows=_within("results"),
            snippet="highlights",
            published="publishedDate",
        ),
        "serper": Form(
            title="Serper",
            base="https://google.serper.dev",
            needs_key=True,
            documentation="https://serper.dev/playground",
            ask=_serper,
            rows=_within("organic"),
            url="link",
            snippet="snippet",
            published="date",
        ),
    }
)
