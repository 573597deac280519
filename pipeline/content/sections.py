"""An article in sections: who gets which evidence, what a section looks like, how they are joined.

Pure. Sections come from as many calls as the outline has, so code sees to what one call would have:
each finding belongs to one section, each section has exactly its own heading, and an edit that loses
or invents something is not taken.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pipeline.content.article import plain_line, unwrap
from pipeline.content.citations import cited_ids, invented_ids
from pipeline.content.findings import findings_of
from pipeline.content.prose import map_prose
from pipeline.models import AgentOutput, Join, Part

KEPT_WORDS = 0.4  # an edited section with a smaller share of its draft's words has lost something
STEM_CHARS = 6

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_UNDERLINED = re.compile(r"(?m)^(?! {0,3}[#>*+-])(\S.*)\n {0,3}(=+|-{2,})[ \t]*$")
_WORD = re.compile(r"[^\W\d_]{3,}")


@dataclass(frozen=True, slots=True)
class Section:
    """One section: what stands before its heading, the heading, the text below it."""

    lead: str
    heading: str
    body: str

    @property
    def markdown(self) -> str:
        return "\n\n".join(part for part in (self.lead, f"## {self.heading}", self.body) if part)


def planned_sections(plan: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """The outline as a plan's fields hold it; entries that are none count as empty ones."""
    outline = (plan or {}).get("outline")
    items = outline if isinstance(outline, list) else []
    return [item if isinstance(item, dict) else {} for item in items]


def heading_of(part: Part, plan: Mapping[str, Any] | None) -> str:
    """The heading of a part: that of its first section, as one plain line."""
    outline = planned_sections(plan)
    first = outline[part.positions[0]] if part.positions[0] < len(outline) else {}
    return plain_line(str(first.get("heading", ""))).lstrip("# ") or f"Section {part.number}"


