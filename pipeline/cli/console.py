"""What all commands share: exit codes, settings with logging, errors in one line, result files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NoReturn

import typer

from pipeline.errors import GantryError, SpecError
from pipeline.logs import set_up_logging
from pipeline.settings import Settings, load_settings

FAILED, BAD_USAGE, WAITS, INTERRUPTED = 1, 2, 3, 130


def settings_and_logging(*, serves: bool = False) -> Settings:
    """The settings, with logging as they say. By default a command that a person runs says little
    there, its progress tells the rest; one that `serves` tells whoever collects lines.
    """
    try:
        settings = load_settings()
    except SpecError as error:
        stop(error, BAD_USAGE)
    if serves:
        set_up_logging(settings.log, settings.log_level or "info")
    else:
        set_up_logging(settings.log or "text", settings.log_level or "error")
    return settings


def check_targets(*targets: str | None) -> None:
    """A result nobody can write is found out before the run, not after."""
    files = [target for target in targets if target not in (None, "-")]
    if targets.count("-") > 1:
        raise SpecError("Only one result can go to standard output.", "Give the other a file.")
    for target in files:
        folder = Path(str(target)).absolute().parent
        if not folder.is_dir() or Path(str(target)).is_dir():
            raise SpecError(f"`{target}` cannot be written.", "Name a file in an existing folder.")


def read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"`{file}` cannot be read: {error}.") from error


def write(target: str, text: str) -> None:
    if target == "-":
        sys.stdout.buffer.write(text.encode("utf-8", "replace"))
        sys.stdout.buffer.flush()
        return
    try:
        Path(target).write_bytes(text.encode("utf-8", "replace"))
    except OSError as error:
        raise SpecError(f"`{target}` cannot be written: {error.strerror}.") from error


def stop(error: GantryError, code: int) -> NoReturn:
    typer.echo(f"error: {error}", err=True)
    raise typer.Exit(code)
