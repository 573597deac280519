"""What Streamlit's own loggers write once the server has started."""

from __future__ import annotations

import json
import logging

import pytest
import streamlit.logger

from pages._logs import set_up_server_logging


@pytest.fixture(autouse=True)
def streamlit_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streamlit.logger, "setup_formatter", streamlit.logger.setup_formatter)


@pytest.mark.parametrize("name", ["streamlit.runtime", "streamlit.made_later", "uvicorn.error"])
def test_streamlits_loggers_write_like_ours_old_and_new(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GANTRY_LOG", "json")
    set_up_server_logging()

    streamlit.logger.get_logger(name).warning("key sk-proj-abcdEFGH1234\nnext")
    streamlit.logger.update_formatter()
    streamlit.logger.get_logger(name).warning("again")

    first, second = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert (first["logger"], first["message"]) == (name, "key [hidden]\nnext")
    assert second["message"] == "again"


def test_a_wrong_setting_does_not_silence_the_server(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GANTRY_LOG", "xml")
    set_up_server_logging()

    logging.getLogger("gantry").warning("still here")

    assert "still here" in capsys.readouterr().err


@pytest.mark.parametrize(("level", "lines"), [("info", 0), ("debug", 1)])
def test_a_page_load_is_no_news_and_no_line_opens_a_run(
    level: str, lines: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GANTRY_LOG", "text")
    monkeypatch.setenv("GANTRY_LOG_LEVEL", level)
    set_up_server_logging()

    logging.getLogger("uvicorn.access").info('"GET /?run=r1&shared=%s HTTP/1.1" 200', "pass-word")

    said = capsys.readouterr().err
    assert said.count("shared=[hidden] HTTP/1.1") == lines
    assert "pass-word" not in said
