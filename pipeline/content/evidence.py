"""The evidence of an article, statement by statement, for the page and for exports.

Joins what `support.py` found with the flags of the checks and the numbers readers see. Words for
readers are decided here, so that page and exports say the same.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from pipeline.content.article import Article, source_name
from pipeline.content.flags import standing_flags
from pipeline.content.languages import language_code
from pipeline.content.statements import statements
from pipeline.content.support import Support, Verdict, support_of
from pipeline.models import Flag, FlagKind, Source

# Sign and words: colour is never the only difference.
VERDICT_WORDS: Final = {
    Verdict.SUPPORTED: ("✓", "Supported"),
    Verdict.WEAK: ("~", "Weakly supported"),
    Verdict.UNSUPPORTED: ("✕", "Not supported"),
    Verdict.NOT_COMPARED: ("○", "Not compared"),
    Verdict.UNCITED: ("–", "No source named"),
    Verdict.NO_CLAIM: ("·", "No claim"),
}
FLAG_WORDS: Final = {
    FlagKind.UNKNOWN_KEY: "A citation of no known source was taken out here.",
    FlagKind.RAW_NUMBER: "A number that named no source was taken out here.",
    FlagKind.INVENTED_URL: "An address that is no source's was taken out here.",
    FlagKind.LOST_KEY: "This had a source in the draft and lost it in editing.",
}
PROMISE: Final = (
    "Compared by words and numbers, not by meaning: a supported statement shares most of its words and all "
    "its numbers with the passage it cites. Whether the passage is right, nobody has checked."
)


@dataclass(frozen=True, slots=True)
class Evidence:
    """One statement with what speaks for it. `numbers` are those of its markers in the article."""

    support: Support
    numbers: tuple[int, ...]
    source: Source | None
    source_number: int | None
    flags: tuple[Flag, ...]

    @property
    def needs_a_look(self) -> bool:
        """True for what a person should read before publishing."""
        verdict = self.support.verdict
        bare_figure = verdict is Verdict.UNCITED and any(
            map(str.isdigit, self.support.statement.text)
        )
        return bool(self.flags) or bare_figure or verdict in (Verdict.WEAK, Verdict.UNSUPPORTED)


def flag_words(row: Evidence) -> tuple[str, ...]:
    """What the flags of a statement say to readers, each once."""
    return tuple(dict.fromkeys(FLAG_WORDS[flag.kind] for flag in row.flags))


def evidence_of(article: Article, language: str) -> tuple[Evidence, ...]:
    """The evidence of every statement of the article, in order. `language` is the brief's."""
    found = statements(article.cited_markdown)
    known = {entry.source.id: entry for entry in article.sources}
    flagged: dict[int, list[Flag]] = defaultdict(list)
    for place, flag in standing_flags(found, article.flags):
        flagged[place].append(flag)
    sources = {key: entry.source for key, entry in known.items()}
    supports = support_of(found, sources, language_code(language))
    return tuple(
        Evidence(
            support,
            tuple(sorted({known[key].number for key in support.statement.keys if key in known})),
            sources.get(support.passage),
            known[support.passage].number if support.passage in known else None,
            tuple(flagged[place]),
        )
        for place, support in enumerate(supports)
    )


def evidence_counts(rows: Sequence[Evidence]) -> dict[str, int]:
    """How many statements have which verdict, and how many need a look or are flagged."""
    counts = Counter(row.support.verdict for row in rows)
    return {
        **{verdict.value: counts[verdict] for verdict in Verdict},
        "needs_a_look": sum(row.needs_a_look for row in rows),
        "flagged": sum(bool(row.flags) for row in rows),
    }


def evidence_headline(counts: dict[str, int]) -> str:
    """One line for people: how many statements cite something, and how they fare."""
    cited = sum(
        counts[v.value]
        for v in (Verdict.SUPPORTED, Verdict.WEAK, Verdict.UNSUPPORTED, Verdict.NOT_COMPARED)
    )
    if not cited:
        return "No statement names a source."
    parts = [
        f"{cited} statements name a source",
        f"{counts['supported']} are supported by its words",
    ]
    parts += [
        f"{counts[verdict.value]} {words}"
        for verdict, words in (
            (Verdict.WEAK, "weakly"),
            (Verdict.UNSUPPORTED, "not"),
            (Verdict.NOT_COMPARED, "could not be compared"),
        )
        if counts[verdict.value]
    ]
    return ", ".join(parts) + "."


def source_facts(source: Source) -> str:
    """Document and page or site, title and date, on one line."""
    date = source.published or source.retrieved_at[:10]
    dated = f"{'published' if source.published else 'read'} {date}" if date else ""
    return ", ".join(part for part in (source_name(source), source.section, dated) if part)


def evidence_report(rows: Sequence[Evidence]) -> dict[str, Any]:
    """The evidence as JSON values, for the report."""
    return {
        "method": PROMISE,
        "counts": evidence_counts(rows),
        "statements": [
            _row(row) for row in rows if row.support.verdict is not Verdict.NO_CLAIM or row.flags
        ],
    }


def _row(row: Evidence) -> dict[str, Any]:
    support = row.support
    return {
        "statement": support.statement.text,
        "numbers": list(row.numbers),
        "verdict": support.verdict.value,
        "score": support.score,
        "source_number": row.source_number,
        "passage": support.words,
        "notes": [*support.notes, *flag_words(row)],
        "needs_a_look": row.needs_a_look,
        "flags": [flag.kind.value for flag in row.flags],
    }
