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
from pipeline.content.addresses import addresses
from pipeline.content.citation_check import mended
from pipeline.content.citations import (
    NumberedSource,
    citation_counts,
    drop_markers,
    invented_ids,
    number_sources,
    render_numbers,
    strip_references,
)
from pipeline.content.flags import flag_labels, standing_flags
from pipeline.content.inert import clean_text, escape_markdown, inert_markdown, is_safe_target
from pipeline.content.prose import map_prose
from pipeline.content.statements import statements
from pipeline.models import DEMO_LABEL, UNSOURCED_LABEL, AgentOutput, Flag, RunSpec, Source

PASSAGE_MAX_CHARS = 100  # of a cited passage, in the list of sources

TEXT_AGENTS = ("editor", "content_writer")  # whose text is the article: the first there is

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
    `flags` are what the checks of citations found and readers must know.
    """

    title: str
    markdown: str
    body_markdown: str
    sources: tuple[NumberedSource, ...]
    labels: tuple[str, ...]
    standfirst: str = ""
    cited_markdown: str = ""
    flags: tuple[Flag, ...] = ()


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
    flags = [f for name in TEXT_AGENTS if name in outputs for f in outputs[name].flags]
    own = [link.url for link in spec.voice.links] if spec.voice else []
    return assemble(
        text,
        notes,
        _all_sources(outputs),
        [*labels, *marks],
        fallback_title=title,
        own_pages=own,
        flags=flags,
    )


def text_to_publish(outputs: Mapping[str, AgentOutput]) -> str | None:
    """The edited text, else the draft, as it was written; None before a draft."""
    return next((outputs[name].text for name in TEXT_AGENTS if name in outputs), None)


def assemble(
    text: str,
    notes: PublisherNotes | None,
    sources: Iterable[Source],
    labels: Iterable[str],
    *,
    fallback_title: str = "Untitled",
    own_pages: Iterable[str] = (),
    flags: Iterable[Flag] = (),
) -> Article:
    """Apply the publisher's notes, number the sources, and put labels where readers see them.

    Citations and addresses that are no source's are taken out; `own_pages` are addresses that stay. A
    label counts them, and what is left of `flags`, which the checks after each agent found.
    """
    known = tuple(sources)
    text = without_wrapping(text)
    if notes is not None:
        text = apply_edits(text, notes.edits).text
    own_title, body = split_title(text)
    title = (
        uncited_line(notes.title if notes else "")
        or uncited_line(own_title)
        or plain_line(fallback_title)
    )
    check = mended(body, known, own_pages)
    body = inert_markdown(_one_title(check.text)).strip()
    standing = tuple(f for _, f in standing_flags(statements(body), [*flags, *check.flags]))
    numbered = number_sources(body, known)
    uncited = [UNCITED_LABEL] if known and not numbered else []
    told = [*labels, *uncited, *flag_labels(standing)]
    shown = tuple(dict.fromkeys(plain_line(label) for label in told if label.strip()))
    standfirst = uncited_line(notes.standfirst) if notes else ""
    rendered = render_numbers(body, numbered)
    return Article(
        title=title,
        markdown=_whole(title, shown, standfirst, rendered, numbered),
        body_markdown=rendered,
        sources=numbered,
        labels=shown,
        standfirst=standfirst,
        cited_markdown=body,
        flags=standing,
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


def uncited_line(text: str) -> str:
    """One plain line that cites nothing and names no address: a title, a standfirst."""
    return plain_line(mended(text, (), may_cite=False).text)


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


def _whole(
    title: str,
    labels: Sequence[str],
    standfirst: str,
    body: str,
    numbered: Sequence[NumberedSource],
) -> str:
    parts = [markdown_head(title, labels, standfirst), body]
    if numbered:
        lines = [f"{entry.number}. {source_line(entry.source)}" for entry in numbered]
        parts.append("## Sources\n\n" + "\n".join(lines))
    return "\n\n".join(part for part in parts if part) + "\n"


def markdown_head(title: str, labels: Sequence[str], standfirst: str) -> str:
    """What stands above the text: title, labels, standfirst."""
    parts = [f"# {escape_markdown(title)}"]
    if labels:
        parts.append("\n>\n".join(f"> **{escape_markdown(label)}**" for label in labels))
    if standfirst:
        parts.append(f"*{escape_markdown(standfirst)}*")
    return "\n\n".join(parts)


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
