"""What the publisher made of the edited text: edits, advice taken or left, the words that changed.

Pure. Which edits apply is `article.apply_edits`' decision; here it is told. What became of a piece of
advice is read from the publisher's own words: `why` and `not_applied` begin with the advice they are
about (“SEO 2:”, “Metrics 1:”). Advice that nothing names is called so; nobody guesses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from pipeline.content.article import (
    EditResult,
    apply_edits,
    article_of,
    plain_line,
    publisher_notes,
    text_to_publish,
    without_wrapping,
)
from pipeline.content.word_diff import Difference, difference
from pipeline.models import AgentOutput, RunSpec

Outcome = Literal["applied", "refused", "not_followed", "not_mentioned"]
_NAMED = re.compile(r"\s*(SEO|Metrics) {0,3}(\d{1,2})\b[\s:.,)–-]*", re.IGNORECASE)
_ADVISERS: Final = {"seo": "SEO", "metrics": "Metrics"}


@dataclass(frozen=True, slots=True)
class EditMade:
    """One edit the publisher proposed. `refused` is empty when code applied it, else it says why not."""

    find: str
    replace: str
    why: str
    advice: str  # the name of the advice it follows; empty when it says none
    refused: str


@dataclass(frozen=True, slots=True)
class Advice:
    """`name` counts per adviser: “SEO 1”. `said` is the publisher's reason, or code's for a refusal."""

    name: str
    text: str
    outcome: Outcome
    said: str


@dataclass(frozen=True, slots=True)
class Changes:
    """`left` are advice the publisher did not follow and did not name."""

    headline_before: str
    headline: str
    standfirst: str
    edits: tuple[EditMade, ...]
    advice: tuple[Advice, ...]
    left: tuple[str, ...]
    text: Difference

    @property
    def applied(self) -> int:
        return sum(not edit.refused for edit in self.edits)


def changes_of(spec: RunSpec, outputs: Mapping[str, AgentOutput]) -> Changes | None:
    """None before there is both an edited text and the publisher's notes."""
    notes = publisher_notes(outputs.get("publisher"))
    text = text_to_publish(outputs)
    after = article_of(spec, outputs)
    before = article_of(spec, {n: o for n, o in outputs.items() if n != "publisher"})
    if notes is None or text is None or before is None or after is None:
        return None
    edits = tuple(_edits(apply_edits(without_wrapping(text), notes.edits)))
    named = [(_name(line), _reason(line)) for line in notes.not_applied]
    return Changes(
        headline_before=before.title,
        headline=after.title,
        standfirst=after.standfirst,
        edits=edits,
        advice=tuple(_advice(outputs, edits, dict(named))),
        left=tuple(line for name, line in named if not name and line),
        text=difference(before.body_markdown, after.body_markdown),
    )


def _edits(result: EditResult) -> Iterator[EditMade]:
    for edit in result.applied:
        yield _edit(edit.find, edit.replace, edit.why, "")
    for rejected in result.rejected:
        yield _edit(rejected.edit.find, rejected.edit.replace, rejected.edit.why, rejected.reason)


def _edit(find: str, replace: str, why: str, refused: str) -> EditMade:
    return EditMade(find, replace, _reason(why), _name(why), refused)


def _name(line: str) -> str:
    """The advice a line begins with, as it is shown; empty when it begins with none."""
    match = _NAMED.match(line)
    return f"{_ADVISERS[match[1].lower()]} {int(match[2])}" if match else ""


def _reason(line: str) -> str:
    """What follows the name, as a sentence begins."""
    words = plain_line(_NAMED.sub("", line, 1))
    return words[:1].upper() + words[1:]


def _advice(
    outputs: Mapping[str, AgentOutput], edits: Sequence[EditMade], left: Mapping[str, str]
) -> Iterator[Advice]:
    for name, text in _given(outputs):
        following = [edit for edit in edits if edit.advice == name]
        applied = next((edit for edit in following if not edit.refused), None)
        if applied is not None:
            yield Advice(name, text, "applied", applied.why)
        elif following:
            yield Advice(name, text, "refused", following[0].refused)
        elif name in left:
            yield Advice(name, text, "not_followed", left[name])
        else:
            yield Advice(name, text, "not_mentioned", "")


def _given(outputs: Mapping[str, AgentOutput]) -> Iterator[tuple[str, str]]:
    """The advice there was, with its name, in the order in which it was given."""
    suggestions = _list(outputs.get("seo_specialist"), "suggestions")
    for number, line in enumerate(suggestions, 1):
        yield f"SEO {number}", plain_line(str(line))
    recommendations = _list(outputs.get("metrics_analyzer"), "recommendations")
    for number, entry in enumerate(recommendations, 1):
        if isinstance(entry, Mapping):
            yield f"Metrics {number}", _sentence(entry)


def _sentence(entry: Mapping[str, Any]) -> str:
    return plain_line(": ".join(str(entry[k]) for k in ("issue", "fix") if entry.get(k)))


def _list(output: AgentOutput | None, name: str) -> Iterable[Any]:
    value = (output.data or {}).get(name) if output else None
    return value if isinstance(value, list) else ()
