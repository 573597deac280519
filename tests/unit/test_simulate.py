"""The simulator: equal to brute force on small plans, and within what no schedule can break.

Times are whole ticks of 1/8 s, so that sums are exact in floating point and equal moments are
equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import PlanError
from pipeline.models import Mode
from pipeline.plan import Plan, make_plan, remaining_paths
from pipeline.schedule import PlacedStep, Release, Schedule
from pipeline.simulate import Limits, simulate
from pipeline.spans import Segment
from pipeline.workload import Call, Pause, Step, Workload
from tests.unit.simulated import plans, roster_of, rosters

TICK_S = 1 / 8
TICKS_PER_MINUTE = 480

ticks = st.integers(0, 12)
some_ticks = st.integers(1, 12)


@st.composite
def calls(draw: st.DrawFn) -> Call:
    return Call(
        draw(ticks) * TICK_S, draw(some_ticks) * TICK_S, draw(st.integers(0, 3)), draw(ticks)
    )


pauses = st.builds(
    Pause,
    st.sampled_from([Segment.TOOLS, Segment.GENERATION]),
    some_ticks.map(lambda t: t * TICK_S),
)


@st.composite
def workloads(draw: st.DrawFn, *, with_pauses: bool = True) -> Workload:
    """Calls with pauses between and after them; sometimes no step at all."""
    steps: list[Step] = []
    for call in draw(st.lists(calls(), max_size=3)):
        steps.append(call)
        if with_pauses and draw(st.booleans()):
            steps.append(draw(pauses))
    return Workload(tuple(steps))


@st.composite
def work(
    draw: st.DrawFn, mode: Mode | None = None, *, with_pauses: bool = True
) -> tuple[Plan, dict[str, Workload]]:
    plan = draw(plans(mode))
    return plan, {name: draw(workloads(with_pauses=with_pauses)) for name in plan.names}


@st.composite
def crowds(draw: st.DrawFn) -> tuple[Plan, dict[str, Workload]]:
    """Many agents that hardly wait for each other, so that the gate decides most of it."""
    names = [f"a{i}" for i in range(draw(st.integers(3, 8)))]
    needs: dict[str, list[str]] = {names[0]: []}
    for index, name in enumerate(names[1:], 1):
        needs[name] = draw(st.lists(st.sampled_from(names[:index]), max_size=1))
    plan = make_plan(roster_of(needs, dict.fromkeys(names, "p")), Mode.DATAFLOW)
    return plan, {name: draw(workloads()) for name in names}


caps = st.none() | st.integers(1, 4)
# divisors of 480, so that a call's share of the minute is a whole number of ticks
paces = st.none() | st.sampled_from([1, 2, 3, 4, 5, 6, 8, 10, 12])


@st.composite
def limits(draw: st.DrawFn) -> Limits:
    request_ticks, token_ticks = draw(paces), draw(paces)
    return Limits(
        draw(caps),
        TICKS_PER_MINUTE / request_ticks if request_ticks else None,
        TICKS_PER_MINUTE / token_ticks if token_ticks else None,
        draw(st.integers(1, 3)),
        draw(st.integers(1, 30)),
    )


def brute_force(
    plan: Plan, loads: Mapping[str, Workload], limits: Limits
) -> dict[str, list[tuple[float, float]]]:
    """Agent → when each step began and ended, found tick by tick.

    Shares nothing with the simulator: at every tick it asks of every agent what it is doing, and
    of the gate, by looking back at all admissions so far, whether one more call may go.
    """

    def path_s(name: str) -> float:
        later = [a for b, a in plan.data_edges | plan.order_edges if b == name]
        return loads[name].service_s + max((path_s(n) for n in later), default=0.0)

    placed: dict[str, list[tuple[float, float]]] = {name: [] for name in plan.names}
    since: dict[str, float] = {}  # when the agent's current step could have begun
    settled: set[str] = set()
    admitted: list[tuple[float, Call]] = []
    now_s = 0.0
    while len(settled) < len(plan.names):
        assert now_s < 10_000, "the brute force does not come to an end"
        moved = True
        while moved:  # everything that happens at this tick, until nothing more does
            moved = False
            for name in plan.names:
                if name in settled or not plan.predecessors(name) <= settled:
                    continue
                done = placed[name]
                if done and done[-1][1] > now_s:
                    continue
                since.setdefault(f"{name} {len(done)}", now_s)
                if len(done) == len(loads[name].steps):
                    settled.add(name)
                    moved = True
                elif isinstance(pause := loads[name].steps[len(done)], Pause):
                    done.append((now_s, now_s + pause.duration_s))
                    moved = True
            waiting = [
                name
                for name in plan.names
                if f"{name} {len(placed[name])}" in since
                and name not in settled
                and (not placed[name] or placed[name][-1][1] <= now_s)
            ]
            waiting.sort(key=lambda n: (-path_s(n), since[f"{n} {len(placed[n])}"]))
            if moved or not waiting:
                continue
            name = waiting[0]
            call = loads[name].steps[len(placed[name])]
            assert isinstance(call, Call)
            if _may_go(call, now_s, placed, loads, admitted, limits):
                placed[name].append((now_s, now_s + call.duration_s))
                admitted.append((now_s, call))
                moved = True
        now_s += TICK_S
    return placed


def _may_go(
    next_call: Call,
    now_s: float,
    placed: Mapping[str, list[tuple[float, float]]],
    loads: Mapping[str, Workload],
    admitted: list[tuple[float, Call]],
    limits: Limits,
) -> bool:
    out = sum(
        isinstance(step, Call) and end_s > now_s
        for name, times in placed.items()
        for step, (_, end_s) in zip(loads[name].steps, times, strict=False)
    )
    if limits.max_in_flight is not None and out >= limits.max_in_flight:
        return False
    for rate, capacity, cost in (
        (limits.requests_per_minute, limits.request_burst, lambda call: 1),
        (limits.tokens_per_minute, limits.token_burst, lambda call: call.tokens),
    ):
        if rate is None:
            continue
        # what every stretch of calls up to now has taken and not got back must leave enough
        for first in range(len(admitted)):
            owed = sum(cost(call) for _, call in admitted[first:])
            owed_ticks = owed * (TICKS_PER_MINUTE / rate) - (now_s - admitted[first][0]) / TICK_S
            left_ticks = (capacity - min(cost(next_call), capacity)) * TICKS_PER_MINUTE / rate
            if owed_ticks > left_ticks:
                return False
    return True


def calls_of(schedule: Schedule) -> list[PlacedStep]:
    placed = [p for agent in schedule.agents for p in agent.steps if isinstance(p.step, Call)]
    return sorted(placed, key=lambda p: p.start_s)


@pytest.mark.slow
@settings(deadline=None, max_examples=200)
@given(work() | crowds(), limits())
def test_it_equals_brute_force(given: tuple[Plan, dict[str, Workload]], limits: Limits) -> None:
    plan, loads = given

    schedule = simulate(plan, loads, limits)

    found = {a.agent: [(p.start_s, p.end_s) for p in a.steps] for a in schedule.agents}
    assert found == brute_force(plan, loads, limits)


@given(work() | crowds(), limits())
def test_no_agent_starts_before_its_predecessors_have_settled(
    given: tuple[Plan, dict[str, Workload]], limits: Limits
) -> None:
    plan, loads = given

    schedule = simulate(plan, loads, limits)

    for agent in schedule.agents:
        before = [schedule.agent(name).settled_s for name in plan.predecessors(agent.agent)]
        assert agent.started_s == max(before, default=0.0)
        moments = [agent.started_s]
        for placed in agent.steps:
            assert placed.queued_s == moments[-1]
            moments += [placed.start_s, placed.end_s]
        assert moments == sorted(moments) and moments[-1] == agent.settled_s


@given(work() | crowds(), limits())
def test_no_schedule_is_shorter_than_the_bound(
    given: tuple[Plan, dict[str, Workload]], limits: Limits
) -> None:
    schedule = simulate(*given, limits)

    assert schedule.makespan_s >= schedule.bound_s


@given(work(), caps)
def test_without_rate_limits_no_schedule_is_longer_than_everything_in_sequence(
    given: tuple[Plan, dict[str, Workload]], cap: int | None
) -> None:
    schedule = simulate(*given, Limits(cap))

    assert schedule.makespan_s <= schedule.sequential_s


@given(work(Mode.SEQUENTIAL), caps)
def test_sequential_takes_the_sum(given: tuple[Plan, dict[str, Workload]], cap: int | None) -> None:
    schedule = simulate(*given, Limits(cap))

    assert schedule.makespan_s == schedule.sequential_s
    assert schedule.peak_in_flight <= 1


@given(work(with_pauses=False))
def test_one_slot_and_calls_alone_take_the_sum(given: tuple[Plan, dict[str, Workload]]) -> None:
    schedule = simulate(*given, Limits(1))

    assert schedule.makespan_s == schedule.sequential_s


@given(rosters(), st.data(), limits())
def test_phases_with_all_switches_off_are_sequential(
    roster: list, data: st.DataObject, limits: Limits
) -> None:
    sequential = make_plan(roster, Mode.SEQUENTIAL)
    off = make_plan(roster, Mode.PHASES, dict.fromkeys(sequential.switches, False))
    loads = {name: data.draw(workloads()) for name in sequential.names}

    schedules = [simulate(plan, loads, limits) for plan in (sequential, off)]

    assert schedules[0].agents == schedules[1].agents


@given(work() | crowds(), limits())
def test_the_limits_hold_in_every_window(
    given: tuple[Plan, dict[str, Workload]], limits: Limits
) -> None:
    found = calls_of(simulate(*given, limits))

    for cap in filter(None, [limits.max_in_flight]):
        for call in found:
            meeting = [c for c in found if c.start_s <= call.start_s < c.end_s]
            assert len(meeting) <= cap
    for first, last in combinations(range(len(found)), 2):
        minutes = (found[last].start_s - found[first].start_s) / 60
        if limits.requests_per_minute is not None:
            allowed = limits.request_burst + minutes * limits.requests_per_minute
            assert last - first + 1 <= allowed + 1e-9
        if limits.tokens_per_minute is not None and limits.token_burst is not None:
            # a call that takes more than the bucket holds goes when it is full
            tokens = sum(call.step.tokens for call in found[first:last])
            tokens += min(found[last].step.tokens, limits.token_burst)
            assert tokens <= limits.token_burst + minutes * limits.tokens_per_minute + 1e-9


@given(work() | crowds(), limits())
def test_the_critical_chain_covers_the_makespan_without_a_hole(
    given: tuple[Plan, dict[str, Workload]], limits: Limits
) -> None:
    schedule = simulate(*given, limits)

    chain = schedule.critical
    assert chain[0].start_s == 0.0 and chain[0].release is Release.START
    assert chain[-1].end_s == schedule.makespan_s
    assert all(before.end_s == after.start_s for before, after in pairwise(chain))
    for before, after in pairwise(chain):
        earlier = schedule.agent(before.agent)
        if after.release is Release.PREDECESSOR:
            assert before.agent in schedule.plan.predecessors(after.agent)
            assert earlier.settled_s == after.start_s
        elif after.release is Release.SLOT:
            assert after.start_s in [p.end_s for p in earlier.steps if isinstance(p.step, Call)]
        else:
            assert after.release in (Release.REQUESTS, Release.TOKENS)
            assert after.start_s in [p.start_s for p in earlier.steps if isinstance(p.step, Call)]


@given(work())
def test_without_limits_the_critical_chain_follows_edges(
    given: tuple[Plan, dict[str, Workload]],
) -> None:
    plan, loads = given

    schedule = simulate(plan, loads)

    names = [link.agent for link in schedule.critical]
    assert all(first in plan.predecessors(then) for first, then in pairwise(names))
    assert sum(loads[name].service_s for name in names) == schedule.makespan_s


@given(work())
def test_the_remaining_path_of_the_first_agents_is_the_makespan_without_limits(
    given: tuple[Plan, dict[str, Workload]],
) -> None:
    plan, loads = given

    paths = remaining_paths(plan, {name: loads[name].service_s for name in plan.names})

    assert max(paths.values()) == simulate(plan, loads).makespan_s


@given(work(), limits(), st.sampled_from([0.5, 2.0, 4.0]))
def test_everything_faster_without_rate_limits_is_the_same_schedule_at_another_scale(
    given: tuple[Plan, dict[str, Workload]], limits: Limits, factor: float
) -> None:
    plan, loads = given
    limits = replace(limits, requests_per_minute=None, tokens_per_minute=None)

    before = simulate(plan, loads, limits)
    after = simulate(plan, {n: load.faster(factor) for n, load in loads.items()}, limits)

    assert after.makespan_s == before.makespan_s / factor


def chain(**durations_s: float) -> dict[str, Workload]:
    return {name: Workload((Call(0.0, length),)) for name, length in durations_s.items()}


def test_the_longest_remaining_path_goes_first_when_slots_are_short() -> None:
    needs = {"short": [], "long": [], "after": ["long"]}
    plan = make_plan(roster_of(needs, dict.fromkeys(needs, "p")), Mode.DATAFLOW)

    schedule = simulate(plan, chain(short=3.0, long=2.0, after=4.0), Limits(1))

    starts = {agent.agent: agent.steps[0].start_s for agent in schedule.agents}
    assert starts == {"long": 0.0, "after": 2.0, "short": 6.0}


def test_one_more_slot_can_make_the_run_longer() -> None:
    """Graham's anomaly: why nothing here promises that more room is faster."""
    needs: dict[str, list[str]] = {
        "a": [],
        "b": [],
        "c": [],
        "d": [],
        "e": [],
        "f": ["d"],
        "g": ["a", "d"],
        "h": ["f", "g"],
        "i": ["b", "h"],
    }
    plan = make_plan(roster_of(needs, dict.fromkeys(needs, "p")), Mode.DATAFLOW)
    loads = chain(a=4.0, b=1.0, c=5.0, d=5.0, e=8.0, f=3.0, g=1.0, h=4.0, i=8.0)

    took = [simulate(plan, loads, Limits(slots)).makespan_s for slots in (2, 3)]

    assert took == [20.0, 21.0]


