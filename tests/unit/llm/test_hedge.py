"""A second request for a late first token, over real sockets: who wins, and what is left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import CallError, RateLimited, ServerFailed
from pipeline.llm.admission import Gate, GateRegistry
from pipeline.llm.admission.snapshot import HedgeCounts
from pipeline.llm.attempt import Attempt
from pipeline.llm.call import AttemptObserver, ModelReply
from pipeline.llm.hedge import Answered, Race
from tests.fault_server import (
    DONE,
    SILENCE,
    Answer,
    FaultServer,
    Wait,
    completion,
    error,
    finish,
    stream,
    text,
    usage,
)
from tests.unit.llm.admission.jumping import run
from tests.unit.llm.conftest import ASK, Log, OpenCaller

Late = Callable[..., Gate]


@pytest.fixture
def late_after(monkeypatch: pytest.MonkeyPatch) -> Late:
    """A gate that has seen many quick first tokens, so that soon one is late."""

    def make(server: FaultServer, gates: GateRegistry, late_s: float = 0.15) -> Gate:
        monkeypatch.setattr("pipeline.llm.admission.hedging.DEADLINE_MIN_S", late_s)
        gate = gates.gate_for(server.endpoint.base_url or "", "m")
        for _ in range(20):
            gate.first_tokens.add(0.01)
        return gate

    return make


NUMBERED = [("hedged", 2, 1), ("admitted", 2), ("sent", 2, "m")]


async def test_the_second_request_wins_and_the_first_is_closed(
    open_caller: OpenCaller, log: Log, late_after: Late
) -> None:
    gates = GateRegistry(4)
    async with FaultServer(Answer([SILENCE]), completion("good")) as server:
        gate = late_after(server, gates)
        async with open_caller(server.endpoint, gates=gates) as caller:
            reply = await caller.call(ASK, log)
            async with asyncio.timeout(5):
                await server.requests[0].hung_up.wait()

    assert (reply.text, log.shown) == ("good", "good")
    assert log.steps[3:6] == NUMBERED
    assert log.names[6:] == ["first_token", "text", "outrun", "finished"]
    assert log.named("outrun") == [(1,)]
    assert log.named("finished") == [(2, reply)]
    assert gate.snapshot().hedges == HedgeCounts(1, 1, 0)
    assert gate.snapshot().in_flight == 0
    assert server.requests[0].body == server.requests[1].body


async def test_the_first_wins_after_all_and_text_is_never_doubled(
    open_caller: OpenCaller, log: Log, late_after: Late
) -> None:
    gates, begin = GateRegistry(4), asyncio.Event()
    slow = stream(Wait(begin), text("one "), text("two") + finish() + usage(3, 2) + DONE)
    async with FaultServer(slow, Answer([SILENCE])) as server:
        gate = late_after(server, gates)
        async with open_caller(server.endpoint, gates=gates) as caller:
            call = asyncio.create_task(caller.call(ASK, log))
            await log.seen("sent", 2)
            begin.set()
            reply = await call
            async with asyncio.timeout(5):
                await server.requests[1].hung_up.wait() if len(server.requests) > 1 else None

    assert (reply.text, log.shown) == ("one two", "one two")
    assert log.named("outrun") == [(2,)]
    assert log.named("finished") == [(1, reply)]
    assert gate.snapshot().hedges == HedgeCounts(1, 0, 1)
    assert gate.snapshot().in_flight == 0


async def test_when_the_first_fails_the_second_is_waited_for(
    open_caller: OpenCaller, log: Log, late_after: Late
) -> None:
    gates, begin, answer = GateRegistry(4), asyncio.Event(), asyncio.Event()
    broken = stream(Wait(begin), text("")[:10])
    async with FaultServer(broken, stream(Wait(answer), text("good"), finish() + DONE)) as server:
        late_after(server, gates)
        async with open_caller(server.endpoint, gates=gates) as caller:
            call = asyncio.create_task(caller.call(ASK, log))
            await log.seen("sent", 2)
            begin.set()
            await log.seen("discarded", 1)
            answer.set()
            reply = await call

    assert (reply.text, log.shown) == ("good", "good")
    assert log.named("backoff") == []
    assert log.named("finished") == [(2, reply)]


async def test_when_both_fail_the_call_backs_off_once(
    open_caller: OpenCaller, log: Log, late_after: Late
) -> None:
    gates, begin = GateRegistry(4), asyncio.Event()
    down = {"error": {"message": "down"}}
    async with FaultServer(
        stream(Wait(begin), text("")[:10]), error(500, down), completion("good")
    ) as server:
        gate = late_after(server, gates)
        async with open_caller(server.endpoint, gates=gates) as caller:
            call = asyncio.create_task(caller.call(ASK, log))
            await log.seen("discarded", 2)
            begin.set()
            reply = await call

    assert reply.text == "good"
    assert [number for number, *_ in log.named("discarded")] == [2, 1]
    assert len(log.named("backoff")) == 1
    assert log.named("finished")[0][0] == 3
    assert gate.snapshot().in_flight == 0


async def test_cancelling_the_call_closes_both(
    open_caller: OpenCaller, log: Log, late_after: Late
) -> None:
    gates = GateRegistry(4)
    async with FaultServer(default=Answer([SILENCE])) as server:
        gate = late_after(server, gates)
        async with open_caller(server.endpoint, gates=gates) as caller:
            before = asyncio.all_tasks()
            call = asyncio.create_task(caller.call(ASK, log))
            await log.seen("sent", 2)
            async with asyncio.timeout(5):
                while len(server.requests) < 2:
                    server.arrived.clear()
                    await server.arrived.wait()
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            async with asyncio.timeout(5):
                for request in server.requests:
                    await request.hung_up.wait()
            left = {t for t in asyncio.all_tasks() - before if "second request" in t.get_name()}

    assert sorted(n for n, _ in log.named("discarded")) == [1, 2]
    assert left == set()
    assert gate.snapshot().in_flight == 0


async def test_a_second_request_never_takes_the_place_of_a_call_that_waits(
    open_caller: OpenCaller, log: Log, late_after: Late
) -> None:
    gates, begin = GateRegistry(1), asyncio.Event()
    slow = stream(Wait(begin), text("a"), finish() + DONE)
    async with FaultServer(slow) as server:
        gate = late_after(server, gates)
        async with open_caller(server.endpoint, gates=gates) as caller:
            call = asyncio.create_task(caller.call(ASK, log))
            await log.seen("sent", 1)
            asyncio.get_running_loop().call_later(0.4, begin.set)
            await call

    assert log.named("hedged") == []
    assert gate.snapshot().hedges == HedgeCounts()
    assert len(server.requests) == 1


async def test_it_can_be_switched_off(open_caller: OpenCaller, log: Log, late_after: Late) -> None:
    gates, begin = GateRegistry(4), asyncio.Event()
    async with FaultServer(stream(Wait(begin), text("a"), finish() + DONE)) as server:
        late_after(server, gates)
        async with open_caller(server.endpoint, gates=gates, hedge=False) as caller:
            asyncio.get_running_loop().call_later(0.4, begin.set)
            await caller.call(ASK, log)

    assert (log.named("hedged"), len(server.requests)) == ([], 1)


async def test_an_error_that_comes_early_is_the_calls_own(
    open_caller: OpenCaller, log: Log, late_after: Late
) -> None:
    gates = GateRegistry(4)
    async with FaultServer(default=error(500, {"error": {"message": "down"}})) as server:
        late_after(server, gates, late_s=30.0)
        async with open_caller(server.endpoint, gates=gates) as caller:
            with pytest.raises(CallError) as caught:
                await caller.call(ASK, log)

    assert isinstance(caught.value, ServerFailed)
    assert len(server.requests) == 3
    assert [n for n, _ in log.named("discarded")] == [1, 2, 3]


async def test_first_token_times_are_learned_from_calls(open_caller: OpenCaller) -> None:
    gates = GateRegistry(4)
    async with (
        FaultServer(default=completion("a")) as server,
        open_caller(server.endpoint, gates=gates) as caller,
    ):
        for _ in range(8):
            await caller.call(ASK, Log())

    gate = gates.gate_for(server.endpoint.base_url or "", "m")
    assert gate.first_tokens.deadline_s() is not None


class Scripted:
    """An attempt whose first token, and error if any, come when the test says."""

    def __init__(self, observer: AttemptObserver, number: int, ends: Ends) -> None:
        self._observer, self._number, self._ends = observer, number, ends
        self.sent_s = 0.0

    async def run(self) -> ModelReply:
        self._observer.sent(self._number, "m")
        first_s, error = self._ends
        await asyncio.sleep(first_s)
        if error is not None:
            raise error
        self._observer.first_token(self._number)
        await asyncio.sleep(0)
        return ModelReply("x", "stop")


Ends = tuple[float, CallError | None]

AT_ONCE_S = 1.0 + 1e-10  # after what happens at 1.0, but in the same turn of the loop


class Raced:
    """One race of scripted attempts at a gate, and what is left when it is over."""

    def __init__(self, first: Ends, second: Ends, deadline_s: float = 1.0) -> None:
        self.gate, self.log = Gate(4), Log()
        self.grant = self.gate.try_acquire()
        assert self.grant is not None
        ends = {1: first, 2: second}
        self.failed: list[CallError] = []
        self.race = Race(
            self.gate,
            self.grant,
            self.log,
            1,
            lambda number, _, lane: cast(Attempt, Scripted(lane, number, ends[number])),
            lambda: 2,
            deadline_s,
            lambda _, error: self.failed.append(error),
        )

    async def run(self) -> Answered | CallError:
        assert self.grant is not None
        try:
            return await self.race.run()
        finally:
            self.gate.release(self.grant)

    def is_clean(self) -> bool:
        counts = self.gate.snapshot().hedges
        ended = {step[1] for step in self.log.steps if step[0] in ("discarded", "outrun")}
        told = len(self.log.named("hedged")) <= len(ended)
        return (
            self.gate.snapshot().in_flight == 0 and counts.sent == counts.won + counts.lost and told
        )


def test_a_second_request_that_never_began_gives_its_slot_back() -> None:
    """The first token is there, but unread, when the deadline passes: a loop that was busy."""

    async def main() -> None:
        raced = Raced((1.0, None), (9.0, None), AT_ONCE_S)
        outcome = await raced.run()

        assert isinstance(outcome, Answered)
        assert outcome.number == 1
        assert raced.log.named("hedged") == [(2, 1)]
        assert raced.log.named("sent") == [(1, "m")]
        assert raced.log.named("outrun") == [(2,)]
        assert raced.gate.snapshot().hedges == HedgeCounts(1, 0, 1)
        assert raced.is_clean()

    run(main())


@given(
    steps=st.integers(0, 20),
    at_s=st.sampled_from([0.0, 1.0, 2.0, 3.0]),
    first_s=st.sampled_from([1.0, 2.0, 3.0]),
    second_s=st.sampled_from([0.0, 1.0, 2.0]),
    deadline_s=st.sampled_from([1.0, AT_ONCE_S, 1.5]),
    errors=st.tuples(st.booleans(), st.booleans()),
)
def test_cancelled_at_any_step_a_race_gives_both_slots_back(
    steps: int,
    at_s: float,
    first_s: float,
    second_s: float,
    deadline_s: float,
    errors: tuple[bool, bool],
) -> None:
    async def main() -> None:
        first, second = (ServerFailed("down") if fails else None for fails in errors)
        raced = Raced((first_s, first), (second_s, second), deadline_s)
        call, loop = asyncio.create_task(raced.run()), asyncio.get_running_loop()

        def cancel_after(steps: int) -> None:
            if steps:
                loop.call_soon(cancel_after, steps - 1)
            else:
                call.cancel()

        loop.call_later(at_s, cancel_after, steps)
        await asyncio.wait({call})
        await asyncio.sleep(10)

        assert raced.is_clean()
        assert len(asyncio.all_tasks()) == 1

    run(main())


@pytest.mark.parametrize("first_s", [2.0, 4.0])
def test_when_both_fail_each_is_told_once_and_the_later_error_is_the_calls(first_s: float) -> None:
    async def main() -> None:
        first, second = ServerFailed("down"), RateLimited("slow down", retry_after_s=9.0)
        raced = Raced((first_s, first), (2.0, second))  # from 0 and from 1
        outcome = await raced.run()

        in_order = [first, second] if first_s == 2.0 else [second, first]
        assert raced.failed == in_order
        assert outcome is in_order[1]
        assert raced.is_clean()

    run(main())


async def test_a_refusal_of_the_first_cools_the_gate_even_when_the_second_wins(
    open_caller: OpenCaller, log: Log, late_after: Late
) -> None:
    gates, refuse, answer = GateRegistry(4), asyncio.Event(), asyncio.Event()
    refusal = error(429, {"error": {"message": "slow down"}}, {"retry-after": "30"})
    refusal = replace(refusal, steps=[Wait(refuse), *refusal.steps], framing="chunked")
    async with FaultServer(refusal, stream(Wait(answer), text("good"), finish() + DONE)) as server:
        gate = late_after(server, gates)
        async with open_caller(server.endpoint, gates=gates) as caller:
            call = asyncio.create_task(caller.call(ASK, log))
            await log.seen("sent", 2)
            refuse.set()
            await log.seen("discarded", 1)
            answer.set()
            await call

    snapshot = gate.snapshot()
    assert (log.shown, snapshot.refused, snapshot.in_flight) == ("good", 1, 0)
    assert 0.0 < snapshot.cooling_s <= 30.0


async def test_a_refusal_of_the_second_is_counted_once(
    open_caller: OpenCaller, log: Log, late_after: Late
) -> None:
    gates, begin = GateRegistry(4), asyncio.Event()
    down = {"error": {"message": "down"}}
    async with FaultServer(
        stream(Wait(begin), text("")[:10]), error(429, down), completion("good")
    ) as server:
        gate = late_after(server, gates)
        async with open_caller(server.endpoint, gates=gates) as caller:
            call = asyncio.create_task(caller.call(ASK, log))
            await log.seen("discarded", 2)
            begin.set()
            await call

    assert gate.snapshot().refused == 1
