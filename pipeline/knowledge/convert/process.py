"""Convert one document at a time."""

from __future__ import annotations

import asyncio
from pathlib import Path

from pipeline.errors import DocumentError
from pipeline.knowledge.convert.model import LIMITS, Converted, Limits
from pipeline.knowledge.convert.text import read_text


async def convert(path: Path, name: str, limits: Limits = LIMITS) -> Converted:
    """The text of the document at `path`; `name` is what its owner calls it.

    Raises `DocumentError`, whose `reason` says which of a few things was wrong.
    """
    return await asyncio.to_thread(_converted, path, name, limits)


def _converted(path: Path, name: str, limits: Limits) -> Converted:
    if path.stat().st_size > limits.max_bytes:
        raise DocumentError(
            "too_large",
            f"The file is larger than {limits.max_bytes // 1_000_000} MB.",
            "Split it, or upload only the part you need.",
        )
    return read_text(path.read_bytes(), name, limits)
