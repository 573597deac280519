"""Three broken replies in a row: made anew where replies break by chance, and nowhere else."""

from __future__ import annotations

import pytest

from pipeline.events import BackoffStarted, CallSent
from pipeline.models import RunStatus
from tests.fault_front import Fault
from tests.fault_server import Answer, Reset, stream, text
from tests.faults.test_matrix import (
    BROKEN,
    CRITICAL,
    IN_TIME,
    check_texts,
    cut_after,
    discarded,
    place,
)

EARLIER = "topic_planner"  # whose reply breaks once and then comes whole
BREAKS: dict[str, Fault] = {
    "a broken chunk": BROKEN,
    "cut after three chunks": cut_after(3, Reset()),
    "cut before the answer": Answer([Reset()], framing="close"),
}


@pytest.mark.parametrize("fault", BREAKS.values(), ids=BREAKS)
async def test_where_replies_break_by_chance_three_in_a_row_are_bad_luck(fault: Fault) -> None:
    async with place(IN_TIME) as here:
        here.front.faults[EARLIER] = [BROKEN]
        here.front.faults[CRITICAL] = [fault] * 3

        result = await here.run()

        assert result.status is RunStatus.DONE
        events = [e for e in result.journal.events if getattr(e, "agent", "") == CRITICAL]
        sent = [(e.call, e.attempt) for e in events if isinstance(e, CallSent)]
        waits = [(e.call, e.attempt) for e in events if isinstance(e, BackoffStarted)]
        assert sent == [(1, 1), (1, 2), (1, 3), (2, 1)]
        assert waits == [(1, 1), (1, 2), (1, 3)]
        check_texts(here.front, result)


async def test_a_reply_that_goes_on_breaking_stops_the_run_after_a_second_call() -> None:
    async with place(IN_TIME) as here:
        here.front.faults[EARLIER] = [BROKEN]
        here.front.always[CRITICAL] = BROKEN

        result = await here.run()

        assert result.status is RunStatus.FAILED
        assert result.error is not None
        assert result.error.code == "stream_broken"
        assert discarded(result, CRITICAL) == ["stream_broken"] * 6


async def test_an_earlier_failure_of_another_kind_is_no_sign_of_chance() -> None:
    async with place(IN_TIME) as here:
        here.front.faults[EARLIER] = [Answer([b"busy"], status=503, framing="length")]
        here.front.always[CRITICAL] = stream(text("Half a reply "))

        result = await here.run()

        assert result.status is RunStatus.FAILED
        assert discarded(result, CRITICAL) == ["stream_broken"] * 3
