"""The server's log lines, Streamlit's and uvicorn's among them, through our one handler.

Streamlit gives each of its loggers a handler of its own, also to those made later and anew whenever
its options are read; the function it does that with is the one place where all of them pass.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

import streamlit as st
import streamlit.logger

from pipeline.errors import SpecError
from pipeline.logs import LogLevel, adopt, set_up_logging
from pipeline.redaction import remember_secret
from pipeline.settings import load_settings

SECRET_NAMES = ("secret", "key", "token", "password")
FOREIGN = ("streamlit", "uvicorn", "websockets")
TALKATIVE = ("uvicorn.access", "uvicorn.error")  # a line for every file a page loads


def set_up_server_logging() -> None:
    """Call when the server starts. A wrong setting is no reason to stay silent: the page names it."""
    level: LogLevel = "info"
    try:
        settings = load_settings()
        level = settings.log_level or level
        set_up_logging(settings.log, level)
    except SpecError:
        set_up_logging()
    for secret in _secrets_of_the_server():
        remember_secret(secret)
    streamlit.logger.setup_formatter = adopt
    streamlit.logger.update_formatter()
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] in FOREIGN:
            adopt(logging.getLogger(name))
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.DEBUG if level == "debug" else logging.WARNING)


def _secrets_of_the_server() -> list[str]:
    """What `secrets.toml` calls a secret: keys, the cookie's, the sign-in's."""
    if not st.secrets.load_if_toml_exists():
        return []
    return list(_secret_leaves(st.secrets.to_dict()))


def _secret_leaves(table: Mapping[str, Any]) -> Iterator[str]:
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _secret_leaves(value)
        elif isinstance(value, str) and any(word in name.lower() for word in SECRET_NAMES):
            yield value
