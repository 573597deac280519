"""The recipes for containers, read: no engine runs here. Rules as hadolint and Docker's own advice."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipeline.cli import app

ROOT = Path(__file__).parent.parent
OURS = ("migrate", "web", "worker")


def parsed(text: str) -> Any:
    """YAML, as far as compose.yaml uses it: maps and lists by indentation, JSON in one line."""
    lines = [
        line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")
    ]
    value, rest = _block(lines, 0)
    assert not rest
    return value


def _block(lines: list[str], indent: int) -> tuple[Any, list[str]]:
    items: list[Any] = []
    pairs: dict[str, Any] = {}
    while lines and (depth := len(lines[0]) - len(lines[0].lstrip())) >= indent:
        assert depth == indent, f"indented oddly: {lines[0]}"
        head, lines = lines[0].strip(), lines[1:]
        if head.startswith("- "):
            items.append(_scalar(head[2:]))
            continue
        key, colon, inline = head.partition(":")
        assert colon, f"no key: {head}"
        assert key not in pairs, f"twice: {key}"
        if inline.strip():
            pairs[key] = _scalar(inline.strip())
        else:
            pairs[key], lines = _block(lines, indent + 2)
    assert not (items and pairs)
    return items or pairs, lines


def _scalar(text: str) -> Any:
    if text[0] in '["{':
        return json.loads(text)
    return {"true": True, "false": False}.get(text, text)


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    found: dict[str, Any] = parsed((ROOT / "compose.yaml").read_text())
    return found


@pytest.fixture(scope="module")
def dockerfile() -> list[tuple[str, str]]:
    """Each instruction with its arguments, comments and line ends folded away."""
    text = (ROOT / "Dockerfile").read_text()
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    folded = re.sub(r"\\\n\s*", " ", lines)
    return [
        (word, rest)
        for word, _, rest in (one.partition(" ") for one in folded.splitlines())
        if word
    ]


def test_there_are_a_database_a_dashboard_and_workers(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == {"postgres", *OURS}


@pytest.mark.parametrize("name", OURS)
def test_our_services_have_no_rights_they_do_not_need(compose: dict[str, Any], name: str) -> None:
    service = compose["services"][name]

    assert service["user"] == "10001:10001"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service


@pytest.mark.parametrize("name", ["postgres", "web", "worker"])
def test_services_that_stay_are_looked_after(compose: dict[str, Any], name: str) -> None:
    service = compose["services"][name]

    assert service["restart"] == "unless-stopped", "workers end on purpose: with 1 and 75"
    assert service["healthcheck"]["test"][0] == "CMD"
    assert {"interval", "timeout", "retries"} <= service["healthcheck"].keys()
    assert service["stop_grace_period"] in ("20s", "30s"), "ten seconds are a worker's own"


def test_nothing_starts_before_what_it_needs(compose: dict[str, Any]) -> None:
    services = compose["services"]

    assert services["migrate"]["depends_on"]["postgres"]["condition"] == "service_healthy"
    for name in ("web", "worker"):
        condition = services[name]["depends_on"]["migrate"]["condition"]
        assert condition == "service_completed_successfully"


def test_only_this_host_reaches_the_dashboard_and_nobody_the_database(
    compose: dict[str, Any],
) -> None:
    published = {name: s["ports"] for name, s in compose["services"].items() if "ports" in s}

    assert published == {"web": ["127.0.0.1:8501:8501"]}


def test_dashboard_and_workers_read_the_same_settings(compose: dict[str, Any]) -> None:
    files = [compose["services"][name]["env_file"] for name in ("web", "worker")]

    assert files == [[{"path": "gantry.env", "required": False}]] * 2


def test_no_secret_is_written_down(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for name, value in service["environment"].items():
            if "KEY" in name or "PASSWORD" in name:
                assert re.fullmatch(r"\$\{\w+(:-|:\?[\w ]+)\}", value), name
            if name == "DATABASE_URL":
                assert value.startswith("postgresql+asyncpg://gantry:${POSTGRES_PASSWORD:?}@")


def test_data_outlives_the_containers(compose: dict[str, Any]) -> None:
    assert set(compose["volumes"]) == {"database", "data"}
    assert compose["services"]["postgres"]["volumes"] == ["database:/var/lib/postgresql/data"]
    assert compose["services"]["web"]["volumes"] == ["data:/data"]


@pytest.mark.parametrize("name", ["migrate", "worker"])
def test_commands_are_ones_the_command_line_knows(compose: dict[str, Any], name: str) -> None:
    *start, command = compose["services"][name]["command"][:4]
    options = [word for word in compose["services"][name]["command"] if word.startswith("--")]

    shown = CliRunner().invoke(app, [command, "--help"])

    assert start == ["python", "-m", "pipeline"]
    assert shown.exit_code == 0
    assert all(option in shown.output for option in options)


def test_the_image_is_built_from_pinned_and_hashed_packages(
    dockerfile: list[tuple[str, str]],
) -> None:
    images = [rest.split()[0] for word, rest in dockerfile if word == "FROM"]
    installs = [rest for word, rest in dockerfile if word == "RUN" and "pip install" in rest]
    version = f"{sys.version_info.major}.{sys.version_info.minor}"

    assert images == [f"python:{version}-slim"] * 2
    assert len(installs) == 1
    assert {"--require-hashes", "--no-cache-dir", "--no-deps"} <= set(installs[0].split())


def test_the_image_runs_as_somebody_without_rights(dockerfile: list[tuple[str, str]]) -> None:
    last_stage = dockerfile[max(n for n, (word, _) in enumerate(dockerfile) if word == "FROM") :]
    words = [word for word, _ in last_stage]

    assert dict(last_stage)["USER"] == "10001:10001"
    assert words.index("USER") > max(n for n, word in enumerate(words) if word in ("RUN", "COPY"))
    assert {"HEALTHCHECK", "VOLUME", "EXPOSE", "CMD"} <= set(words)
    assert "ADD" not in words
    assert "sudo" not in str(last_stage)


def test_every_command_is_in_exec_form_so_that_signals_arrive(
    dockerfile: list[tuple[str, str]],
) -> None:
    for word, rest in dockerfile:
        if word in ("CMD", "ENTRYPOINT"):
            assert json.loads(rest)[0] == "streamlit"


def test_what_is_copied_exists_and_reaches_the_build(dockerfile: list[tuple[str, str]]) -> None:
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    copied = [rest.split()[0] for word, rest in dockerfile if word == "COPY"]

    for path in copied:
        if path.startswith("--from"):
            continue
        assert (ROOT / path).exists(), path
        assert f"!{path}" in ignore, path
    assert "*" in ignore
