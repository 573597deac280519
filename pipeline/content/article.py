"""Decide what the article is: which text, which title, which numbered sources, which labels.

The publisher never emits the article again: it names edits, and code applies those that are
unambiguous and keep every citation. What a reader must know (demo, unsourced, what was left out)
stands at the top of the text itself, so that no export can lose it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from textwrap import shorten

from pydantic import ValidationError

from pipeline.agents.outputs import Edit, PublisherNotes
from pipeline.content.addresses import addresses, canonical, unlink
from pipeline.content.citations import (
    CitationCheck,
    NumberedSource,
    check_citations,
    citation_counts,
    drop_markers,
    invented_ids,
    number_sources,
    render_numbers,
    strip_references,
)
from pipeline.content.inert import clean_text, escape_markdown, inert_markdown, is_safe_target
from pipeline.content.prose import map_prose
from pipeline.models import DEMO_LABEL, UNSOURCED_LABEL, AgentOutput, RunSpec, Source

PASSAGE_MAX_CHARS = 100  # of a cited passage, in the list of sources

UNCITED_LABEL = "No statement in this text names a source"
_FENCED = re.compile(r"\s*(`{3,}|~{3,})(?:markdown|md)?[ \t]*\n(.*)\n\1\s*", re.DOTALL)
_TITLE = re.compile(r"\s*#[ \t]+(.+)\n?")
_HEADING_LINES = re.compile(r"^ {0,3}#{1,6}[ \t].*$", re.MULTILINE)
_SECOND_TITLE = re.compile(r"^ {0,3}#(?=[ \t])", re.MULTILINE)
_EMPHASIS = re.compile(r"(\*\*|__|\*|`|~~)(?=\S)(.{1,400}?)(?<=\S)\1")


@dataclass(frozen=True, slots=True)
class Article:
    """The article as readers get it.

    `markdown` is whole: title, labels, standfirst, text, numbered sources. `body_markdown` is the
    text alone with numbers, `cited_markdown` the same with source ids instead. All of it is inert.
    """

    title: str
    markdown: str
    body_markdown: str
    sources: tuple[NumberedSource, ...]
    labels: tuple[str, ...]
    standfirst: str = ""
    cited_markdown: str = ""


@dataclass(frozen=True, slots=True)
class RejectedEdit:
    edit: Edit
    reason: str


@dataclass(frozen=True, slots=True)
class EditResult:
    text: str
    applied: tuple[Edit, ...]
    rejected: tuple[RejectedEdit, ...]


def article_of(
    spec: RunSpec, outputs: Mapping[str, AgentOutput], marks: Sequence[str] = ()
) -> Article | None:
    """The article as far as the run got: the edited text, else the draft; None before a draft."""
    text = text_to_publish(outputs)
    if text is None:
        return None
    labels = [DEMO_LABEL] if spec.is_demo else []
    if not _has_evidence(outputs):
        labels.append(UNSOURCED_LABEL)
    notes = publisher_notes(outputs.get("publisher"))
    title = _planned_title(outputs) or spec.topic
    own = [link.url for link in spec.voice.links] if spec.voice else []
    sources, labels = _all_sources(outputs), [*labels, *marks]
    return assemble(text, notes, sources, labels, fallback_title=title, own_pages=own)


def text_to_publish(outputs: Mapping[str, AgentOutput]) -> str | None:
    """The edited text, else the draft, as it was written; None before a draft."""
    return next(
        (outputs[name].text for name in ("editor", "content_writer") if name in outputs), None
    )


def assemble(
    text: str,
    notes: PublisherNotes | None,
    sources: Iterable[Source],
    labels: Iterable[str],
    *,
    fallback_title: str = "Untitled",
    own_pages: Iterable[str] = (),
) -> Article:
    """Apply the publisher's notes, number the sources, and put labels where readers see them.

    Citations and addresses that are no source's are taken out and counted in a label; `own_pages` are
    addresses that stay.
    """
    known = tuple(sources)
    text = without_wrapping(text)
    if notes is not None:
        text = apply_edits(text, notes.edits).text
    own_title, body = split_title(text)
    title = (
        plain_line(unlink(notes.title, _none) if notes else "")
        or own_title
        or plain_line(fallback_title)
    )
    own = tuple(own_pages)
    check = check_citations(body, known, own)
    urls = {canonical(url) for url in (*own, *(source.url for source in known)) if url}
    body = inert_markdown(_one_title(unlink(body, lambda url: canonical(url) in urls))).strip()
    numbered = number_sources(body, known)
    uncited = [UNCITED_LABEL] if known and not numbered else []
    shown = tuple(
        dict.fromkeys(plain_line(x) for x in [*labels, *uncited, *_problems(check)] if x.strip())
    )
    standfirst = plain_line(unlink(notes.standfirst, _none)) if notes else ""
    rendered = render_numbers(body, numbered)
    return Article(
        title=title,
        markdown=_whole(title, shown, standfirst, rendered, numbered),
        body_markdown=rendered,
        sources=numbered,
        labels=shown,
        standfirst=standfirst,
        cited_markdown=body,
    )


def apply_edits(text: str, edits: Iterable[Edit]) -> EditResult:
    """Apply the edits that are unambiguous and change neither citations nor addresses."""
    applied: list[Edit] = []
    rejected: list[RejectedEdit] = []
    for edit in edits:
        if reason := _objection(text, edit):
            rejected.append(RejectedEdit(edit, reason))
        else:
            text = text.replace(edit.find, edit.replace, 1)
            applied.append(edit)
    return EditResult(text, tuple(applied), tuple(rejected))


def publisher_notes(output: AgentOutput | None) -> PublisherNotes | None:
    """The notes, or None when there are none or an older Gantry stored them in another shape."""
    if output is None or output.data is None:
        return None
    try:
        return PublisherNotes.model_validate(output.data)
    except ValidationError:
        return None


def without_wrapping(text: str) -> str:
    """The text that edits apply to: no fence around it, no list of sources by the model."""
    return strip_references(unwrap(text))


def unwrap(text: str) -> str:
    """Without the code fence some models put around a whole Markdown reply."""
    match = _FENCED.fullmatch(text)
    return match[2] if match else text


def split_title(text: str) -> tuple[str, str]:
    """The first-level heading a text begins with, as plain words, and the rest of the text."""
    match = _TITLE.match(text)
    title = match[1].rstrip(" \t#") if match else ""
    return (plain_line(title), text[match.end() :]) if match and title else ("", text)


def plain_line(text: str) -> str:
    """One line of plain words: no line breaks, emphasis signs or citations."""
    line = " ".join(drop_markers(clean_text(text)).split())
    return _EMPHASIS.sub(r"\2", line)


def source_line(source: Source) -> str:
    """Title, publisher, page, address and the first words of the passage, as Markdown.

    Only the address is live. The words tell passages of one document apart.
    """
    words = escape_markdown(source_name(source))
    url = (
        source.url if is_safe_target(source.url) and not re.search(r"[\s<>()]", source.url) else ""
    )
    name = f"[{words}]({url})" if url else words
    said = first_words(source)
    return f"{name}: “{escape_markdown(said)}”" if said else name


def source_name(source: Source) -> str:
    """Title, publisher and page, as far as they are known; its address or id where none is."""
    page = f"page {source.page}" if source.page is not None else ""
    known = ", ".join(part for part in (source.title, source.publisher, page) if part.strip())
    return known or source.url or source.id


def first_words(source: Source) -> str:
    """How the cited passage begins, on one line; headings in it are not its words."""
    words = _HEADING_LINES.sub("", source.passage)
    return shorten(plain_line(words), PASSAGE_MAX_CHARS, placeholder="…")


def _none(_url: str) -> bool:
    return False


def _objection(text: str, edit: Edit) -> str:
    """Why `edit` must not be applied; empty when it may."""
    first = text.find(edit.find)
    if first < 0:
        return "the passage does not stand in the text"
    if text.find(edit.find, first + 1) >= 0:
        return "the passage stands in the text more than once"
    after = text.replace(edit.find, edit.replace, 1)
    if after == text:
        return "it changes nothing"
    if not after.strip():
        return "nothing would be left of the text"
    if invented_ids(text, after):
        return "it would add a citation"
    if citation_counts(text) != citation_counts(after):
        return "it would lose or repeat a citation"
    if set(addresses(after)) - set(addresses(text)):
        return "it would add an address"
    return ""


def _one_title(body: str) -> str:
    """Further first-level headings become second-level: a page has one title."""
    return map_prose(body, lambda prose: _SECOND_TITLE.sub("##", prose))


def _problems(check: CitationCheck) -> list[str]:
    said = []
    if count := len(check.unknown) + len(check.raw_numbers):
        said.append(f"Left out: {_many(count, 'citation')} of no known source")
    if count := len(check.foreign_urls):
        said.append(f"Left out: {_many(count, 'address', 'es')} not among the sources")
    return said


def _many(count: int, word: str, ending: str = "s") -> str:
    return f"{count} {word}{'' if count == 1 else ending}"


def _whole(
    title: str,
    labels: Sequence[str],
    standfirst: str,
    body: str,
    numbered: Sequence[NumberedSource],
) -> str:
    parts = [f"# {escape_markdown(title)}"]
    if labels:
        parts.append("\n>\n".join(f"> **{escape_markdown(label)}**" for label in labels))
    if standfirst:
        parts.append(f"*{escape_markdown(standfirst)}*")
    parts.append(body)
    if numbered:
        lines = [f"{entry.number}. {source_line(entry.source)}" for entry in numbered]
        parts.append("## Sources\n\n" + "\n".join(lines))
    return "\n\n".join(part for part in parts if part) + "\n"


def _has_evidence(outputs: Mapping[str, AgentOutput]) -> bool:
    return any(output.data and output.data.get("findings") for output in outputs.values())


def _all_sources(outputs: Mapping[str, AgentOutput]) -> tuple[Source, ...]:
    """Sources of all agents; the first to bring an id wins."""
    found: dict[str, Source] = {}
    for output in outputs.values():
        for source in output.sources:
            found.setdefault(source.id, source)
    return tuple(found.values())


def _planned_title(outputs: Mapping[str, AgentOutput]) -> str:
    planner = outputs.get("topic_planner")
    return str((planner.data or {}).get("title", "")) if planner else ""
