"""Log lines: one per event, with the run they belong to, and without any key.

`set_up_logging` gives the root logger one handler. Text is for people, JSON for whoever collects
lines. Whatever a line is made of (message, arguments, extra fields, exception) passes `redact`, and
control characters are escaped, so that no topic can forge a line.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Literal, TextIO

from pipeline.redaction import redact

LogForm = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]

MAX_CHARS = 10_000  # of one message or field: more is a mistake, and patterns take their time
_STANDARD = {*vars(logging.makeLogRecord({})), "message", "asctime", "color_message"}
_context: ContextVar[dict[str, str | int]] = ContextVar("log_context")


@contextmanager
def log_context(**fields: str | int) -> Iterator[None]:
    """Put `fields` (`run`, `epoch`, `agent`) on every line logged inside, tasks it starts included."""
    token = _context.set(_context.get({}) | fields)
    try:
        yield
    finally:
        _context.reset(token)


def set_up_logging(form: LogForm | None = None, level: LogLevel = "info") -> None:
    """Let every logger of this process write through one handler, to standard error.

    `form` None: text when a person reads it on a terminal, else JSON. May be called again.
    """
    is_json = form == "json" or (form is None and not sys.stderr.isatty())
    handler = _Handler()
    handler.setFormatter(JsonLines() if is_json else TextLines())
    root = logging.getLogger()
    for old in [h for h in root.handlers if isinstance(h, _Handler)]:
        root.removeHandler(old)
    handler.setLevel(level.upper())  # some libraries set their own loggers to say more
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in (
        "openai",
        "httpx",
        "asyncio",
        "alembic",
    ):  # what they say below this is for their authors
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_of_thread


def adopt(logger: logging.Logger) -> None:
    """Have a logger that came with handlers of its own write through ours only."""
    logger.handlers.clear()
    logger.propagate = True


class JsonLines(logging.Formatter):
    """One JSON object a line: at, level, logger, message, then context, extra fields, exception."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": _at(record).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _clean(record.getMessage()),
            **_fields(record),
        }
        if traceback := _traceback(self, record):
            line["exception"] = traceback
        return json.dumps(line, default=_text)  # ASCII: no character in it can break a line


class TextLines(logging.Formatter):
    """`12:30:05.123 WARNING pipeline.engine: message [run=… agent=…]`; a traceback follows, indented."""

    def format(self, record: logging.LogRecord) -> str:
        at = _at(record).astimezone().strftime("%H:%M:%S.%f")[:-3]
        fields = " ".join(f"{name}={value}" for name, value in _fields(record).items())
        message = _clean(record.getMessage()) + (f" [{fields}]" if fields else "")
        lines = [f"{at} {record.levelname} {record.name}: {_escaped(message)}"]
        lines += [f"  | {_escaped(line)}" for line in _traceback(self, record).splitlines()]
        return "\n".join(lines)


class _Handler(logging.StreamHandler[TextIO]):
    """Writes to what standard error is now, not to what it was when the handler was made."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, value: TextIO) -> None:
        raise AttributeError("The stream is always standard error.")


def _at(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    extra = {name: value for name, value in vars(record).items() if name not in _STANDARD}
    return {
        name: value if isinstance(value, int | float | bool | None) else _clean(_text(value))
        for name, value in (_context.get({}) | extra).items()
    }


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    told = formatter.formatException(record.exc_info) if record.exc_info else record.exc_text or ""
    if record.stack_info:
        told = f"{told}\n{record.stack_info}".strip()
    return _clean(told)


def _clean(text: str) -> str:
    cut = text if len(text) <= MAX_CHARS else text[:MAX_CHARS].rpartition(" ")[0] + " …"
    return redact(cut)


def _text(value: object) -> str:
    """`str`, but an object that cannot even be shown must not cost the line it stands in."""
    try:
        return str(value)
    except Exception as error:  # noqa: BLE001 - said in the line itself
        return f"<{type(value).__name__} without a text: {type(error).__name__}>"


def _escaped(text: str) -> str:
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text
    )


def _log_uncaught(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)
        return
    logging.getLogger("gantry").critical("Ends with a bug", exc_info=(kind, error, traceback))


def _log_uncaught_of_thread(thrown: threading.ExceptHookArgs) -> None:
    if thrown.exc_value is None or issubclass(thrown.exc_type, SystemExit):
        return
    name = thrown.thread.name if thrown.thread is not None else "?"
    logging.getLogger("gantry").error(
        "Thread %s ended with a bug",
        name,
        exc_info=(thrown.exc_type, thrown.exc_value, thrown.exc_traceback),
    )
