"""The isolated children of this process: other tests' servers (a demo, a PostgreSQL) are not among them."""

from __future__ import annotations

import psutil

MARK = "-P"  # only `pipeline.isolation` starts Python so


def isolated_children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if MARK in _command(child)]


def _command(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:  # it ended between the two questions
        return []
