"""Workers as real processes on a real PostgreSQL: killed, frozen, stopped, cut off."""

from __future__ import annotations

import asyncio
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
from typing import TypeVar

import pytest
from sqlalchemy import make_url

from pipeline.engine import Runtime
from pipeline.engine.live_link import NEWS_CHANNEL
from pipeline.engine.remote_journal import Telling, payloads
from pipeline.events import AgentStarted, RunStarted
from pipeline.journal import Journal, wall_now
from pipeline.models import Endpoint, RunRecord, RunSpec, RunStatus
from pipeline.settings import Settings
from pipeline.web.live_source import RunSource, open_run_source
from tests.engine.conftest import LEASE_S
from tests.engine.scripted import ScriptedPipeline
from tests.engine.team_worker import AGENTS
from tests.postgres import PostgresServer

pytestmark = [pytest.mark.slow, pytest.mark.team]

T = TypeVar("T")
SPEC = RunSpec(topic="Tidal power")
ROOT = Path(__file__).parents[2]

SLACK_S = 15.0  # of a busy machine; benchmarks measure
LONG_LEASE_S = 60.0


@dataclass(frozen=True)
class Note:
    """One line of what workers did."""

    what: str
    run_id: str
    agent: str
    epoch: int
    pid: int


@dataclass
class Worker:
    process: subprocess.Popen[str]
    said: list[str]
    reading: threading.Thread

    @property
    def pid(self) -> int:
        return self.process.pid

    def says(self, words: str) -> None:
        eventually(lambda: any(words in line for line in self.said), words)

    def told(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> None:
        self.process.kill()
        self.process.wait(10)
        self.reading.join(10)
        assert self.process.stderr is not None
        self.process.stderr.close()
        print("".join(self.said))  # pytest shows it when the test fails


@dataclass
class Team:
    """Workers on one database; `web` submits and watches."""

    settings: Settings
    web: Runtime
    log: Path
    stack: ExitStack

    def worker(self, agent_s: float = 0.5, concurrency: int = 10) -> Worker:
        assert self.settings.database_url is not None
        process = subprocess.Popen(
            [
                sys.executable, "-m", "tests.engine.team_worker",
                str(self.log), str(agent_s), str(concurrency),
            ],
            cwd=ROOT, text=True, stderr=subprocess.PIPE,
            env=os.environ
            | {
                "DATABASE_URL": self.settings.database_url,
                "GANTRY_LEASE_S": str(self.settings.lease_s),
                "GANTRY_DATA_DIR": str(self.settings.data_dir),
            },
        )  # fmt: skip
        said: list[str] = []
        assert process.stderr is not None
        reading = threading.Thread(target=said.extend, args=(process.stderr,))
        reading.start()
        worker = Worker(process, said, reading)
        self.stack.callback(worker.end)
        worker.says("Worker started")
        return worker

    def notes(self, what: str) -> list[Note]:
        lines = [line.split() for line in self.log.read_text().splitlines()]
        return [Note(w, r, a, int(e), int(p)) for w, r, a, e, p in lines if w == what]

    def calls(self, run_id: str) -> list[Note]:
        return [note for note in self.notes("calls") if note.run_id == run_id]

    def called(self, run_id: str, agent: str) -> Note:
        """The first call of the agent, once it has begun."""
        return eventually(
            lambda: next((n for n in self.calls(run_id) if n.agent == agent), None), agent
        )

    def ended(self, run_id: str, within_s: float = 30) -> RunRecord:
        record = self.web.wait(run_id, within_s)
        assert record is not None
        assert record.status is RunStatus.DONE, record
        return record

    def check_nothing_twice(self) -> None:
        """No agent was called again after its checkpoint was stored."""
        kept: dict[tuple[str, str], Note] = {}
        for line in self.log.read_text().splitlines():
            what, run_id, agent, epoch, pid = line.split()
            if what == "calls":
                assert (run_id, agent) not in kept, f"{agent} of {run_id} was paid for twice"
            else:
                kept[run_id, agent] = Note(what, run_id, agent, int(epoch), int(pid))


def eventually(ask: Callable[[], T | None], what: str, within_s: float = 20) -> T:
    ends_at = time.monotonic() + within_s
    while not (found := ask()):
        assert time.monotonic() < ends_at, f"waited in vain for {what}"
        time.sleep(0.02)
    return found


@pytest.fixture
def team(settings: Settings, tmp_path: Path) -> Iterator[Team]:
    log = tmp_path / "log"
    log.touch()
    with ExitStack() as stack:
        web = stack.enter_context(Runtime(settings, ScriptedPipeline()))
        yield Team(settings, web, log, stack)


def test_after_kill_9_another_worker_continues_and_calls_no_finished_agent_again(
    team: Team,
) -> None:
    workers = {worker.pid: worker for worker in (team.worker(1.5), team.worker(1.5))}
    run_ids = [team.web.submit(SPEC) for _ in range(4)]
    killed = team.called(run_ids[0], "writer").pid
    workers[killed].told(signal.SIGKILL)
    killed_at = time.monotonic()
    lost = {note.run_id for note in team.notes("calls") if note.pid == killed}

    taken_over = eventually(
        lambda: {n.run_id for n in team.notes("calls") if n.pid != killed} >= lost, "the others"
    )

    assert taken_over
    assert time.monotonic() - killed_at <= LEASE_S + SLACK_S  # by the lease, not by a later look
    for run_id in run_ids:
        team.ended(run_id)
    team.check_nothing_twice()


def test_a_frozen_worker_writes_nothing_and_ends_when_it_wakes(team: Team) -> None:
    frozen = team.worker(1.0)
    run_id = team.web.submit(SPEC)
    team.called(run_id, "writer")
    frozen.told(signal.SIGSTOP)
    other = team.worker(1.0)
    record = team.ended(run_id)
    before = team.web.events(run_id), team.web.checkpoints(run_id)

    frozen.told(signal.SIGCONT)

    assert frozen.process.wait(10) == 75
    assert (team.web.events(run_id), team.web.checkpoints(run_id)) == before
    assert [fact for fact in before[0] if fact.epoch == 2]
    assert record.epoch == 2
    assert {n.pid for n in team.calls(run_id) if n.epoch == 2} == {other.pid}


def test_a_stopped_worker_hands_its_runs_over_at_once(team: Team) -> None:
    team.settings = team.settings.model_copy(update={"lease_s": LONG_LEASE_S})
    first = team.worker(15)
    run_id = team.web.submit(SPEC)
    team.called(run_id, "planner")
    second = team.worker(0.2)

    first.told(signal.SIGTERM)
    first.says("no more runs are taken")
    first.told(signal.SIGTERM)  # the second time: at once
    stopped_at = time.monotonic()

    team.ended(run_id)
    assert time.monotonic() - stopped_at < LONG_LEASE_S, "the lease had to run out"
    assert first.process.wait(10) == 0
    assert team.calls(run_id)[-1].pid == second.pid


def test_a_stopped_worker_lets_its_runs_end_and_takes_no_others(team: Team) -> None:
    worker = team.worker(0.5)
    run_id = team.web.submit(SPEC)
    team.called(run_id, "planner")

    worker.told(signal.SIGTERM)
    assert worker.process.wait(15) == 0
    queued = team.web.submit(SPEC)

    assert team.ended(run_id).epoch == 1
    record = team.web.run(queued)
    assert record is not None
    assert record.status is RunStatus.QUEUED


def test_cancelling_in_the_web_process_stops_a_workers_run_within_a_second(team: Team) -> None:
    team.worker(20)
    run_id = team.web.submit(SPEC)
    team.called(run_id, "planner")

    assert team.web.cancel(run_id)
    cancelled_at = time.monotonic()

    record = team.web.wait(run_id, 10)
    assert time.monotonic() - cancelled_at < 1
    assert record is not None
    assert record.status is RunStatus.CANCELLED
    assert team.web.events(run_id)[-1].kind == "run_finished"


def test_postgresql_restarts_under_runs_and_all_finish(
    team: Team, postgres: PostgresServer
) -> None:
    workers = [team.worker(1.0), team.worker(1.0)]
    run_ids = [team.web.submit(SPEC) for _ in range(20)]
    for run_id in run_ids:
        team.called(run_id, "planner")

    postgres.stop(signal.SIGQUIT)  # at once, as after a crash
    postgres.start()

    for run_id in run_ids:
        team.ended(run_id, 60)
    team.check_nothing_twice()
    assert [worker.process.poll() for worker in workers] == [None, None]


def test_never_more_runs_at_once_than_allowed_and_the_urgent_first(
    settings: Settings, team: Team
) -> None:
    """`max_concurrent_runs` holds for all workers together."""
    os.environ["GANTRY_MAX_CONCURRENT_RUNS"] = "1"
    team.stack.callback(os.environ.pop, "GANTRY_MAX_CONCURRENT_RUNS")
    ordinary = [team.web.submit(SPEC) for _ in range(3)]
    urgent = team.web.submit(SPEC, priority=5)
    team.worker(0.1)
    team.worker(0.1)

    for run_id in [*ordinary, urgent]:
        team.ended(run_id)

    order = [note.run_id for note in team.notes("calls")]
    assert order == [run for run in [urgent, *ordinary] for _ in AGENTS]


def test_a_workers_text_and_facts_reach_the_web_process_as_they_come(team: Team) -> None:
    team.worker(1.5)
    run_id = team.web.submit(SPEC)
    team.web.watch(run_id)

    live = eventually(lambda: team.web.journal(run_id), "the journal of a worker's run")
    eventually(lambda: live.text("planner").startswith("0 1 2 "), "its text")
    seen = len(live.text("planner"))
    eventually(lambda: len(live.text("planner")) > seen, "more of it")
    eventually(lambda: keep_watching(team, run_id).finished, "its end")

    assert team.ended(run_id).status is RunStatus.DONE
    assert live.events == team.web.events(run_id)
    expected = "".join(f"{n} " for n in range(75))
    assert {agent: live.text(agent) for agent in AGENTS} == dict.fromkeys(AGENTS, expected)


def test_a_late_visitor_gets_the_text_from_its_beginning(team: Team) -> None:
    team.worker(2)
    run_id = team.web.submit(SPEC)
    eventually(lambda: len(team.web.checkpoints(run_id)) == 1, "the first agent's end")

    eventually(
        lambda: (live := keep_watching(team, run_id)) and live.text("writer"), "the second's text"
    )

    live = team.web.journal(run_id)
    assert live is not None
    assert live.text("writer").startswith("0 1 ")
    assert live.events[0].kind == "run_started"
    assert team.web.cancel(run_id)


def test_what_is_told_goes_on_when_another_worker_takes_over(team: Team) -> None:
    first = team.worker(2)
    run_id = team.web.submit(SPEC)
    eventually(lambda: (live := keep_watching(team, run_id)) and live.text("writer"), "text")
    first.told(signal.SIGKILL)
    team.worker(0.5)

    def is_told_again() -> bool:
        live = keep_watching(team, run_id)
        return live is not None and live.epoch == 2 and bool(live.text("editor"))

    eventually(is_told_again, "the second epoch")
    team.ended(run_id)
    live = eventually(lambda: keep_watching(team, run_id), "the journal")
    eventually(lambda: live.finished, "its end")

    assert live.events == team.web.events(run_id)
    assert live.text("writer") == "".join(f"{n} " for n in range(25))


def test_what_a_worker_told_after_it_had_lost_the_run_is_taken_back_on_the_page(
    team: Team, postgres: PostgresServer
) -> None:
    """A frozen worker's last words were shown, but never stored: whoever watches starts over."""
    database = make_url(str(team.settings.database_url)).database
    assert database is not None
    run_id = team.web.submit(SPEC)
    lost, current = Journal(run_id, epoch=1), Journal(run_id, epoch=2)
    lost.record(RunStarted, wall_at=wall_now())
    lost.record(AgentStarted, agent="content_writer")
    current.record(RunStarted, wall_at=wall_now())

    def tell(journal: Journal) -> None:
        for payload in payloads(Telling(journal).news()):
            quoted = payload.replace("'", "''")
            postgres.ask(f"SELECT pg_notify('{NEWS_CHANNEL}', '{quoted}')", database)

    async def messages_until(source: RunSource, words: str) -> bytes:
        async with asyncio.timeout(20):
            while words.encode() not in (message := await source.advance() or b""):  # noqa: ASYNC110
                await asyncio.sleep(0.02)  # the hub's tick
        return message

    async def watch() -> bytes:
        source = await open_run_source(team.web, run_id)
        assert source is not None
        await asyncio.to_thread(tell, lost)
        await messages_until(source, "Working: Content writer")
        await asyncio.to_thread(tell, current)
        await messages_until(source, '"type":"snapshot"')
        await asyncio.to_thread(tell, current)  # once more: the first led to starting over
        return source.snapshot()

    assert b"Working: Content writer" not in asyncio.run(watch())


def keep_watching(team: Team, run_id: str) -> Journal:
    """The run's journal; an empty one while nothing has been told."""
    team.web.watch(run_id)
    return team.web.journal(run_id) or Journal(run_id, epoch=0)


def test_a_typed_key_executes_where_it_was_typed_and_no_worker_takes_it(
    team: Team, postgres: PostgresServer
) -> None:
    team.worker(0.2)
    pipeline = ScriptedPipeline()
    with Runtime(team.settings, pipeline) as web:
        run_id = web.submit(SPEC, typed_endpoint=Endpoint("http://127.0.0.1:9/v1", "sk-typed"))
        record = web.wait(run_id, 20)

    assert record is not None
    assert record.status is RunStatus.DONE
    assert pipeline.worked == ["planner", "writer", "editor"]
    assert team.calls(run_id) == []
    database = make_url(str(team.settings.database_url)).database
    assert database is not None
    for table in ("runs", "events", "checkpoints", "pgqueuer", "pgqueuer_log"):
        rows = repr([dict(row) for row in postgres.ask(f"SELECT * FROM {table}", database)])
        assert "sk-typed" not in rows


def test_a_typed_key_that_died_with_its_process_is_asked_for(team: Team) -> None:
    team.worker(0.2)
    pipeline = ScriptedPipeline()
    pipeline.held.add("writer")
    with Runtime(team.settings, pipeline) as web:
        run_id = web.submit(SPEC, typed_endpoint=Endpoint("http://127.0.0.1:9/v1", "sk-typed"))
        assert pipeline.reached["writer"].wait(20)
        # two rounds of everybody's looking after runs
        waited = team.web.wait(run_id, 5 * LEASE_S)
        assert waited is not None
        assert waited.status is RunStatus.RUNNING, "its key is still here"

    record = team.web.wait(run_id, 30)
    assert record is not None
    assert record.status is RunStatus.NEEDS_KEY
    assert team.calls(run_id) == []


def test_a_run_whose_job_got_lost_is_queued_again(team: Team, postgres: PostgresServer) -> None:
    database = make_url(str(team.settings.database_url)).database
    assert database is not None
    run_id = team.web.submit(SPEC)
    postgres.ask("DELETE FROM pgqueuer", database)

    team.worker(0.2)

    team.ended(run_id)


def test_how_many_workers_there_are_is_known(team: Team) -> None:
    assert team.web.workers() == 0
    worker = team.worker()
    assert team.web.workers() == 1
    worker.told(signal.SIGKILL)
    eventually(lambda: team.web.workers() == 0, "the server to notice")


def test_the_same_run_submitted_twice_is_one_run(team: Team) -> None:
    run_id = team.web.submit(SPEC, run_id="the-same")
    assert team.web.submit(SPEC, run_id="the-same") == run_id

    team.worker(0.2)
    team.worker(0.2)

    team.ended(run_id)
    assert [note.agent for note in team.calls(run_id)] == list(AGENTS)


def test_a_worker_whose_database_stays_away_ends_with_a_sentence(
    team: Team, postgres: PostgresServer
) -> None:
    worker = team.worker(60)
    run_id = team.web.submit(SPEC)
    team.called(run_id, "planner")

    postgres.stop()
    try:
        assert worker.process.wait(2 * LEASE_S + 45) == 1
    finally:
        postgres.start()

    worker.reading.join(10)
    (sentence,) = [line for line in worker.said if line.startswith("error: ")]
    assert "The database" in sentence
    assert "start again" in sentence
    assert "never retrieved" not in "".join(worker.said)
    assert team.web.cancel(run_id)


def test_without_a_database_a_worker_ends_with_a_sentence(team: Team) -> None:
    process = subprocess.run(
        [sys.executable, "-m", "pipeline", "worker"],
        cwd=ROOT, capture_output=True, text=True, timeout=60,
        env=os.environ | {"DATABASE_URL": "postgresql+asyncpg://me@127.0.0.1:9/none"},
    )  # fmt: skip

    assert process.returncode == 1
    assert "Traceback" not in process.stderr
    assert "cannot be reached" in process.stderr


def test_the_command_line_worker_executes_what_the_command_line_submits(team: Team) -> None:
    environment = os.environ | {
        "DATABASE_URL": str(team.settings.database_url),
        "GANTRY_DATA_DIR": str(team.settings.data_dir),
        "GANTRY_DEMO_SPEED": "instant",
    }
    command = [sys.executable, "-m", "pipeline"]
    with subprocess.Popen(
        [*command, "worker", "--concurrency", "2"], cwd=ROOT, env=environment
    ) as worker:
        try:
            run = subprocess.run(
                [*command, "run", "Tidal power", "--provider", "demo", "--speed", "instant"],
                cwd=ROOT, env=environment, capture_output=True, text=True, timeout=90,
            )  # fmt: skip
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(20) == 0
        finally:
            worker.kill()

    assert run.returncode == 0, run.stderr
    assert 'topic: "Tidal power"' in run.stdout
    assert "topic_planner" in run.stderr
