"""The social posts as one Markdown file: both variants, series, counts and what code changed.

A post is copied as it stands, so its text is a code block: no renderer acts on what is in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from pipeline.content.inert import escape_markdown
from pipeline.content.social import checked_on
from pipeline.models import DEMO_LABEL, RunRecord
from pipeline.views.posts import Face, PostCard

_FENCES = re.compile(r"`{3,}")


def to_posts_markdown(
    run: RunRecord, title: str, cards: Sequence[PostCard], labels: Iterable[str] = ()
) -> str:
    """Every network's posts. `labels` are the article's: they stand on top, and that of a demo always does."""
    demo = [DEMO_LABEL] if run.spec.is_demo else []
    told = [f"> **{escape_markdown(label)}**" for label in dict.fromkeys([*demo, *labels])]
    counted = f"Counted the way each network counts; limits as of {checked_on()}."
    parts = [f"# Social posts: {escape_markdown(title)}", *told, counted]
    for card in cards:
        parts.append(f"## {escape_markdown(card.title)}")
        for face in card.faces:
            parts += _face(face)
    return "\n\n".join(parts) + "\n"


def _face(face: Face) -> Iterable[str]:
    yield f"### Variant {face.name}"
    for bubble in face.bubbles:
        yield _block(bubble.text)
        yield bubble.length
    for note in face.notes:
        yield escape_markdown(note)


def _block(text: str) -> str:
    longest = max((len(fence) for fence in _FENCES.findall(text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}text\n{text}\n{fence}"
