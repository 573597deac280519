"""The benchmark's pipeline is Gantry's, and its scripts say what they mean."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.mock_server import replies
from benchmarks.workload import (
    AGENTS,
    NEEDS,
    PHASES,
    Pace,
    Script,
    agent_in,
    fixed_workload,
    instructions,
    short_workload,
)
from pipeline.agents.reply_check import check_reply
from pipeline.agents.roster import ROSTER
from pipeline.models import Mode
from pipeline.plan import make_plan

PACES = st.builds(Pace, st.floats(0, 10).map(lambda x: round(x, 3)), st.integers(1, 5_000))


def test_agents_phases_and_needs_are_those_of_the_roster() -> None:
    plan = make_plan(ROSTER, Mode.PHASES, {})

    assert list(AGENTS) == [agent.name for agent in ROSTER]
    assert [list(p) for p in PHASES] == [[a.name for a in plan.in_phase(p)] for p in plan.phases]
    assert {a.name: {n.agent for n in a.needs} for a in ROSTER} == {
        name: set(needs) for name, needs in NEEDS.items()
    }


@given(
    PACES,
    st.dictionaries(st.sampled_from(AGENTS), PACES),
    st.sampled_from(["", "stall"]),
    st.integers(2, 8),
)
def test_a_script_is_read_as_it_was_written(
    pace: Pace, paces: dict[str, Pace], fault: str, sections: int
) -> None:
    script = Script(pace, paces, "run7", fault, sections)

    body = b'{"messages": "' + str(script).encode() + b'"}'

    assert Script.find(body) == script


def test_the_fixed_workload_is_that_of_the_issue() -> None:
    script = fixed_workload()

    assert script.of("content_writer/3") == script.of("editor/1") == Pace(0.4, 150, 60.0)
    assert script.tokens == 3_780
    assert script.phases_s == pytest.approx(3_100 / 60 + 7 * 0.4, abs=0.01)
    assert short_workload().phases_s == pytest.approx(5.8, abs=0.01)


@pytest.mark.parametrize("agent", ROSTER, ids=lambda agent: agent.name)
@pytest.mark.parametrize("tokens", [1, 20, 900])
def test_an_answer_has_so_many_chunks_and_fits_the_agent(agent, tokens: int) -> None:  # type: ignore[no-untyped-def]
    answer = replies.answer(agent.name, tokens, sections=6)

    assert len(replies.chunks(agent.name, tokens, 6)) == tokens
    assert check_reply(answer, "stop", agent.output).problem == ""


def test_the_server_knows_who_asks_by_the_system_message() -> None:
    assert [agent_in(instructions(agent).encode()) for agent in AGENTS] == list(AGENTS)
    assert agent_in(b"Agent: editor/12\n") == "editor/12"
    assert agent_in(b"hello") == ""
