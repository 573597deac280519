"""A foreign run's id on every way in: the same answer as for an id that never was, and no word of it.

The foreign run is somebody else's; whoever asks here is `local`, as in a new browser. Sockets and
routes are asked in `tests/unit/web/test_foreign_sockets.py`.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

import pages
import pipeline.web
from pages._runtime import get_runtime
from pipeline.engine.runtime import Runtime
from pipeline.errors import SpecError
from pipeline.models import LOCAL_OWNER, Endpoint, RunSpec
from pipeline.owners import share_hash
from tests.pages.conftest import ROOT, sent_to_browser

OTHER = "browser-of-somebody-else"
TOPIC = "Quokka census of Rottnest"
MISSING = "A" * 22
ASKS = {
    name: method
    for name, method in inspect.getmembers(Runtime, inspect.isfunction)
    if "owner" in inspect.signature(method).parameters and not name.startswith("_")
}


@pytest.fixture
def foreign() -> Iterator[str]:
    """A finished run of somebody else, with a link that was withdrawn."""
    runtime = get_runtime()
    run_id = runtime.submit(RunSpec(topic=TOPIC, speed="instant"), OTHER)
    runtime.wait(run_id, 60)
    yield run_id
    untouched = runtime.run(run_id, OTHER)
    assert untouched is not None
    assert untouched.status.value in ("done", "degraded")
    assert not runtime.is_shared(run_id, OTHER)


def shown(app: AppTest, run_id: str) -> str:
    """All that was sent to the browser, the id made one word."""
    assert not app.exception
    return sent_to_browser(app).replace(run_id, "<id>")


def studio(app: AppTest, run_id: str) -> str:
    app.query_params["run"] = run_id
    return shown(app.run(), run_id)


def plan_lab(app: AppTest, run_id: str) -> str:
    app.run()
    app.query_params["run"] = run_id
    return shown(app.switch_page("plan_lab.py").run(), run_id)


def plan_lab_chosen(app: AppTest, run_id: str) -> str:
    app.run()
    app.session_state["lab_run"] = run_id
    return shown(app.switch_page("plan_lab.py").run(), run_id)


def history(app: AppTest, run_id: str) -> str:
    app.run()
    return shown(app.switch_page("history.py").run(), run_id)


def history_search(app: AppTest, run_id: str) -> str:
    app.run()
    app.switch_page("history.py").run()
    found = app.text_input(key="history_search").input("Quokka").run()
    return shown(found, run_id).replace("Quokka", "<search>")


def link_with_the_id(app: AppTest, run_id: str) -> str:
    app.query_params["shared"] = run_id
    return shown(app.run(), run_id)


def withdrawn_link(app: AppTest, run_id: str) -> str:
    token = "B" * 43
    if run_id != MISSING:
        token = get_runtime().share(run_id, OTHER)
        get_runtime().unshare(run_id, OTHER)
    app.query_params["shared"] = token
    return shown(app.run(), token)


def link_with_the_hash(app: AppTest, run_id: str) -> str:
    hashed = share_hash("C" * 43)
    if run_id != MISSING:
        hashed = share_hash(get_runtime().share(run_id, OTHER))
    app.query_params["shared"] = hashed
    page = shown(app.run(), hashed)
    get_runtime().unshare(run_id, OTHER)
    return page


@pytest.mark.slow
@pytest.mark.parametrize(
    "way_in",
    [
        studio,
        plan_lab,
        plan_lab_chosen,
        history,
        history_search,
        link_with_the_id,
        withdrawn_link,
        link_with_the_hash,
    ],
    ids=lambda way_in: way_in.__name__,
)
def test_a_page_shows_of_a_foreign_run_what_it_shows_of_none(
    app: AppTest, foreign: str, way_in: Callable[[AppTest, str], str]
) -> None:
    of_foreign = way_in(app, foreign)
    of_missing = way_in(
        AppTest.from_file(str(ROOT / "pages" / "_shell.py"), default_timeout=60), MISSING
    )

    assert of_foreign == of_missing
    assert "Quokka" not in of_foreign


def answer_of(name: str, run_id: str) -> Any:
    """What `Runtime` says to `local`, an error's words included."""
    asked = getattr(get_runtime(), name)
    arguments: dict[str, tuple[Any, ...]] = {
        "runs": (LOCAL_OWNER,),
        "count": (LOCAL_OWNER,),
        "admission": (LOCAL_OWNER,),
        "team": (LOCAL_OWNER,),
    }
    try:
        return asked(*arguments.get(name, (run_id, LOCAL_OWNER)))
    except SpecError as error:
        return str(error)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(ASKS) - {"submit"}))
def test_the_runtime_says_of_a_foreign_run_what_it_says_of_none(foreign: str, name: str) -> None:
    of_foreign, of_missing = answer_of(name, foreign), answer_of(name, MISSING)

    assert of_foreign == of_missing
    assert "Quokka" not in str(of_foreign)


@pytest.mark.slow
def test_a_foreign_id_submitted_again_changes_nothing_and_gets_no_key(foreign: str) -> None:
    runtime = get_runtime()
    before = runtime.run(foreign, OTHER)
    typed = Endpoint("http://127.0.0.1:9/v1", "canary-key-0123456789")

    runtime.submit(RunSpec(topic="Mine"), LOCAL_OWNER, typed, run_id=foreign)

    assert runtime.run(foreign, OTHER) == before
    assert runtime.run(foreign, LOCAL_OWNER) is None
    keys = runtime._running._keys
    assert keys.find(foreign, OTHER, typed.base_url) is None


def _calls(source: Path) -> Iterator[tuple[str, ast.Call]]:
    """Calls of what may be a runtime's method that goes by owner."""
    for node in ast.walk(ast.parse(source.read_text("utf-8"))):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        of = ast.unparse(node.func.value)
        if node.func.attr in ASKS and "runtime" in of.lower():
            yield node.func.attr, node


FILES = [
    ROOT / "app.py",
    *Path(pages.__path__[0]).glob("*.py"),
    *Path(pipeline.web.__path__[0]).rglob("*.py"),
]


@pytest.mark.parametrize("source", FILES, ids=lambda path: path.name)
def test_every_question_of_a_page_or_route_says_who_asks(source: Path) -> None:
    for name, call in _calls(source):
        position = list(inspect.signature(ASKS[name]).parameters).index("owner") - 1
        named = {keyword.arg for keyword in call.keywords}

        assert "owner" in named or len(call.args) > position, ast.unparse(call)


def test_that_question_is_found_where_it_is_asked() -> None:
    found = {name for source in FILES for name, _call in _calls(source)}

    assert {"run", "runs", "count", "events", "submit", "cancel", "resume", "delete"} <= found