def test_a_slot_is_free_while_tools_run() -> None:
    roster = roster_of({"a": [], "b": []}, {"a": "p", "b": "p"})
    plan = make_plan(roster, Mode.DATAFLOW)
    loads = {
        "a": Workload((Call(0.0, 1.0), Pause(Segment.TOOLS, 2.0), Call(0.0, 1.0))),
        "b": Workload((Call(0.0, 2.0),)),
    }

    schedule = simulate(plan, loads, Limits(1))

    assert schedule.makespan_s == 4.0  # b's call lies inside a's tools
    assert schedule.peak_in_flight == 1


@pytest.mark.parametrize("requests_per_minute", [None, 600])
def test_the_chain_passes_through_the_call_that_gave_its_slot_back(
    requests_per_minute: int | None,
) -> None:
    plan = make_plan(roster_of({"a": [], "b": []}, {"a": "p", "b": "p"}), Mode.DATAFLOW)

    schedule = simulate(plan, chain(a=2.0, b=1.0), Limits(1, requests_per_minute))

    assert [(link.agent, link.release) for link in schedule.critical] == [
        ("a", Release.START),
        ("b", Release.SLOT),
    ]


def test_of_equal_paths_the_one_that_waited_longer_goes_first() -> None:
    needs: dict[str, list[str]] = {"starter": [], "late": ["starter"], "long": [], "early": []}
    plan = make_plan(roster_of(needs, dict.fromkeys(needs, "p")), Mode.DATAFLOW)
    loads = chain(starter=1.0, late=1.0, long=4.0, early=1.0)
    loads["starter"] = Workload((Pause(Segment.TOOLS, 1.0),))

    schedule = simulate(plan, loads, Limits(1))

    assert schedule.agent("early").steps[0].start_s == 4.0
    assert schedule.agent("late").steps[0].start_s == 5.0


