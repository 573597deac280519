"""Ask for a better answer where the one there is fits but has faults, a bounded number of times.

The best answer so far is kept: nothing that happens in such a turn makes a valid answer a failure.
What is still wrong afterwards is mended and flagged by code, where the answer is used.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from pipeline.agents.reply_check import PROBLEM_MAX_CHARS, Checked
from pipeline.content.remarks import Remarks, Review, Reviewed
from pipeline.llm.call import ModelReply
from pipeline.models import Source

MAX_REMARK_TURNS = 2
LONG_ANSWER_CHARS = 5_000

T = TypeVar("T")
SHORTEST = 0.75  # of a text that is sent again: what lost more was not mended but cut


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply that fits, as it came and as it was read."""

    reply: ModelReply
    checked: Checked


class NoAnswer(Exception):
    """A turn brought no answer. `final`: the next one would not either."""

    def __init__(self, *, final: bool) -> None:
        super().__init__()
        self.final = final


Ask = Callable[[Answer, str, int], Awaitable[Answer]]  # answer so far, remarks, turn from 1


async def best_answer(
    first: Answer, review: Review, sources: Mapping[str, Source], ask: Ask
) -> Answer:
    """`first`, or a better one that `ask` brought. `ask` raises `NoAnswer` when a turn brings none."""

    async def remarks(answer: Answer) -> Remarks:
        reviewed = Reviewed(answer.checked.text, answer.checked.data, sources)
        return await beside_the_loop(review, reviewed)

    best, found = first, await remarks(first)
    for turn in range(1, MAX_REMARK_TURNS + 1):
        if not found.text or turn > found.turns:
            break
        try:
            answer = await ask(best, found.text[:PROBLEM_MAX_CHARS], turn)
        except NoAnswer as error:
            if error.final:
                break
            continue
        if _lost_text(best.checked, answer.checked):
            continue
        others = await remarks(answer)
        if others.weight < found.weight:
            best, found = answer, others
    return best


async def beside_the_loop(work: Callable[[Reviewed], T], answer: Reviewed) -> T:
    """Reading a long answer takes a while: in a thread, so that the other runs go on."""
    if len(answer.text) < LONG_ANSWER_CHARS:
        return work(answer)
    return await asyncio.to_thread(work, answer)


def _lost_text(before: Checked, after: Checked) -> bool:
    """A text without its faults' surroundings, or the mended place alone, has fewer faults too."""
    return after.data is None and len(after.text) < SHORTEST * len(before.text)
