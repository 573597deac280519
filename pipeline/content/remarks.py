"""What code finds wrong with an answer that fits its schema. Pure values.

A review looks at an answer and says its remarks; `agents.reviews` knows whose answers are reviewed,
`agents.remark_turns` asks for better ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.models import Source


@dataclass(frozen=True, slots=True)
class Reviewed:
    """An answer as a review sees it: the text, its fields if it has any, the sources it may cite by id."""

    text: str
    data: Mapping[str, Any] | None
    sources: Mapping[str, Source]


@dataclass(frozen=True, slots=True)
class Remarks:
    """`text` is for the model, empty when it need not be asked again; of two answers the one with
    less `weight` is kept. `turns` is how often these are worth asking, at most `remark_turns` says."""

    text: str = ""
    weight: int = 0
    turns: int = 2


Review = Callable[[Reviewed], Remarks]


def together(remarks: Iterable[Remarks]) -> Remarks:
    """Remarks of several reviews of one answer as one."""
    found = list(remarks)
    return Remarks(
        "\n\n".join(r.text for r in found if r.text),
        sum(r.weight for r in found),
        max((r.turns for r in found if r.text), default=0),
    )