def section_fact(part: Part, plan: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a part is told about itself; one JSON object in its prompt."""
    outline = planned_sections(plan)
    own = [outline[position] for position in part.positions if position < len(outline)]
    return {
        "number": part.number,
        "of": part.count,
        "heading": heading_of(part, plan),
        "further_headings": [str(section.get("heading", "")) for section in own[1:]],
        "words": sum(_words(section) for section in own),
        "first": part.number == 1,
        "last": part.number == part.count,
        "outline": own,
    }


def _words(section: Mapping[str, Any]) -> int:
    budget = section.get("word_budget")
    return budget if isinstance(budget, int) else 0


def own_evidence(part: Part, output: AgentOutput, inputs: Mapping[str, AgentOutput]) -> AgentOutput:
    """What a researcher found, reduced to what this part works with, sources included.

    A part that edits gets the findings its draft cites. Parts that write share the findings of all
    researchers out among themselves; each works out the same shares.
    """
    if part.kind == "edit":
        cited = set(cited_ids(_draft_of(part, inputs)))
        return _reduced(output, [f for f in findings_of(output) if f.get("source_id") in cited])
    plan = inputs[part.by].data if part.by in inputs else None
    topics = [_topic(positions, plan) for positions in part.split]
    found = [f for other in inputs.values() for f in findings_of(other)]
    mine = share_out(topics, found)[part.number - 1]
    return _reduced(output, [f for f in findings_of(output) if any(f is own for own in mine)])


def share_out(
    topics: Sequence[frozenset[str]], findings: Sequence[Mapping[str, Any]]
) -> list[list[Mapping[str, Any]]]:
    """For each topic (stems of words) the findings that fit it best; each goes to one.

    No topic stays empty while another gets two. Among topics that fit equally the one with the
    least so far gets it.
    """
    shares: list[list[Mapping[str, Any]]] = [[] for _ in topics]
    stems = [_stems(f"{f.get('claim', '')} {f.get('quote', '')}") for f in findings]
    fits = [[len(about & own) for about in topics] for own in stems]
    pairs = sorted(
        (-fits[index][topic], index, topic)
        for index in range(len(findings))
        for topic in range(len(topics))
    )
    placed: set[int] = set()
    for _, index, topic in pairs:
        if index not in placed and not shares[topic]:
            placed.add(index)
            shares[topic].append(findings[index])
    for index in range(len(findings)):
        if index not in placed:
            best = min(range(len(topics)), key=lambda t: (-fits[index][t], len(shares[t])))
            shares[best].append(findings[index])
    return shares


def _draft_of(part: Part, inputs: Mapping[str, AgentOutput]) -> str:
    """The text that a part which edits was given under its own number."""
    return next((o.text for n, o in inputs.items() if n.endswith(f"/{part.number}")), "")


def _topic(positions: Iterable[int], plan: Mapping[str, Any] | None) -> frozenset[str]:
    outline = planned_sections(plan)
    own = [outline[position] for position in positions if position < len(outline)]
    return _stems(
        " ".join(
            f"{s.get('heading', '')} {s.get('goal', '')} {s.get('key_questions', '')}" for s in own
        )
    )


def _stems(text: str) -> frozenset[str]:
    return frozenset(word[:STEM_CHARS].casefold() for word in _WORD.findall(text))


def _reduced(output: AgentOutput, findings: Sequence[Mapping[str, Any]]) -> AgentOutput:
    cited = {finding.get("source_id") for finding in findings}
    return replace(
        output,
        data={**(output.data or {}), "findings": list(findings)},
        sources=tuple(source for source in output.sources if source.id in cited),
    )


def seam_before(text: str) -> str:
    """How the section before ends: its last paragraph."""
    return _paragraphs(text)[-1]


def seam_after(text: str) -> str:
    """How the section after begins: its heading and its first paragraph."""
    return "\n\n".join(_paragraphs(text)[:2])


def _paragraphs(text: str) -> list[str]:
    return [block for block in re.split(r"\n[ \t]*\n", text.strip()) if block.strip()] or [""]


def read_section(text: str, heading: str, *, opens: bool) -> Section:
    """A reply as one section under `heading`, whatever headings it came with.

    The heading that says the same, else the first of second level, else a title at the top, is taken
    for the section's own. A title above it goes, other headings of these levels become third-level.
    Text before the heading is the article's opening when the section `opens` it, and the section's
    first paragraph otherwise.
    """
    lines = _atx(unwrap(text)).strip().split("\n")
    titles = {index: title for index, title in _headings(lines).items() if title[0] <= 2}
    # a line that cites is a claim, whatever stands before or below it: it is never dropped
    bare = {index: title for index, title in titles.items() if not cited_ids(title[1])}
    own = _own_heading(bare, heading)
    for index, (level, title) in titles.items():
        is_title = index == 0 and level == 1 and own is not None and index in bare
        lines[index] = "" if is_title or index == own else f"### {title}".rstrip()
    lead, body = ([], lines) if own is None else (lines[:own], lines[own + 1 :])
    before, below = "\n".join(lead).strip(), "\n".join(body).strip()
    if before and not opens:
        before, below = "", f"{before}\n\n{below}".strip()
    return Section(before, heading, below)


def _own_heading(titles: Mapping[int, tuple[int, str]], heading: str) -> int | None:
    """Which line stands for the section's heading, of the headings of the first two levels."""
    wanted = heading.casefold()
    same = [i for i, (_, title) in titles.items() if plain_line(title).casefold() == wanted]
    second = [i for i, (level, _) in titles.items() if level == 2]
    at_top = [i for i in titles if i == 0]
    return next(iter([*same, *second, *at_top]), None)


def _atx(text: str) -> str:
    """Underlined headings written with number signs, so that there is one kind."""

    def hashed(match: re.Match[str]) -> str:
        return f"{'#' if match[2][0] == '=' else '##'} {match[1]}"

    return map_prose(text, lambda prose: _UNDERLINED.sub(hashed, prose))


def _headings(lines: Sequence[str]) -> dict[int, tuple[int, str]]:
    """Line → level and words, for the headings among `lines`; code has none."""
    fence = ""
    found: dict[int, tuple[int, str]] = {}
    for index, line in enumerate(lines):
        mark = _FENCE.match(line)
        if fence:
            if mark and mark[1].startswith(fence) and not line.strip(" `~"):
                fence = ""
        elif mark:
            fence = mark[1]
        elif heading := _heading(line):
            found[index] = heading
    return found


def _heading(line: str) -> tuple[int, str] | None:
    """Level and words of a heading line; no pattern, so that no line can be slow to read."""
    text = line.lstrip(" ")
    words = text.lstrip("#")
    level = len(text) - len(words)
    if len(line) - len(text) > 3 or not 1 <= level <= 6 or words[:1] not in ("", " ", "\t"):
        return None
    return level, words.strip().rstrip("#").rstrip()


def join_sections(title: str, sections: Iterable[Section]) -> str:
    """The article: its title, then the sections in order."""
    return "\n\n".join([f"# {plain_line(title)}", *(s.markdown for s in sections)]) + "\n"


def joined(join: Join, inputs: Mapping[str, AgentOutput], *, fallback_title: str) -> AgentOutput:
    """What an expanded agent hands on: its parts' texts as one article.

    Of parts that edited, a text that lost or invented something is left out for its draft, and
    the output's mark says which.
    """
    plan = inputs[join.by].data if join.by in inputs else None
    headings = [heading_of(part, plan) for part in join.parts]
    sections = _read(headings, [inputs[name].text for name in join.names])
    marks = []
    if join.drafts:
        drafts = _read(headings, [inputs[name].text for name in join.drafts])
        for index, (draft, edited) in enumerate(zip(drafts, sections, strict=True)):
            if problem := loss(draft, edited):
                sections[index] = draft
                marks.append(f"Section {index + 1} stands as drafted: its edit {problem}")
    title = plain_line(str((plan or {}).get("title", ""))) or fallback_title
    sources = {s.id: s for name in join.names for s in inputs[name].sources}
    flags = [flag for name in join.names for flag in inputs[name].flags]
    return AgentOutput(
        text=join_sections(title, sections),
        sources=tuple(sources.values()),
        prompt=f"No model was asked: code joined {join.names[0]} to {join.names[-1]}.",
        mark="; ".join(marks),
        flags=tuple(flags),
    )


def _read(headings: Sequence[str], texts: Sequence[str]) -> list[Section]:
    return [
        read_section(text, heading, opens=index == 0)
        for index, (heading, text) in enumerate(zip(headings, texts, strict=True))
    ]


def loss(draft: Section, edited: Section) -> str:
    """What an edit did that no edit may; empty when it is one."""
    before, after = _words_of(draft), _words_of(edited)
    if after < before * KEPT_WORDS:
        return f"kept {after} of {before} words"
    if added := invented_ids(draft.markdown, edited.markdown):
        return f"added {len(added)} {'citation' if len(added) == 1 else 'citations'}"
    return ""


def _words_of(section: Section) -> int:
    return len(f"{section.lead} {section.body}".split())