def test_a_minute_of_tokens_may_be_used_in_one_go_as_at_the_gate() -> None:
    roster = roster_of({"a": [], "b": [], "c": []}, dict.fromkeys("abc", "p"))
    plan = make_plan(roster, Mode.DATAFLOW)
    loads = {name: Workload((Call(0.0, 1.0, 300, 200),)) for name in "abc"}

    schedule = simulate(plan, loads, Limits(tokens_per_minute=1_000))

    assert [agent.steps[0].start_s for agent in schedule.agents] == [0.0, 0.0, 30.0]


@pytest.mark.parametrize(
    ("bad", "name"),
    [
        ({"max_in_flight": 0}, "max_in_flight"),
        ({"requests_per_minute": 0}, "requests_per_minute"),
        ({"tokens_per_minute": -1}, "tokens_per_minute"),
        ({"request_burst": 0}, "request_burst"),
        ({"token_burst": 0}, "token_burst"),
    ],
)
def test_a_limit_that_admits_nobody_is_refused(bad: dict[str, int], name: str) -> None:
    with pytest.raises(ValueError, match=name):
        Limits(**bad)


def test_a_missing_workload_is_refused_by_name() -> None:
    plan = make_plan(roster_of({"a": []}, {"a": "p"}), Mode.PHASES)

    with pytest.raises(PlanError, match="`a` has no workload"):
        simulate(plan, {})


def test_tokens_that_nobody_told_cannot_be_limited() -> None:
    plan = make_plan(roster_of({"a": []}, {"a": "p"}), Mode.PHASES)

    with pytest.raises(PlanError, match="not known"):
        simulate(plan, chain(a=1.0), Limits(tokens_per_minute=1_000))
