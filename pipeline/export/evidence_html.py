"""The evidence of an article as an HTML list: each statement with its passage and where it stands.

What was found is decided in `pipeline.content.evidence`; here everything is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pipeline.content.evidence import (
    PROMISE,
    VERDICT_WORDS,
    Evidence,
    evidence_counts,
    evidence_headline,
    flag_words,
    source_facts,
)
from pipeline.content.support import Verdict
from pipeline.export.rendering import element, link, text


def evidence_html(rows: Iterable[Evidence]) -> str:
    """An ordered list of statements. The verdict is a sign and words; colour only repeats it."""
    return element("ol", "".join(_row(row) for row in rows), class_="evidence")


def evidence_section(rows: Sequence[Evidence]) -> str:
    """All of it for a page: the counts, what they promise, and every statement that claims something."""
    claims = [row for row in rows if row.support.verdict is not Verdict.NO_CLAIM or row.flags]
    return (
        element("p", text(evidence_headline(evidence_counts(rows))))
        + element("p", text(PROMISE), class_="facts")
        + evidence_html(claims)
    )


def _row(row: Evidence) -> str:
    verdict = row.support.verdict
    sign, words = VERDICT_WORDS[verdict]
    mark = element("span", text(sign), **{"aria-hidden": "true"}) + f" {text(words)}"
    parts = [
        element("p", text(row.support.statement.text) + _numbers(row), class_="statement"),
        element("p", mark, class_=f"verdict {verdict.value}"),
        *(element("p", text(said), class_="facts") for said in row.support.notes),
        *(element("p", f"⚑ {text(said)}", class_="remark") for said in flag_words(row)),
    ]
    if row.source is not None and row.support.words:
        parts.append(element("blockquote", text(row.support.words), class_="passage"))
        parts.append(element("p", _source(row), class_="facts"))
    return element("li", "".join(parts), class_="flagged" if row.flags else "")


def _numbers(row: Evidence) -> str:
    shown = ", ".join(map(str, row.numbers))
    return f" {element('span', text(f'[{shown}]'), class_='numbers')}" if shown else ""


def _source(row: Evidence) -> str:
    source = row.source
    if source is None:
        return ""
    number = f"[{row.source_number}] " if row.source_number is not None else ""
    return text(number) + link(source.url, source_facts(source))
