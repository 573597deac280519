"""The publisher's changes as HTML: the words that changed, the edits, what became of the advice.

What changed is decided in `pipeline.content.changes`; here everything is escaped.
"""

from __future__ import annotations

from typing import Final

from pipeline.content.changes import Advice, Changes, EditMade, Outcome
from pipeline.content.word_diff import Difference, Piece
from pipeline.export.rendering import element, listing, table, text

OUTCOME_WORDS: Final[dict[Outcome, str]] = {
    "applied": "applied",
    "refused": "refused by code",
    "not_followed": "not followed",
    "not_mentioned": "not mentioned",
}


def changes_html(changes: Changes) -> str:
    """What stands in the section of the page, without its heading."""
    parts = [element("p", text(_headline(changes)), class_="facts"), difference_html(changes.text)]
    if changes.edits:
        head = ("Passage", "Becomes", "Result", "Why")
        parts.append(table(head, [_edit(e) for e in changes.edits], "Edits the publisher proposed"))
    if changes.advice:
        head = ("Advice", "What", "Result", "Why")
        parts.append(table(head, [_advice(a) for a in changes.advice], "What became of the advice"))
    return "".join([*parts, listing(changes.left)])


def _headline(changes: Changes) -> str:
    parts = [
        f"{changes.applied} of {len(changes.edits)} edits applied",
        f"{changes.text.words('added')} words added",
        f"{changes.text.words('removed')} removed",
    ]
    if changes.headline != changes.headline_before:
        parts.append(f"headline before: {changes.headline_before}")
    return "; ".join(parts) + "."


def _edit(edit: EditMade) -> tuple[str, str, str, str]:
    why = ": ".join(filter(None, (edit.advice, edit.why)))
    result = f"refused: {edit.refused}" if edit.refused else "applied"
    return edit.find, edit.replace or "(nothing)", result, why


def _advice(advice: Advice) -> tuple[str, str, str, str]:
    return advice.name, advice.text, OUTCOME_WORDS[advice.outcome], advice.said


def difference_html(found: Difference) -> str:
    """A difference as paragraphs with `<ins>` and `<del>`; what did not change is counted."""
    parts: list[str] = []
    for block in found.blocks:
        parts.append(_unchanged(block.skipped))
        parts.append(element("p", "".join(_piece(piece) for piece in block.pieces)))
    parts.append(_unchanged(found.unchanged))
    return element("div", "".join(parts), class_="difference")


def _piece(piece: Piece) -> str:
    tag = {"added": "ins", "removed": "del"}.get(piece.kind)
    return element(tag, text(piece.text)) if tag else text(piece.text)


def _unchanged(count: int) -> str:
    words = f"{count} {'paragraph' if count == 1 else 'paragraphs'} unchanged"
    return element("p", text(words), class_="unchanged") if count else ""
