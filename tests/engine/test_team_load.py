"""What a dashboard sees of a team on a real PostgreSQL: its workers, their gates, what they share."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.testclient import TestClient

from pipeline.engine import Runtime, team_load
from pipeline.engine import team as engine_team
from pipeline.engine.team import TeamExecution
from pipeline.llm.admission.team import TeamGate, TeamSnapshot, WorkerReading
from pipeline.models import RunSpec
from pipeline.settings import Settings
from pipeline.web.access import Grant
from pipeline.web.routes import AdmissionNow, make_routes
from tests.engine.conftest import LEASE_S
from tests.engine.gated import ENDPOINT, TOKENS, TOKENS_PER_MINUTE, GatedPipeline
from tests.engine.scripted import ScriptedPipeline
from tests.engine.test_team import eventually

pytestmark = [pytest.mark.slow, pytest.mark.team]

ROOT = Path(__file__).parents[2]
ANN, BOB = "browser-ann", "browser-bob"
COOL_S = 40.0


@dataclass
class Team:
    settings: Settings
    web: Runtime
    stack: ExitStack

    def worker(self, concurrency: int = 2) -> tuple[GatedPipeline, Runtime]:
        pipeline = GatedPipeline(self.settings)
        return pipeline, self.stack.enter_context(pipeline.runtime(self.settings, concurrency))

    def submit(self, owner: str, model: str = "m") -> str:
        return self.web.submit(RunSpec(topic=f"Topic of {owner}", model=model), owner)

    def seen(self, owner: str, as_meant: Callable[[TeamSnapshot], bool], what: str) -> TeamSnapshot:
        """The team once it looks like that to the owner."""

        def look() -> TeamSnapshot | None:
            team = self.web.team(owner, patient=True)
            return team if team is not None and as_meant(team) else None

        return eventually(look, what)


@pytest.fixture
def team(settings: Settings) -> Iterator[Team]:
    with ExitStack() as stack:
        web = stack.enter_context(Runtime(settings, ScriptedPipeline()))
        yield Team(settings, web, stack)


def loads(team: TeamSnapshot) -> list[tuple[int | None, int, int | None, int | None]]:
    return [(w.concurrency, w.runs, w.in_flight, w.waiting) for w in team.workers]


def gate_of(team: TeamSnapshot, model: str = "m") -> TeamGate:
    (gate,) = [gate for gate in team.gates if gate.model == model]
    return gate


def test_a_dashboard_sees_the_load_of_both_workers_and_what_waits(team: Team) -> None:
    team.worker()
    team.worker()
    run_ids = {team.submit(ANN) for _ in range(5)}

    full = [(2, 2, 1, 1)] * 2
    seen = team.seen(
        ANN,  # workers tell and the queue is read at different moments
        lambda now: loads(now) == full and len(now.gates) == 1 and now.running == 4,
        "full workers",
    )

    assert (seen.max_running, seen.queued) == (50, 1)
    assert not any(worker.is_silent for worker in seen.workers)
    assert all(worker.heard_s < LEASE_S for worker in seen.workers)
    gate = gate_of(seen)
    assert (gate.endpoint, gate.processes, gate.in_flight, gate.waiting) == (ENDPOINT, 2, 2, 2)
    assert (gate.admitted_last_minute, gate.tokens_last_minute) == (2, 2 * TOKENS)
    assert {(limit.unit, limit.per_minute, limit.source) for limit in gate.limits} == {
        ("requests", 6_000.0, "configured"),
        ("tokens", TOKENS_PER_MINUTE, "configured"),
    }
    assert {waiter.run_id for waiter in gate.waiters} < run_ids


def test_an_owner_sees_their_own_gates_and_of_others_only_numbers(team: Team) -> None:
    team.worker(concurrency=6)
    mine = {team.submit(ANN) for _ in range(2)}  # either may be the one that waits
    team.seen(ANN, lambda now: bool(now.gates) and gate_of(now).waiting == 1, "Ann's second call")
    theirs = [team.submit(BOB), team.submit(BOB), team.submit(BOB, "bobs-own-model")]

    seen = team.seen(ANN, lambda now: now.running == 5 and gate_of(now).waiting == 3, "all calls")
    of_bob = team.seen(BOB, lambda now: len(now.gates) == 2, "Bob's gates")

    told = json.dumps(seen.to_dict())
    (waiter,) = gate_of(seen).waiters
    assert waiter.run_id in mine
    assert not any(words in told for words in (*theirs, "bobs-own-model", "Topic", BOB))
    assert {w.run_id for gate in of_bob.gates for w in gate.waiters} == set(theirs[:2])
    assert team.seen("nobody", lambda now: True, "anything").gates == ()


def test_a_refusal_told_to_one_worker_is_counted_down_for_all(team: Team) -> None:
    first, runtime = team.worker()
    team.submit(ANN)
    team.seen(ANN, lambda now: bool(now.gates), "the gate")
    runtime.call(first.cool("m", COOL_S))

    begun = team.seen(ANN, lambda now: gate_of(now).cooling_s > 0.0, "the cool-down")
    later = team.seen(
        ANN, lambda now: gate_of(now).cooling_s < gate_of(begun).cooling_s - 1.5, "less of it"
    )

    assert gate_of(begun).cooling_s <= COOL_S
    assert gate_of(later).cooling_s > 0.0
    runtime.close()  # whoever was refused is gone; the others must still wait
    gone = team.seen(ANN, lambda now: now.workers[0].is_silent, "its silence")
    assert gate_of(gone).cooling_s > 0.0
    assert (gate_of(gone).processes, gate_of(gone).in_flight) == (0, 0)


def test_a_killed_worker_is_silent_until_others_have_its_runs_and_then_gone(team: Team) -> None:
    assert team.settings.database_url is not None
    environment = os.environ | {
        "DATABASE_URL": team.settings.database_url,
        "GANTRY_LEASE_S": str(LEASE_S),
        "GANTRY_DATA_DIR": str(team.settings.data_dir),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.engine.gated", "2"], cwd=ROOT, env=environment
    )
    team.stack.callback(process.wait, 10)
    team.stack.callback(process.kill)
    team.submit(ANN)
    lost = team.seen(ANN, lambda now: loads(now) == [(2, 1, 1, 0)], "the worker").workers[0]

    process.send_signal(signal.SIGKILL)

    def worker(now: TeamSnapshot) -> WorkerReading | None:
        return next((each for each in now.workers if each.id == lost.id), None)

    silent = worker(team.seen(ANN, lambda now: bool((w := worker(now)) and w.is_silent), "silence"))
    assert silent is not None
    assert (silent.runs, silent.in_flight) == (1, None)  # as the queue knows; calls nobody knows
    team.worker()
    taken = team.seen(ANN, lambda now: worker(now) is None, "the other one alone")
    assert loads(taken) == [(2, 1, 1, 0)]


def test_a_worker_that_has_just_come_is_not_called_silent(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has a run in hand before it hears that somebody looks, who has looked for long."""
    monkeypatch.setattr(engine_team, "TELL_EVERY_S", 0.1)
    monkeypatch.setattr(team_load, "SILENT_AFTER_S", 5.0)
    with ExitStack() as stack:
        web = stack.enter_context(Runtime(settings, ScriptedPipeline()))
        team = Team(settings, web, stack)
        looked_since = time.monotonic()
        team.seen(
            ANN, lambda _: time.monotonic() - looked_since > team_load.SILENT_AFTER_S, "a long look"
        )
        team.submit(ANN)
        said: list[WorkerReading] = []
        watching = threading.Event()

        def watch() -> None:
            while not said or said[-1].concurrency is None:
                if (now := team.web.team(ANN)) is not None and now.workers:
                    said.append(now.workers[0])
            watching.set()

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        team.worker()
        assert watching.wait(20)
        watcher.join(5)

    assert not any(worker.is_silent for worker in said)


