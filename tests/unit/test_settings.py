"""Settings from the environment: what is taken, and what is said about the rest."""

from __future__ import annotations

import traceback

import pytest

from pipeline.errors import SpecError
from pipeline.redaction import redact
from pipeline.settings import load_settings

NAMES = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_MODEL", "DATABASE_URL")


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("GANTRY_MAX_IN_FLIGHT", "abc", "integer"),
        ("GANTRY_MAX_IN_FLIGHT", "0", "greater than or equal to 1"),
        ("GANTRY_DEMO_SPEED", "slow", "realistic"),
        ("GANTRY_LOG", "xml", "json"),
        ("GANTRY_LOG_LEVEL", "loud", "warning"),
        ("GANTRY_PARALLEL_PHASES", "reserch", "known are planning, research"),
        ("OPENAI_BASE_URL", "http://127.0.0.1:abc/v1", "not the address of an endpoint"),
        ("OPENAI_BASE_URL", "http://user:CANARY@host/v1", "user name or password"),
        ("OPENAI_BASE_URL", "http://host/v1?key=CANARY", "query"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named_with_what_it_takes(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-CANARY")
    monkeypatch.setenv(variable, value)

    with pytest.raises(SpecError) as caught:
        load_settings()

    assert variable in caught.value.message
    assert said in caught.value.message
    assert caught.value.hint
    assert "Value error" not in caught.value.message
    assert "CANARY" not in "".join(traceback.format_exception(caught.value))


def test_every_wrong_setting_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANTRY_PARALLEL_PHASES", "research, lunch")
    monkeypatch.setenv("OPENAI_BASE_URL", "ftp://host")

    with pytest.raises(SpecError) as caught:
        load_settings()

    assert "'lunch'" in caught.value.message
    assert "OPENAI_BASE_URL" in caught.value.message


def test_switches_may_be_listed_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANTRY_PARALLEL_PHASES", "research,enhancement")
    some = load_settings().parallel_phases
    monkeypatch.setenv("GANTRY_PARALLEL_PHASES", "")

    assert some == ("research", "enhancement")
    assert load_settings().parallel_phases == ()


def test_the_databases_password_is_hidden_from_then_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql+asyncpg://ann:pass%20word%20with%201@db/gantry")

    load_settings()

    assert redact("refused: pass word with 1") == "refused: [hidden]"
