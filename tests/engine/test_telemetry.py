"""Traces as a collector gets them: a real OTLP/HTTP receiver on loopback, protobuf decoded."""

from __future__ import annotations

import builtins
import gzip
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from pipeline import telemetry as telemetry_module
from pipeline.assembly import build_runtime
from pipeline.engine.loop_thread import LoopThread
from pipeline.events import (
    AgentFinished,
    AgentStarted,
    BackoffStarted,
    BudgetSettled,
    CallFinished,
    CallSent,
    FirstToken,
    RunFinished,
    RunStarted,
    UsageUpdated,
)
from pipeline.models import RunRecord, RunSpec, RunStatus
from pipeline.redaction import redact
from pipeline.settings import Settings
from pipeline.telemetry import ENDPOINTS, telemetry_from, trace_of
from tests.faulty_demo import Answer, FaultyDemo

pytestmark = pytest.mark.slow

TOPIC = "Canary birds in old buildings"
SAMPLED = "Heat pumps in old buildings"  # there are samples to find


class Receiver(ThreadingHTTPServer):
    """What a collector would have got."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.spans: list[Span] = []
        self.resources: list[dict[str, str]] = []
        self.raw = b""


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        request = ExportTraceServiceRequest.FromString(body)
        self.server.raw += body
        for group in request.resource_spans:
            attributes = {a.key: a.value.string_value for a in group.resource.attributes}
            self.server.resources.append(attributes)
            for scope in group.scope_spans:
                self.server.spans += scope.spans
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.end_headers()
        self.wfile.write(ExportTraceServiceResponse().SerializeToString())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(autouse=True)
def no_telemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*ENDPOINTS, "OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv(
            "OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}"
        )
        yield server
        server.shutdown()
        thread.join(10)


def settings_in(folder: Path) -> Settings:
    return Settings(data_dir=folder, database_url=None, openai_api_key=None, openai_base_url=None)


def value_of(span: Span, key: str) -> Any:
    (found,) = [a.value for a in span.attributes if a.key == key]
    kind = found.WhichOneof("value")
    assert kind is not None
    return getattr(found, kind)


def test_a_run_arrives_as_run_agents_and_calls_and_says_nothing_of_what_was_asked(
    receiver: Receiver, tmp_path: Path
) -> None:
    with build_runtime(settings_in(tmp_path)) as runtime:
        run_id = runtime.submit(RunSpec(topic=TOPIC, speed="instant"))
        record = runtime.wait(run_id, 60)
        events = runtime.events(run_id)
        texts = [c.output.text for c in runtime.checkpoints(run_id).values()]

    assert record is not None and record.status in (RunStatus.DONE, RunStatus.DEGRADED)
    by_id = {span.span_id: span for span in receiver.spans}
    (run,) = [span for span in receiver.spans if not span.parent_span_id]
    assert run.name == "invoke_workflow gantry"
    assert value_of(run, "gantry.run.id") == run_id
    assert {span.trace_id for span in receiver.spans} == {run.trace_id}
    agents = [s for s in receiver.spans if value_of(s, "gen_ai.operation.name") == "invoke_agent"]
    assert {value_of(s, "gen_ai.agent.name") for s in agents} == {
        e.agent for e in events if isinstance(e, AgentStarted)
    }
    assert {by_id[s.parent_span_id].name for s in agents} == {run.name}
    calls = [s for s in receiver.spans if value_of(s, "gen_ai.operation.name") == "chat"]
    assert len(calls) == sum(isinstance(e, CallSent) for e in events)
    for call in calls:
        agent = by_id[call.parent_span_id]
        assert agent in agents
        assert call.name == "chat gantry-demo-instant"
        assert call.kind == Span.SPAN_KIND_CLIENT
        assert value_of(call, "gen_ai.usage.output_tokens") > 0
        assert [v.string_value for v in value_of(call, "gen_ai.response.finish_reasons").values]
        assert [e.name for e in call.events] == ["gantry.first_token"]
        assert agent.start_time_unix_nano <= call.start_time_unix_nano
        assert call.start_time_unix_nano <= call.events[0].time_unix_nano
        assert call.events[0].time_unix_nano <= call.end_time_unix_nano <= agent.end_time_unix_nano
    assert run.end_time_unix_nano - run.start_time_unix_nano == pytest.approx(
        (events[-1].at_s - events[0].at_s) * 1e9, abs=1e5
    )
    assert receiver.resources[0]["service.name"] == "gantry"
    assert TOPIC.encode() not in receiver.raw
    assert not [t for t in texts if t.encode()[:60] in receiver.raw]


@pytest.mark.slow
def test_a_run_that_somebody_cancelled_arrives_too(receiver: Receiver, tmp_path: Path) -> None:
    with build_runtime(settings_in(tmp_path)) as runtime:
        run_id = runtime.submit(RunSpec(topic=TOPIC, speed="realistic"))
        while (journal := runtime.journal(run_id)) is None or not any(
            isinstance(event, CallSent) for event in journal.events
        ):
            assert runtime.run(run_id) is not None
        assert runtime.cancel(run_id)
        runtime.wait(run_id, 30)

    by_name = {span.name: span for span in receiver.spans}
    assert value_of(by_name["invoke_workflow gantry"], "gantry.run.status") == "cancelled"
    assert value_of(by_name["invoke_agent topic_planner"], "error.type") == "cancelled"
    assert value_of(by_name["chat gantry-demo-realistic"], "error.type")


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyDemo]:
    """The demo as a configured endpoint, in a loop of its own."""
    thread = LoopThread("demo")
    thread.start()
    demo = thread.call(FaultyDemo().__aenter__(), 10)
    monkeypatch.setenv("OPENAI_API_KEY", demo.endpoint.api_key)
    monkeypatch.setenv("OPENAI_BASE_URL", str(demo.endpoint.base_url))
    monkeypatch.delenv("OPENAI_MODEL", raising=False)
    yield demo
    thread.call(demo.__aexit__(None, None, None), 10)
    thread.close(10)


def spans_of_run(demo: FaultyDemo, settings: Settings, **brief: Any) -> RunRecord:
    """Carry a run out on the demo; its spans have been sent when this returns."""
    fields = {"base_url": demo.endpoint.base_url, "model": "gantry-demo-instant", **brief}
    spec = RunSpec(topic=SAMPLED, provider="openai", key_source="configured", **fields)
    with build_runtime(settings) as runtime:
        record = runtime.wait(runtime.submit(spec), 60)
    assert record is not None
    return record


def with_name(receiver: Receiver, name: str) -> list[Span]:
    return sorted(
        (span for span in receiver.spans if span.name == name),
        key=lambda span: span.start_time_unix_nano,
    )


def children(receiver: Receiver, parent: Span) -> list[Span]:
    found = [span for span in receiver.spans if span.parent_span_id == parent.span_id]
    return sorted(found, key=lambda span: span.start_time_unix_nano)


def told(event: Span.Event) -> dict[str, Any]:
    return {a.key: getattr(a.value, a.value.WhichOneof("value") or "") for a in event.attributes}


def test_calls_say_what_was_reserved_and_settled_and_the_agent_that_it_was_refused(
    receiver: Receiver, demo: FaultyDemo, tmp_path: Path
) -> None:
    prices = tmp_path / "prices.toml"
    table = '[models]\n"gantry-demo*" = { input = 1, output = 2 }\n'
    prices.write_text(f'date = 2026-01-01\nsource = "a test"\n{table}')
    settings = Settings(
        data_dir=tmp_path,
        database_url=None,
        prices_file=prices,
        run_tokens=12_000,
        run_cost_usd=9.0,
    )

    record = spans_of_run(demo, settings)

    assert (record.status, record.error_code) == (RunStatus.FAILED, "budget")
    calls = with_name(receiver, "chat gantry-demo-instant")
    assert calls
    for call in calls:
        used = [value_of(call, f"gen_ai.usage.{side}_tokens") for side in ("input", "output")]
        assert value_of(call, "gantry.budget.settled_tokens") == sum(used)
        cost = value_of(call, "gantry.budget.settled_cost_usd")
        assert cost == pytest.approx((used[0] + 2 * used[1]) / 1e6)
        assert value_of(call, "gantry.budget.reserved_tokens") >= sum(used)
        assert value_of(call, "gantry.budget.reserved_cost_usd") >= cost
        assert value_of(call, "gantry.budget.is_estimate") is False
    refusals = [
        (span, event)
        for span in receiver.spans
        for event in span.events
        if event.name == "gantry.budget.refused"
    ]
    assert refusals
    for span, event in refusals:
        assert value_of(span, "gen_ai.operation.name") == "invoke_agent"
        assert value_of(span, "error.type") == told(event)["error.type"] == "budget"
        assert "budget of 12,000 tokens" in told(event)["reason"]
        assert told(event)["wanted_tokens"] > 0
        assert told(event)["wanted_cost_usd"] > 0
    assert SAMPLED.encode() not in receiver.raw


def test_without_a_known_price_calls_have_no_cost_and_a_refused_one_counts_nothing(
    receiver: Receiver, demo: FaultyDemo, tmp_path: Path
) -> None:
    prices = tmp_path / "prices.toml"
    prices.write_text('date = 2026-01-01\nsource = "a test"\n[models]\n')
    settings = Settings(
        data_dir=tmp_path, database_url=None, prices_file=prices, run_tokens=500_000
    )
    demo.script["topic_planner"] = [Answer(500)]

    record = spans_of_run(demo, settings)

    assert record.status is RunStatus.DONE
    (planner,) = with_name(receiver, "invoke_agent topic_planner")
    refused, *_ = children(receiver, planner)
    assert value_of(refused, "gantry.budget.settled_tokens") == 0
    assert value_of(refused, "gantry.budget.is_estimate") is False
    for call in with_name(receiver, "chat gantry-demo-instant"):
        assert not [a for a in call.attributes if "cost_usd" in a.key]


def test_a_call_says_which_model_was_asked_and_which_answered_also_after_a_fallback(
    receiver: Receiver, demo: FaultyDemo, tmp_path: Path
) -> None:
    demo.script["editor"] = [Answer(404, code="model_not_found")]

    settings = Settings(data_dir=tmp_path, database_url=None)

    record = spans_of_run(demo, settings, fallback_model="gantry-demo")

    assert record.status is RunStatus.DONE
    (editor,) = with_name(receiver, "invoke_agent editor")
    failed, answered = children(receiver, editor)
    assert value_of(failed, "gen_ai.request.model") == "gantry-demo-instant"
    assert value_of(failed, "error.type") == "model_not_found"
    assert not [a for a in failed.attributes if a.key == "gen_ai.response.model"]
    assert value_of(answered, "gen_ai.request.model") == "gantry-demo"
    assert value_of(answered, "gen_ai.response.model") == "gantry-demo"
    assert value_of(editor, "gen_ai.request.model") == "gantry-demo-instant"
    assert value_of(editor, "gen_ai.response.model") == "gantry-demo"
    (fallback,) = [event for event in editor.events if event.name == "gantry.fallback"]
    assert failed.end_time_unix_nano <= fallback.time_unix_nano <= answered.start_time_unix_nano


def test_the_collectors_key_is_kept_out_of_logs() -> None:
    telemetry = telemetry_from(
        {
            ENDPOINTS[1]: "http://127.0.0.1:1",
            "OTEL_EXPORTER_OTLP_HEADERS": "a=b,x-key=k3y%20of%20theirs",
        }
    )
    assert telemetry is not None
    telemetry.close()

    assert redact("refused k3y of theirs") == "refused [hidden]"


def test_nothing_is_sent_or_loaded_unless_an_endpoint_is_configured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loaded: list[str] = []
    real = builtins.__import__

    def watch(name: str, *arguments: Any, **named: Any) -> Any:
        loaded.append(name)
        return real(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", watch)

    assert telemetry_from({}) is None
    assert telemetry_from({ENDPOINTS[0]: " "}) is None
    assert telemetry_from({ENDPOINTS[0]: "http://c", "OTEL_SDK_DISABLED": "true"}) is None
    assert telemetry_from({ENDPOINTS[1]: "http://c", "OTEL_TRACES_EXPORTER": "none"}) is None
    assert not [name for name in loaded if name.startswith("opentelemetry")]


def test_without_the_packages_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = builtins.__import__

    def missing(name: str, *arguments: Any, **named: Any) -> Any:
        if name.startswith("opentelemetry"):
            raise ImportError(name)
        return real(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", missing)

    assert telemetry_from({ENDPOINTS[1]: "http://127.0.0.1:1"}) is None
    assert "requirements-extras.txt" in caplog.text


@pytest.mark.slow
def test_a_collector_that_is_gone_costs_the_run_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")

    with build_runtime(settings_in(tmp_path)) as runtime:
        record = runtime.wait(runtime.submit(RunSpec(topic=TOPIC, speed="instant")), 60)

    assert record is not None and record.status in (RunStatus.DONE, RunStatus.DEGRADED)
    assert "Closing took too long" not in caplog.text
    assert [r for r in caplog.records if r.levelno >= logging.WARNING]


def at(epoch: int, seq: int, at_s: float) -> dict[str, Any]:
    return {"epoch": epoch, "seq": seq, "at_s": at_s}


def test_retries_late_usage_and_a_crash_stand_where_they_happened() -> None:
    call = {"agent": "editor", "call": 1}
    events = [
        RunStarted(**at(1, 1, 0.0), wall_at="2026-01-01T00:00:00.000+00:00"),
        AgentStarted(**at(1, 2, 0.1), agent="editor"),
        CallSent(**at(1, 3, 0.2), **call, attempt=1, request_model="m"),
        CallFinished(
            **at(1, 4, 0.5), **call, attempt=1, outcome="discarded", error_code="server_failed",
            error="sorry", status=503,
        ),
        BackoffStarted(
            **at(1, 5, 0.5), **call, attempt=1, delay_s=1.0, error="sorry",
            error_code="server_failed",
        ),
        CallSent(**at(1, 6, 1.5), **call, attempt=2, request_model="m"),
        # kill -9; a minute later another process goes on
        RunStarted(**at(2, 7, 60.0), wall_at="2026-01-01T00:01:00.500+00:00", resumed=True),
        AgentStarted(**at(2, 8, 60.1), agent="editor"),
        CallSent(**at(2, 9, 60.2), **call, attempt=1, request_model="m"),
        FirstToken(**at(2, 10, 60.4), **call, attempt=1),
        CallFinished(**at(2, 11, 61.0), **call, attempt=1, outcome="used", finish_reason="stop"),
        UsageUpdated(**at(2, 12, 61.1), **call, input_tokens=7, output_tokens=9),
        AgentFinished(**at(2, 13, 61.2), agent="editor", state="done"),
        RunFinished(**at(2, 14, 61.3), status="done"),
    ]  # fmt: skip
    spec = RunSpec(topic="t", provider="openai", base_url="http://llm.example:8080/v1", model="m")

    run = trace_of("id", spec, events)

    assert run is not None
    zero = 1_767_225_600.0  # 2026-01-01
    crashed, second = run.children
    assert (run.start - zero, run.end - zero) == pytest.approx((0.0, 61.8))
    assert crashed.error == telemetry_module.INTERRUPTED
    assert [m.name for m in crashed.moments] == ["gantry.retry"]
    failed, cut = crashed.children
    assert (failed.error, failed.attributes["http.response.status_code"]) == ("server_failed", 503)
    assert (cut.error, cut.end - zero) == (telemetry_module.INTERRUPTED, pytest.approx(1.5))
    (used,) = second.children
    assert (used.error, second.error, run.error) == ("", "", "")
    assert used.start - zero == pytest.approx(60.7)
    assert used.attributes["gen_ai.usage.input_tokens"] == 7
    assert used.attributes["gen_ai.response.time_to_first_chunk"] == pytest.approx(0.2)
    assert used.attributes["server.address"] == "llm.example"
    assert used.attributes["server.port"] == 8080
    assert trace_of("id", spec, events[:-1]) is None


def test_what_is_told_after_the_end_belongs_to_the_run_all_the_same() -> None:
    call = {"agent": "editor", "call": 1}
    events = [
        RunStarted(**at(1, 1, 0.0), wall_at="2026-01-01T00:00:00+00:00"),
        AgentStarted(**at(1, 2, 0.1), agent="editor"),
        CallSent(**at(1, 3, 0.2), **call, attempt=1, request_model="m"),
        CallFinished(**at(1, 4, 0.5), **call, attempt=1, outcome="used", finish_reason="stop"),
        AgentFinished(**at(1, 5, 0.6), agent="editor", state="done"),
        RunFinished(**at(1, 6, 0.7), status="done"),
        UsageUpdated(**at(1, 7, 0.8), **call, input_tokens=7, output_tokens=9),
        BudgetSettled(**at(1, 8, 0.8), **call, attempt=1, tokens=16, estimated=True),
    ]

    run = trace_of("id", RunSpec(topic="t"), events)

    assert run is not None
    (used,) = run.children[0].children
    assert run.end - run.start == pytest.approx(0.7)
    assert used.attributes["gen_ai.usage.input_tokens"] == 7
    assert used.attributes["gantry.budget.settled_tokens"] == 16
    assert used.attributes["gantry.budget.is_estimate"] is True


def test_a_failed_run_is_an_error_with_its_code() -> None:
    events = [
        RunStarted(**at(1, 1, 0.0), wall_at="2026-01-01T00:00:00+00:00"),
        RunFinished(**at(1, 2, 1.0), status="failed", error_code="nothing_found"),
        RunStarted(**at(2, 3, 9.0), wall_at="2026-01-01T00:00:09+00:00", resumed=True),
        RunFinished(**at(2, 4, 9.5), status="failed", error_code="auth"),
    ]

    first, second = (trace_of("id", RunSpec(topic="t"), events[:end]) for end in (2, 4))

    assert first is not None and second is not None
    assert (first.error, second.error) == ("nothing_found", "auth")
    assert second.end - second.start == pytest.approx(0.5)  # what was sent before is not sent again


def test_the_names_are_those_of_the_installed_conventions() -> None:
    known: set[str] = set()
    for module in ("gen_ai", "error", "http", "server"):
        for version in ("_incubating.attributes", "attributes"):
            try:
                found = import_module(f"opentelemetry.semconv.{version}.{module}_attributes")
            except ModuleNotFoundError:
                continue
            known |= {value for value in vars(found).values() if isinstance(value, str)}
    ours = {
        value
        for value in vars(telemetry_module).values()
        if isinstance(value, str) and value.startswith(("gen_ai.", "error.", "http.", "server."))
    }

    assert len(ours) >= 14
    assert ours - known == set()
