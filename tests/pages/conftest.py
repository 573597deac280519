"""Pages in Streamlit's own test driver, on a real runtime with the instant demo."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from pages._runtime import close_runtime

ROOT = Path(__file__).parents[2]
RUN_TIMEOUT_S = 60.0


@pytest.fixture(autouse=True)
def _own_runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_MODEL", "DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GANTRY_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("GANTRY_DEMO_SPEED", "instant")
    yield
    close_runtime()


@pytest.fixture
def app() -> AppTest:
    """The app as a new visitor finds it. Always from the router: pages are never run alone."""
    return AppTest.from_file(str(ROOT / "pages" / "_shell.py"), default_timeout=RUN_TIMEOUT_S)


def sent_to_browser(app: AppTest) -> str:
    """Every message of the page, as text; what Markdown escapes is written as people read it."""

    def of(node: Any) -> Iterator[str]:
        if getattr(node, "proto", None) is not None:
            yield str(node.proto)
        for child in getattr(node, "children", {}).values():
            yield from of(child)

    return "\n".join(of(app._tree)).replace("\\", "")


def open_tab(app: AppTest, title: str) -> None:
    """Open a tab of the run's result: what stands in one is drawn only then."""
    app.session_state[f"result_tabs_{shown_run(app)}"] = title
    app.run()


def shown_run(app: AppTest) -> str:
    """The id in the address."""
    value = app.query_params["run"]
    return value if isinstance(value, str) else value[0]
