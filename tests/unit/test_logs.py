"""Log lines as somebody reads or collects them: one per event, whose run, and never a key."""

from __future__ import annotations

import asyncio
import json
import logging
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.logs import JsonLines, TextLines, adopt, log_context, set_up_logging
from pipeline.redaction import remember_secret

KEY = "plain0word1that2is3a4key"
ODD = "Bees\n2026-01-01 ERROR forged\x1b[2J\u2028\u202e"


@pytest.fixture
def logger() -> logging.Logger:
    return logging.getLogger("pipeline.tests")


def line_of(text: str) -> dict[str, object]:
    (line,) = text.splitlines()
    found: dict[str, object] = json.loads(line)
    return found


def test_a_line_says_what_happened_and_in_which_run(
    logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up_logging("json")

    with log_context(run="abc", epoch=2), log_context(agent="editor"):
        logger.warning("Waited %.1f s", 2.5, extra={"calls": 3})

    line = line_of(capsys.readouterr().err)
    assert line.pop("at")
    assert line == {
        "level": "warning",
        "logger": "pipeline.tests",
        "message": "Waited 2.5 s",
        "run": "abc",
        "epoch": 2,
        "agent": "editor",
        "calls": 3,
    }


async def test_runs_side_by_side_keep_their_own_context(
    logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up_logging("json")
    both_began = asyncio.Barrier(2)

    async def work(run: str) -> None:
        with log_context(run=run):
            await both_began.wait()
            logger.info(run)

    async with asyncio.TaskGroup() as group:
        group.create_task(work("one"))
        group.create_task(work("two"))

    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert sorted((line["message"], line["run"]) for line in lines) == [
        ("one", "one"),
        ("two", "two"),
    ]


@pytest.mark.parametrize("form", ["json", "text"])
def test_no_topic_can_forge_a_line(
    logger: logging.Logger, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    set_up_logging("json" if form == "json" else "text")

    logger.warning("Topic %s", ODD, extra={"topic": ODD})

    written = capsys.readouterr().err
    assert len(written.splitlines()) == 1
    assert not {"\x1b", "\u2028", "\u202e"} & set(written)


@pytest.mark.parametrize("form", [JsonLines(), TextLines()])
@pytest.mark.parametrize(
    "secret", [KEY, "sk-proj-abcdEFGH1234", "Bearer abc.def-123", "eyJhbGciOi.eyJzdWIi.c2ln"]
)
def test_a_key_is_hidden_wherever_it_stands(form: logging.Formatter, secret: str) -> None:
    remember_secret(KEY)
    try:
        raise ValueError(f"refused {secret}")
    except ValueError:
        record = logging.getLogger("t").makeRecord(
            *("t", logging.ERROR, __file__, 1, f"with {secret}: %s %s", (secret, {"k": secret})),
            exc_info=sys.exc_info(),
            extra={"header": secret, "nested": {"k": [secret]}},
        )

    line = form.format(record)

    assert secret.split()[-1] not in line
    assert "[hidden]" in line and "ValueError" in line


def test_the_password_of_a_database_address_is_hidden() -> None:
    record = logging.makeLogRecord({"msg": "postgresql+asyncpg://ann:pa55@db:5432/gantry is down"})

    assert "postgresql+asyncpg://[hidden]@db:5432/gantry" in TextLines().format(record)


def test_a_logger_with_its_own_handler_is_adopted(
    logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up_logging("json")
    foreign = logging.getLogger("foreign.tests")
    foreign.addHandler(logging.StreamHandler())
    foreign.propagate = False

    adopt(foreign)
    foreign.warning("said once")

    assert line_of(capsys.readouterr().err)["message"] == "said once"


@given(message=st.text(), value=st.text() | st.binary() | st.floats())
def test_whatever_is_logged_becomes_one_line(message: str, value: object) -> None:
    record = logging.makeLogRecord({"msg": message, "name": "t", "extra_value": value})

    json.loads(JsonLines().format(record))
    assert len(JsonLines().format(record).splitlines()) == 1
    assert len(TextLines().format(record).splitlines()) == 1
