"""The command line as a script meets it: exit codes, what goes where, the report's names."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from pipeline.agents.roster import ROSTER
from pipeline.assembly import build_runtime
from pipeline.cli import app
from pipeline.content.social import platforms
from pipeline.models import LOCAL_OWNER, AgentState
from pipeline.settings import load_settings
from pipeline.voice import Voice
from tests.faulty_demo import TOKEN, FaultyDemo

pytestmark = pytest.mark.slow

REPORT = [
    "run_id",
    "status",
    "topic",
    "mode",
    "switches",
    "provider",
    "model",
    "demo",
    "degraded",
    "agents",
    "timing",
    "article",
    "sources",
    "seo",
    "metrics",
    "summary",
    "posts",
    "events",
]
AGENT = [
    "agent",
    "phase",
    "status",
    "importance",
    "attempts",
    "started_s",
    "admitted_s",
    "first_token_s",
    "finished_s",
    "input_tokens",
    "output_tokens",
    "segments",
    "calls",
    "text",
    "text_is_partial",
    "output",
    "error",
]
TIMING = [
    "makespan_s",
    "sequential_s",
    "sequential_kind",
    "bound_s",
    "saved_s",
    "saved_share",
    "phases",
]
SEGMENTS = ["waiting_s", "admission_s", "backoff_s", "first_token_s", "generation_s", "tools_s"]
TOPIC = "Heat pumps in old buildings"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_MODEL", "DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GANTRY_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("GANTRY_DEMO_SPEED", "instant")


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def report_of(*arguments: str) -> dict[str, Any]:
    result = call("run", TOPIC, *arguments, "--json", "-")
    assert result.exit_code == 0, result.stderr
    report: dict[str, Any] = json.loads(result.stdout)
    return report


def test_a_demo_run_reports_every_name_that_others_rely_on() -> None:
    report = report_of()

    assert set(REPORT) <= set(report)
    assert report["demo"] is True
    assert set(TIMING) <= set(report["timing"])
    assert [agent["agent"] for agent in report["agents"]] == [spec.name for spec in ROSTER]
    for agent in report["agents"]:
        assert set(AGENT) <= set(agent)
        assert agent["status"] in {state.value for state in AgentState}
        assert sum(agent["segments"].values()) == pytest.approx(agent["finished_s"], abs=1e-5)
        assert set(agent["segments"]) == set(SEGMENTS)
    assert report["article"]["markdown"].startswith("# ")
    assert report["sources"]
    assert {post["platform"] for post in report["posts"]} == set(platforms())


@pytest.mark.slow
def test_modes_and_switches_stand_in_the_report() -> None:
    report = report_of("--mode", "dataflow", "--sequential-phase", "research")

    assert report["mode"] == "dataflow"
    assert report["switches"] == {"research": False, "enhancement": True, "distribution": True}


@pytest.mark.slow
def test_the_options_stand_in_the_report_with_what_they_changed() -> None:
    report = report_of("--section-writing", "--section-editing", "--mode", "dataflow")

    assert report["options"] == {
        "section_writing": True,
        "section_editing": True,
        "speculative_research": False,
        "approve_outline": False,
    }
    agents = {agent["agent"]: agent for agent in report["agents"]}
    assert agents["content_writer/1"]["part_of"] == "content_writer"
    assert agents["content_writer/1"]["output_tokens"] > 0
    assert agents["content_writer"]["calls"] == []
    assert agents["editor"]["text"].startswith("# ")
    assert report["speculation"] is None
    for agent in agents.values():
        assert sum(agent["segments"].values()) == pytest.approx(agent["finished_s"], abs=1e-5)


@pytest.mark.slow
def test_speculation_is_reported_with_what_was_wasted() -> None:
    speculation = report_of("--speculative-research")["speculation"]

    assert speculation["agent"] == "web_researcher/early"
    assert 0 <= speculation["kept"] < speculation["findings"]
    assert speculation["wasted_share"] == pytest.approx(
        1 - speculation["kept"] / speculation["findings"], abs=1e-5
    )
    assert 0 < speculation["wasted_tokens"] <= speculation["output_tokens"]


@pytest.mark.slow
def test_a_sequential_run_is_measured_and_saves_nothing() -> None:
    timing = report_of("--mode", "sequential")["timing"]

    assert timing["sequential_kind"] == "measured"
    assert timing["saved_s"] == 0


@pytest.mark.slow
def test_the_same_seed_writes_the_same_article() -> None:
    first, second, other = (report_of("--seed", seed)["article"] for seed in ("7", "7", "8"))

    assert first == second
    assert first != other


def test_without_a_file_the_article_goes_to_standard_output_and_progress_elsewhere() -> None:
    result = call("run", TOPIC)

    assert result.exit_code == 0
    assert result.stdout.startswith("---\n")
    assert "content_writer" in result.stderr
    assert "content_writer" not in result.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "  "), "topic is empty"),
        (("run", "a\x01b"), "U+0001"),
        (("run", "x" * 2_001), "2,001 characters"),
        (("run", "Bees", "--mode", "fastest"), "fastest"),
        (("run", "Bees", "--sequential-phase", "lunch"), "no parallel phase `lunch`"),
        (("run", "Bees", "--agent-model", "cook=m"), "AGENT=MODEL"),
        (("run", "Bees", "--provider", "openai"), "OPENAI_API_KEY"),
        (("run", "Bees", "--json", "/no/such/folder/x.json"), "cannot be written"),
        (("run", "Bees", "--json", "-", "--markdown", "-"), "standard output"),
        (("plan", "--sequential-phase", "writing"), "no parallel phase"),
        (("run", "Bees", "--seed", "-1"), "greater than or equal to 0"),
        (("run", "Bees", "--seed", "99999999999999999999"), "less than or equal to 2147483647"),
        (("run", "Bees", "--section-editing"), "Add --section-writing"),
        (("plan", "--speculative-research", "--mode", "sequential"), "switch speculative research"),
    ],
)
def test_bad_usage_is_exit_2_with_a_sentence(arguments: tuple[str, ...], said: str) -> None:
    result = call(*arguments)

    assert result.exit_code == 2
    assert said in result.stderr.replace("\n", " ")


def test_a_bad_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANTRY_MAX_IN_FLIGHT", "none")

    result = call("plan")

    assert result.exit_code == 2
    assert "GANTRY_MAX_IN_FLIGHT" in result.stderr


@pytest.mark.parametrize(
    "url", ["http://u:CANARY@127.0.0.1:9/v1", "http://127.0.0.1:9/v1?k=CANARY"]
)
def test_an_address_with_a_secret_is_refused_before_it_is_stored_or_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, url: str
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", url)

    result = call("run", "Bees", "--model", "m", "--json", str(tmp_path / "report.json"))

    assert result.exit_code == 2
    assert "OPENAI_BASE_URL" in result.stderr
    assert "CANARY" not in result.output
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(b"CANARY" in path.read_bytes() for path in left)


def test_a_data_folder_that_cannot_be_made_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GANTRY_DATA_DIR", str(tmp_path / "file" / "data"))

    result = call("run", "Bees")

    assert result.exit_code == 1
    assert "GANTRY_DATA_DIR" in result.stderr


async def test_a_run_that_fails_is_exit_1_and_its_report_is_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    target = tmp_path / "report.json"
    async with FaultyDemo() as demo:
        monkeypatch.setenv("OPENAI_BASE_URL", str(demo.endpoint.base_url))
        monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong-key-1234567890")
        monkeypatch.setenv("OPENAI_MODEL", "gantry-demo-instant")
        result = await asyncio.to_thread(call, "run", "Bees", "--json", str(target))

    report = json.loads(target.read_text())
    assert result.exit_code == 1
    assert "does not accept the API key" in result.stderr
    assert report["status"] == "failed"
    assert "sk-wrong-key" not in target.read_text() + result.output
    assert TOKEN not in target.read_text()


async def test_a_real_endpoint_with_nothing_found_offers_the_unsourced_draft(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with FaultyDemo() as demo:
        monkeypatch.setenv("OPENAI_BASE_URL", str(demo.endpoint.base_url))
        monkeypatch.setenv("OPENAI_API_KEY", TOKEN)
        monkeypatch.setenv("OPENAI_MODEL", "gantry-demo-instant")
        topic = "Lattice quantum chromodynamics"
        refused = await asyncio.to_thread(call, "run", topic)
        allowed = await asyncio.to_thread(call, "run", topic, "--allow-unsourced", "--json", "-")

    assert refused.exit_code == 1
    assert "--allow-unsourced" in refused.stderr
    assert allowed.exit_code == 0
    report = json.loads(allowed.stdout)
    assert report["status"] == "degraded"
    assert any("nsourced" in mark for mark in report["degraded"])
    assert report["demo"] is False


def test_the_plan_says_what_runs_beside_what() -> None:
    result = call("plan", "--sequential-phase", "enhancement")

    assert "web_researcher ∥ kb_researcher" in result.stdout
    assert "seo_specialist → metrics_analyzer   off" in result.stdout
    assert "off: enhancement" in result.stdout


def test_the_plan_says_what_may_grow() -> None:
    said = call("plan", "--section-writing", "--sequential-phase", "writing").stdout

    assert "options: section_writing" in said
    assert "grows: content_writer by the outline of topic_planner" in said
    assert "off: writing" in said


@pytest.mark.slow
def test_the_cockpit_says_every_second_what_waits_and_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANTRY_REQUESTS_PER_MINUTE", "200")

    result = call("run", TOPIC, "--cockpit")

    assert result.exit_code == 0, result.stderr
    blocks = [line for line in result.stderr.splitlines() if line.startswith("admission ")]
    assert blocks
    assert any("/16 in flight" in line for line in blocks)
    assert any("200 requests/min (configured)" in line for line in blocks)
    assert "admission" not in result.stdout.split("\n")[0]


def test_a_bad_token_limit_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANTRY_TOKENS_PER_MINUTE", "0")

    result = call("run", TOPIC)

    assert result.exit_code == 2
    assert "GANTRY_TOKENS_PER_MINUTE" in result.stderr


@pytest.mark.slow
def test_an_outline_waits_for_approval_and_is_approved_with_another_one(tmp_path: Path) -> None:
    waits = call("run", TOPIC, "--approve-outline", "--json", "-")

    assert waits.exit_code == 3
    report = json.loads(waits.stdout)
    assert (report["status"], report["article"]) == ("waiting_approval", None)
    assert f"python -m pipeline approve {report['run_id']}" in waits.stderr
    plan = report["agents"][0]["output"]
    assert f"- {plan['outline'][0]['heading']}" in waits.stderr

    file = tmp_path / "outline.json"
    plan["outline"][0]["word_budget"] = 3
    file.write_text(json.dumps(plan), "utf-8")
    refused = call("approve", report["run_id"], "--outline", str(file))
    assert refused.exit_code == 1
    assert "Section 1, word budget: is less than 20" in refused.stderr

    plan["outline"][0].update(word_budget=60, heading="Why now")
    file.write_text(json.dumps(plan), "utf-8")
    done = call("approve", report["run_id"], "--outline", str(file), "--json", "-")
    assert done.exit_code == 0, done.stderr
    final = json.loads(done.stdout)
    assert (final["status"], final["edited"]) == ("done", ["topic_planner"])
    assert final["agents"][0]["output"] == plan


@pytest.mark.parametrize("outline", [[], ["--outline", "nowhere.json"]])
def test_approving_what_does_not_wait_is_refused_with_what_to_do(outline: list[str]) -> None:
    refused = call("approve", "no-such-run", *outline)

    assert refused.exit_code == (2 if outline else 1)
    assert "error: " in refused.stderr


@pytest.mark.slow
def test_a_brand_voice_is_named_and_copied_into_the_run() -> None:
    runtime = build_runtime(load_settings())
    with runtime:
        runtime.voices.add(LOCAL_OWNER, Voice(name="House", call_to_action="Write to us."))

    unknown = call("run", TOPIC, "--speed", "instant", "--voice", "Hause")
    report = report_of("--speed", "instant", "--voice", "House")

    assert unknown.exit_code == 1
    assert "There is no brand voice “Hause”. There are: House." in unknown.stderr
    assert report["voice"]["name"] == "House"
    assert report["voice"]["call_to_action"]["article"] is True
