"""Pages are taken apart in a process of their own, and come out inert or as one clear refusal."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pipeline.tools.base import ToolError
from pipeline.tools.web import extract
from pipeline.tools.web.extract import TEXT_MAX_CHARS, page_from_html
from tests.children import isolated_children

URL = "https://www.site.example/a"
WORDS = "Words that make up a sentence. "


async def test_the_text_title_and_publisher_of_a_page_come_back_inert() -> None:
    html = f"<title>A\u202e title</title><body><h2>Part\x1b</h2><p>{WORDS * 9}\u2066</p>\ud800"

    page = await page_from_html(html, URL)

    assert (page.title, page.publisher) == ("A title", "site.example")
    assert page.text.startswith("## Part\n\nWords that")
    assert "\u2066" not in page.text


async def test_a_long_page_is_cut() -> None:
    page = await page_from_html(f"<body>{f'<p>{WORDS}</p>' * 10_000}", URL)

    assert len(page.text) == TEXT_MAX_CHARS


async def test_a_page_without_text_is_refused() -> None:
    with pytest.raises(ToolError, match="no readable text"):
        await page_from_html("<body><script>x</script>", URL)


async def test_a_page_that_takes_too_long_is_given_up_and_its_process_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(extract, "EXTRACT_S", 0.05)

    with pytest.raises(ToolError, match=r"more than 0\.05 seconds"):
        await page_from_html(f"<p>{WORDS}", URL)

    assert isolated_children() == []


async def test_a_page_that_takes_too_much_memory_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(extract, "MEMORY_MB", 1)

    with pytest.raises(ToolError, match="could not be found"):
        await page_from_html(f"<p>{WORDS}", URL)


def test_the_child_imports_little() -> None:
    """Its start is what each page costs more than on a thread."""
    script = (
        "import sys; sys.argv = ['x']; import pipeline.extraction.page, pipeline.isolation.child;"
        "print([m for m in ('pydantic', 'aiohttp', 'openai', 'streamlit') if m in sys.modules])"
    )

    told = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert told.stdout.strip() == "[]"
