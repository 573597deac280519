"""The Knowledge base page: invites, takes files, searches, deletes, and never shows a stranger's."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from pages._runtime import get_runtime
from pipeline.models import LOCAL_OWNER
from tests.pages.conftest import sent_to_browser

pytestmark = pytest.mark.slow

OUR_SCRIPT = (Path(__file__).parents[2] / "pages" / "links.html").read_text("utf-8")
HOSTILE = "<script>alert(1)</script> :red[pumps] $x$ [a](javascript:alert(1))"


@pytest.fixture
def page(app: AppTest) -> AppTest:
    app.run()
    return app.switch_page("knowledge.py")


def store(name: str, text: str, owner: str = LOCAL_OWNER) -> str:
    """Have a file read; the id of its document."""
    documents = get_runtime().documents
    documents.take(owner, name, text.encode())
    ends_at = time.monotonic() + 30
    while not all(one.is_over for one in documents.uploads(owner)):
        assert time.monotonic() < ends_at
        time.sleep(0.02)  # the file is read by another process
    return documents.listed(owner, 1)[0].id


def test_an_empty_knowledge_base_invites(page: AppTest) -> None:
    page.run()

    assert not page.exception
    assert "no documents yet" in page.info[0].value


def test_a_file_dropped_is_read_and_listed(page: AppTest) -> None:
    page.run()
    uploader = page.get("file_uploader")[0]
    uploader.set_value([("pumps.md", b"# Pumps\n\nHeat pumps are quiet.", "text/markdown")])  # type: ignore[attr-defined]
    page.run()
    documents = get_runtime().documents
    ends_at = time.monotonic() + 30
    while not all(one.is_over for one in documents.uploads(LOCAL_OWNER)):
        assert time.monotonic() < ends_at
        time.sleep(0.02)
    page.run()

    assert not page.exception
    assert [one.title for one in documents.listed(LOCAL_OWNER)] == ["Pumps"]
    assert any("Pumps" in m.value for m in page.markdown)


def test_a_search_shows_the_passage_with_the_words_marked(page: AppTest) -> None:
    store("pumps.md", "# Pumps\n\nHeat pumps are quiet at night.")

    page.run()
    page.text_input(key="knowledge_query").input("quiet heat pump").run()

    assert not page.exception
    assert "<mark>pumps</mark> are <mark>quiet</mark>" in sent_to_browser(page)


def test_a_search_without_results_says_so(page: AppTest) -> None:
    store("pumps.md", "# Pumps\n\nHeat pumps are quiet at night.")

    page.run()
    page.text_input(key="knowledge_query").input("roman senate").run()

    assert any("No document is about" in info.value for info in page.info)


def test_hostile_text_is_shown_as_text(page: AppTest) -> None:
    store("<img src=x onerror=alert(1)>.md", f"# {HOSTILE}\n\nPumps {HOSTILE}")

    page.run()
    page.text_input(key="knowledge_query").input("pumps").run()
    page.button(key=f"read_{get_runtime().documents.listed(LOCAL_OWNER)[0].id}").click().run()

    assert not page.exception
    for block in page.get("html"):
        if block.proto.body != OUR_SCRIPT:  # type: ignore[attr-defined]
            assert "<script" not in block.proto.body  # type: ignore[attr-defined]
    assert not any(":red[pumps]" in m.value for m in page.markdown)


def test_a_document_is_deleted_after_a_question(page: AppTest) -> None:
    document_id = store("pumps.md", "# Pumps\n\nHeat pumps are quiet.")
    page.run()

    page.button(key=f"delete_{document_id}").click().run()
    assert get_runtime().documents.count(LOCAL_OWNER) == 1
    page.button(key="delete_yes").click().run()

    assert get_runtime().documents.count(LOCAL_OWNER) == 0


def test_another_owners_documents_are_not_there(page: AppTest) -> None:
    store("secret.md", "# Secret pumps\n\nNobody else's.", owner="somebody-else")

    page.run()

    assert "no documents yet" in page.info[0].value
    assert "Secret" not in sent_to_browser(page)