def test_nothing_is_told_while_nobody_looks(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(team_load, "FORGET_AFTER_S", 0.5)
    monkeypatch.setattr(engine_team, "TELL_EVERY_S", 0.1)
    _, worker = team.worker()
    executions = [runtime._running._execution for runtime in (team.web, worker)]
    assert all(isinstance(execution, TeamExecution) for execution in executions)

    team.seen(ANN, lambda now: len(now.workers) == 1, "the worker")

    for execution in executions:
        assert isinstance(execution, TeamExecution)
        eventually(lambda e=execution: not e._teller.wanted.is_set(), "an end of telling")
        eventually(lambda e=execution: not e._reader.wanted.is_set(), "an end of reading")


def test_the_route_shows_the_team_to_the_first_who_asks(team: Team) -> None:
    class NoRuns:
        def grant(self, visitor: HTTPConnection, run_id: str) -> Grant | None: ...

        def still_holds(self, grant: Grant) -> bool:
            raise AssertionError(grant)

    def no_hub() -> None: ...

    def access(_visitor: HTTPConnection) -> AdmissionNow:
        return AdmissionNow(team.web.admission(ANN), team.web.team(ANN, patient=True))

    team.worker()
    team.worker()
    routes = make_routes(no_hub, NoRuns(), access)  # type: ignore[arg-type]
    with TestClient(Starlette(routes=routes)) as client:
        shown = client.get("/api/admission").json()

    assert shown["gates"] == []
    assert [worker["concurrency"] for worker in shown["team"]["workers"]] == [2, 2]
    assert (shown["team"]["running"], shown["team"]["max_running"]) == (0, 50)
