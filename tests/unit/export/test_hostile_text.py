"""No hostile text becomes active in an export, in whatever field it stands."""

from dataclasses import replace

import pytest
from markdown_it import MarkdownIt

from pipeline.export.markdown import safe_markdown
from pipeline.voice import Spelling, Voice
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


def test_a_hostile_brand_voice_is_inert() -> None:
    made = bundle("\n\n".join(rows()))
    lines = [" ".join(row.split())[:80] for row in rows() if row.strip()]
    house = Voice.model_construct(
        name=lines[0],
        banned_words=tuple(lines),
        spelling=(Spelling.model_construct(use=lines[1], instead_of="Heat"),),
        links=(),
        call_to_action=lines[2],
    )
    run = replace(made.run, spec=made.run.spec.model_copy(update={"voice": house}))

    made = replace(made, run=run)

    assert made.report["voice"]["faults"]
    assert active_content(made.html()) == []
    assert active_content(_careless.render(made.posts_markdown())) == []
