"""The editor: modest, real edits by rule; every marker stays where it was."""

from __future__ import annotations

import re

from pipeline.llm.demo.compose.prose import MARKER
from pipeline.llm.demo.compose.reading import Task
from pipeline.llm.demo.compose.voice import voiced
from pipeline.models import DEMO_LABEL

TIGHTER = (
    (r"\bIt is worth noting that (\w)", lambda m: m[1].upper()),
    (r"\bIn order to\b", "To"),
    (r"\bin order to\b", "to"),
    (r"\bThere are a number of (\w+) that are\b", r"Some \1 are"),
    (r"\bThere are a number of ways in which\b", "There are several ways in which"),
    (r"\ba number of\b", "the"),
    (r"\bat this stage\b", "for now"),
    (r"\bfor the reason that\b", "because"),
    (r"\bdue to the fact that\b", "because"),
    (r"\bin the event that\b", "if"),
    (r"\bvery unique\b", "unique"),
)


def edited(task: Task) -> str:
    draft = task.text("content_writer").strip()
    if not draft:
        return (
            f"# {task.brief.topic.title}\n\nThere is no draft to edit. Run the content writer again.\n\n"
            f"*{DEMO_LABEL}.*\n"
        )
    return voiced(task, _without_repetition(tighten(draft)) + "\n")


def edited_section(task: Task) -> str:
    """The section of the same number, edited by the same rules."""
    draft = task.text(f"content_writer/{task.agent.partition('/')[2]}").strip()
    if not draft:
        return f"*{DEMO_LABEL}.*\n"
    return voiced(task, _without_repetition(tighten(draft)) + "\n")


def tighten(text: str) -> str:
    """Replace padded phrases by short ones."""
    for pattern, replacement in TIGHTER:
        text = re.sub(pattern, replacement, text)
    return text


def _without_repetition(text: str) -> str:
    """Drop a paragraph that stands there a second time, unless it carries a marker."""
    seen: set[str] = set()
    kept = []
    for block in re.split(r"\n{2,}", text):
        if block in seen and not MARKER.search(block) and not block.startswith("#"):
            continue
        seen.add(block)
        kept.append(block)
    return "\n\n".join(kept)
