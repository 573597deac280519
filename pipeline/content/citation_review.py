"""Check what each kind of agent answers against the sources it was given, and mend what is left.

A review tells the model, once; `finish` runs on the answer that is kept, so that no later agent and no
reader meets a citation of nothing. What counts as a fault is decided in `citation_check.py` and, for
findings, `finding_check.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.agents.outputs import Findings
from pipeline.content.addresses import addresses
from pipeline.content.citation_check import lost_citations, mended
from pipeline.content.citations import cited_ids
from pipeline.content.finding_check import check_findings
from pipeline.content.remarks import Remarks, Review, Reviewed
from pipeline.content.statements import statements
from pipeline.models import AgentOutput, AgentSpec, Flag, FlagKind, Source, family

TURNS = 1  # after it code mends, which costs nothing
TOLD_MAX = 12  # faults named to the model
SAID_MAX_CHARS = 160  # of the sentence a fault stands in
_FAULT_WEIGHT, _CITED_WEIGHT = 10, 3

# What only the model can mend well; the rest code takes out without a trace.
_WORTH_A_TURN = frozenset(
    [
        FlagKind.UNKNOWN_KEY,
        FlagKind.RAW_NUMBER,
        FlagKind.INVENTED_URL,
        FlagKind.LOST_KEY,
        FlagKind.UNKNOWN_SOURCE,
        FlagKind.WRONG_QUOTE,
    ]
)
_SAID: Mapping[FlagKind, str] = {
    FlagKind.UNKNOWN_KEY: "`{}` is the id of no source. Cite the source that carries this, or cut the claim.",
    FlagKind.RAW_NUMBER: "`{}` is no citation. Put the source's id in square brackets, or nothing.",
    FlagKind.INVENTED_URL: "`{}` is not the address of a source. Leave it out.",
    FlagKind.SOURCE_LIST: "Leave out the list of sources (`{}`): code makes it.",
    FlagKind.MISPLACED_KEY: "Nothing may be cited here (`{}`).",
    FlagKind.LOST_KEY: "The draft gave `[{}]` for this. Put it back, or cut the claim.",
    FlagKind.UNKNOWN_SOURCE: "No tool returned a passage `{}`. Name one that was returned, or drop the finding.",
    FlagKind.WRONG_QUOTE: "`{}` does not stand in that passage. Copy the sentence letter for letter.",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Grounds:
    """What an answer is checked against: the sources it may cite, addresses that may stand in it, and
    the draft it edits, if it edits one."""

    sources: Mapping[str, Source] = field(default_factory=dict)
    pages: tuple[str, ...] = ()
    draft: str = ""


@dataclass(frozen=True, slots=True)
class Finished:
    """An answer as it is handed on."""

    text: str
    data: dict[str, Any] | None
    flags: tuple[Flag, ...] = ()


Finish = Callable[[Reviewed], Finished]


def grounds_of(
    agent: AgentSpec, inputs: Mapping[str, AgentOutput], own_pages: Iterable[str] = ()
) -> Grounds:
    """From the outputs an agent was given."""
    sources = {source.id: source for output in inputs.values() for source in output.sources}
    if agent.output is not None:  # whoever is given a text alone knows the ids that stand in it
        ids = [key for output in inputs.values() for key in cited_ids(output.text)]
        sources |= {key: Source(key, "", "", "web", "") for key in ids if key not in sources}
    mine = f"content_writer/{agent.part.number}" if agent.part else "content_writer"
    drafts = [mine] if family(agent.name) == "editor" else []
    said = [url for output in inputs.values() for url in addresses(output.text)]
    return Grounds(
        sources,
        tuple(own_pages) if agent.output is None else (*own_pages, *said),
        next((inputs[name].text for name in drafts if name in inputs), ""),
    )


def citation_review(agent: AgentSpec, grounds: Grounds) -> Review:
    """The review of an agent's answers: what the model is told of their citations."""
    finish = citation_finish(agent, grounds)

    def review(answer: Reviewed) -> Remarks:
        finished = finish(answer)
        weight = _FAULT_WEIGHT * sum(flag.kind in _WORTH_A_TURN for flag in finished.flags)
        if answer.data is None:
            # so that no answer is kept for citing less
            weight -= _CITED_WEIGHT * sum(bool(s.keys) for s in statements(finished.text))
        return Remarks(_asked(finished.flags), weight, TURNS)

    return review


