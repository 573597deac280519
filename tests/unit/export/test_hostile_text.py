"""No hostile text becomes active in an export, in whatever field it stands."""

import pytest
from markdown_it import MarkdownIt

from pipeline.export.markdown import safe_markdown
from tests.unit.export.hostile import active_content, rows
from tests.unit.export.samples import bundle

pytestmark = pytest.mark.slow

_careless = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


def test_the_reader_sees_what_is_active() -> None:
    html = '<a href="javascript:x"><img src=x onerror=y><script></script><svg/onload=z>'

    assert len(active_content(html)) == 6


@pytest.mark.parametrize("payload", rows())
def test_hostile_text_is_inert_in_html_and_markdown(payload: str) -> None:
    made = bundle(payload, marks=(f"Missing {payload}",))

    assert active_content(made.html()) == []
    assert active_content(_careless.render(made.markdown())) == []
    assert active_content(_careless.render(safe_markdown(payload))) == []


def test_all_hostile_text_at_once_is_inert() -> None:
    made = bundle("\n\n".join(rows()))

    assert active_content(made.html()) == []
    assert active_content(_careless.render(made.markdown())) == []
