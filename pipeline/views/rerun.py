"""What would run again, in sentences for people. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.derived import Preview
from pipeline.plan import Plan
from pipeline.views.bars import said_s


def preview_lines(preview: Preview) -> list[str]:
    """Who runs again, who may, and what that may take; estimates are called so."""
    if not preview.runs:
        return ["Nothing would run again: what the agents get stays the same."]
    lines = []
    if preview.will:
        lines.append(f"Will run again: {_titles(preview.plan, preview.will)}.")
    if preview.may:
        lines.append(
            f"May run again, if what they get changes: {_titles(preview.plan, preview.may)}."
        )
    if preview.sections_open:
        lines.append("A new outline may have more or fewer sections.")
    lines.append(estimate_line(preview))
    return lines


def estimate_line(preview: Preview) -> str:
    asked = [name for name in preview.runs if preview.plan.agent(name).join is None]
    if not asked:
        return "No model is asked: code does it."
    unmeasured = _titles(preview.plan, preview.unmeasured)
    if len(preview.unmeasured) == len(asked):
        return f"No estimate: not measured yet: {unmeasured}."
    most = "At most about" if preview.may else "About"
    line = f"{most} {said_s(preview.time_s)} and {preview.tokens:,} tokens, estimated from earlier runs."
    return f"{line} Not measured yet, and not counted: {unmeasured}." if unmeasured else line


def _titles(plan: Plan, names: Iterable[str]) -> str:
    return ", ".join(plan.agent(name).title for name in names)