def citation_finish(agent: AgentSpec, grounds: Grounds) -> Finish:
    """What makes of an agent's answer what is handed on."""
    if agent.output is Findings:
        return finish_findings

    def finish_text(answer: Reviewed) -> Finished:
        found = mended(answer.text, grounds.sources.values(), grounds.pages)
        lost = lost_citations(grounds.draft, found.text) if grounds.draft else ()
        return Finished(found.text, None, (*found.flags, *lost))

    def finish_fields(answer: Reviewed) -> Finished:
        return _finish_fields(answer, grounds)

    return finish_text if agent.output is None else finish_fields


def finish_findings(answer: Reviewed) -> Finished:
    """Findings of passages that were retrieved, with quotations that stand in them."""
    if answer.data is None:
        return Finished(answer.text, None)
    return _with_text(answer, *check_findings(answer.data, answer.sources))


def _finish_fields(answer: Reviewed, grounds: Grounds) -> Finished:
    flags: list[Flag] = []
    pages = grounds.pages

    def clean(value: Any, name: str = "") -> Any:
        if isinstance(value, str):
            if name == "find":  # it must stand in the text as it is
                return value
            found = mended(value, (), pages, may_cite=False)
            flags.extend(found.flags)
            return (found.text.strip() or "(left out)") if found.flags else value
        if name == "edits" and isinstance(value, list):
            return _without_inventions(value, grounds, flags)
        if isinstance(value, list):
            return [clean(item, name) for item in value]
        if isinstance(value, dict):
            return {key: clean(item, key) for key, item in value.items()}
        return value

    data = clean(answer.data) if answer.data is not None else None
    return _with_text(answer, data, tuple(flags))


def _without_inventions(edits: Sequence[Any], grounds: Grounds, flags: list[Flag]) -> list[Any]:
    """The publisher's edits without those that would bring in a citation or an address of nothing."""
    kept = []
    for edit in edits:
        replacement = str(edit.get("replace", "")) if isinstance(edit, dict) else ""
        found = mended(replacement, grounds.sources.values(), grounds.pages).flags
        flags.extend(found)
        if not found:
            kept.append(edit)
    return kept


def _with_text(answer: Reviewed, data: dict[str, Any] | None, flags: tuple[Flag, ...]) -> Finished:
    """The fields, and as text what the model wrote where they are still that."""
    same = data == answer.data
    text = answer.text if same else json.dumps(data, ensure_ascii=False, indent=1)
    return Finished(text, data, flags)


def _asked(flags: Sequence[Flag]) -> str:
    """What the model is told; empty when code mends all of it as well."""
    if not any(flag.kind in _WORTH_A_TURN for flag in flags):
        return ""
    lines = [_line(flag) for flag in sorted(flags, key=lambda f: f.kind not in _WORTH_A_TURN)]
    more = [f"- and {len(lines) - TOLD_MAX} more"] if len(lines) > TOLD_MAX else []
    listed = "\n".join([*lines[:TOLD_MAX], *more])
    return (
        f"Some citations do not hold:\n{listed}\nMend these places and leave everything else as it is: "
        "keep every other id where it stands."
    )


def _line(flag: Flag) -> str:
    said = _SAID[flag.kind].format(flag.detail[:SAID_MAX_CHARS].replace("\n", " "))
    return f"- “{flag.sentence[:SAID_MAX_CHARS]}”: {said}" if flag.sentence else f"- {said}"
