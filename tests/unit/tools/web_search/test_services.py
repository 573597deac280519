"""Each service against a server that answers as its documentation says, and with every fault."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from pipeline.assembly import ModelAccess
from pipeline.engine.port import RunContext
from pipeline.errors import SpecError
from pipeline.models import RunSpec
from pipeline.settings import Settings, load_settings
from pipeline.tools.base import Hit, ToolError
from pipeline.tools.web_search import FORMS, SearchService
from pipeline.tools.web_search.forms import hits, language_code

KEY = "search-key-31337"
URL = "https://www.example.org/heat-pumps?a=1"
SNIPPET = "A <strong>heat pump</strong> moves heat &amp; makes none.\u202e"
WORDS = "A heat pump moves heat & makes none."


def row(url: str = "url", snippet: str = "content", published: str = "") -> dict[str, Any]:
    dated = {published: "2025-03-04T05:06:07"} if published else {}
    return {"title": "Heat <b>pumps</b>", url: URL, snippet: SNIPPET, "score": 0.9, **dated}


# name → (method, path, where the key is, what the query is called, the answer)
DOCUMENTED: dict[str, tuple[str, str, str, str, dict[str, Any]]] = {
    "searxng": (
        "GET",
        "/search",
        "",
        "q",
        {"query": "x", "results": [row(published="publishedDate")], "answers": []},
    ),
    "brave": (
        "GET",
        "/res/v1/web/search",
        "X-Subscription-Token",
        "q",
        {"type": "search", "web": {"results": [row(snippet="description", published="page_age")]}},
    ),
    "tavily": (
        "POST",
        "/search",
        "Authorization",
        "query",
        {"query": "x", "results": [row(published="published_date")], "response_time": 1.2},
    ),
    "exa": (
        "POST",
        "/search",
        "x-api-key",
        "query",
        {"results": [{**row(published="publishedDate"), "highlights": [SNIPPET]}]},
    ),
    "serper": (
        "POST",
        "/search",
        "X-API-KEY",
        "q",
        {"organic": [row(url="link", snippet="snippet", published="date")]},
    ),
}
ENGLISH = {"searxng": ("language", "en"), "brave": ("search_lang", "en"), "serper": ("hl", "en")}


class Service:
    """A server that answers what the test says and writes down what it was asked."""

    def __init__(self) -> None:
        self.script: list[web.Response] = []
        self.asked: list[tuple[str, str, dict[str, Any], dict[str, str]]] = []
        self.base = ""

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.text()
        values = json.loads(body) if body else dict(request.query)
        self.asked.append((request.method, request.path, values, dict(request.headers)))
        return self.script.pop(0)


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    served = Service()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", served.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    served.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield served
    await runner.cleanup()


async def search(service: Service, name: str, *answers: web.Response) -> list[Hit]:
    service.script = list(answers)
    provider = SearchService(name, base=service.base, key=KEY)
    try:
        return await provider.search("heat pumps", limit=5, language="English")
    finally:
        await provider.aclose()


def test_every_form_is_tested_here() -> None:
    assert DOCUMENTED.keys() == FORMS.keys()


@pytest.mark.parametrize("name", FORMS)
async def test_it_asks_and_reads_as_the_documentation_says(service: Service, name: str) -> None:
    method, path, key_header, query_name, answer = DOCUMENTED[name]

    found = await search(service, name, web.json_response(answer))

    ((asked_method, asked_path, values, headers),) = service.asked
    assert (asked_method, asked_path) == (method, path)
    assert values[query_name] == "heat pumps"
    assert KEY in headers.get(key_header, "") or not FORMS[name].needs_key
    language = ENGLISH.get(name)
    assert language is None or values[language[0]] == language[1]
    assert found == [Hit(URL, "Heat pumps", WORDS, "example.org", "2025-03-04")]


@pytest.mark.parametrize("name", FORMS)
async def test_nothing_found_is_no_fault(service: Service, name: str) -> None:
    answer = {"web": {}} if name == "brave" else {}

    assert await search(service, name, web.json_response(answer)) == []


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (web.Response(status=401, text="no"), "refuses the request (status 401)"),
        (web.Response(status=403, text="no"), "GANTRY_SEARCH_KEY"),
        (web.Response(status=402), "is used up"),
        (web.Response(status=432), "is used up"),
        (web.Response(status=500), "answers with status 500"),
        (web.Response(status=302, headers={"Location": "http://evil.example/"}), "status 302"),
        (web.Response(text="<html>busy</html>"), "another form"),
        (web.Response(text="[]"), "another form"),
        (web.json_response({"results": "none"}), "another form"),
        (web.Response(text='{"results":' + "[" * 5_000), "another form"),
        (web.Response(text=" " * 2_100_000), "does not answer"),
    ],
)
async def test_a_fault_says_what_to_do(service: Service, answer: web.Response, said: str) -> None:
    with pytest.raises(ToolError) as caught:
        await search(service, "tavily", answer)

    assert said in str(caught.value)
    assert caught.value.hint
    assert KEY not in str(caught.value)


async def test_too_many_requests_are_asked_again_after_what_it_says(service: Service) -> None:
    again = web.Response(status=429, headers={"Retry-After": "0"})
    fine = web.json_response(DOCUMENTED["brave"][4])

    assert await search(service, "brave", again, fine)
    assert len(service.asked) == 2


async def test_a_long_wait_is_told_and_not_waited_for(service: Service) -> None:
    with pytest.raises(ToolError, match="too many requests"):
        await search(service, "brave", web.Response(status=429, headers={"Retry-After": "3600"}))

    assert len(service.asked) == 1


async def test_nobody_there_is_told_without_the_key() -> None:
    provider = SearchService("exa", base="http://127.0.0.1:9", key=KEY)

    async with asyncio.timeout(30):
        with pytest.raises(ToolError, match="Exa does not answer") as caught:
            await provider.search("x", limit=5, language="")
    await provider.aclose()

    assert KEY not in repr(caught.value.__cause__) + str(caught.value)


def test_results_that_lead_nowhere_are_left_out_and_doubles_too() -> None:
    rows = [
        {"url": "javascript:alert(1)", "title": "x"},
        {"url": "http://[broken", "title": "x"},
        {"title": "no address"},
        "no object",
        {"url": URL, "title": ""},
        {"url": URL, "title": "again"},
    ]

    (found,) = hits(FORMS["tavily"], {"results": rows}, 5)

    assert (found.url, found.title) == (URL, "again")


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(["web", "results", "organic", "url", "link", "title", "content"]),
                inner,
            )
        ),
        max_leaves=20,
    )
)
def test_any_answer_is_read_or_refused(answer: object) -> None:
    for form in FORMS.values():
        if isinstance(answer, dict):
            try:
                assert all(hit.url for hit in hits(form, answer, 5))
            except ValueError as error:
                assert form.title in str(error)


def test_a_language_is_told_by_its_code_or_not_at_all() -> None:
    assert [language_code(name) for name in ("English", "Deutsch", " fr ", "Klingon", "")] == [
        "en",
        "de",
        "fr",
        "",
        "",
    ]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"SEARCH": "brave"}, "GANTRY_SEARCH_KEY: brave needs a key"),
        ({"SEARCH": "searxng"}, "GANTRY_SEARCH_URL: SearXNG needs the address"),
        ({"SEARCH": "searxng", "SEARCH_URL": "http://me:pass@host"}, "without user name"),
        ({"SEARCH": "altavista"}, "GANTRY_SEARCH"),
    ],
)
def test_a_service_that_cannot_be_asked_is_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch, values: dict[str, str], said: str
) -> None:
    for name, value in values.items():
        monkeypatch.setenv(f"GANTRY_{name}", value)

    with pytest.raises(SpecError) as caught:
        load_settings()

    assert said in str(caught.value)
    assert "pass@" not in str(caught.value)


async def test_a_configured_service_is_what_runs_reach_for() -> None:
    settings = Settings(search="tavily", search_key=KEY)  # type: ignore[arg-type]
    access = ModelAccess(settings)
    real = RunSpec(topic="Bees", provider="openai")

    context = RunContext(settings, "local")

    first, second = await access.research(real, context), await access.research(real, context)
    demo = await access.research(RunSpec(topic="Bees"), context)
    await access.aclose()

    assert first.search is not None and first.search.name == "Tavily"
    assert first.search is second.search
    assert demo.search is not None and demo.search.name == "Gantry sample collection"
