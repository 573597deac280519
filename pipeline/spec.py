"""From what was asked to a `RunSpec`, in words for people. Needs neither a client nor a database."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from pipeline.errors import SpecError
from pipeline.models import RunSpec


def make_spec(**fields: Any) -> RunSpec:
    """Validate what was asked. Raises `SpecError` with one sentence per problem."""
    try:
        return RunSpec(**fields)
    except ValidationError as error:
        raise SpecError("\n".join(_sentence(item) for item in error.errors())) from error


def _sentence(item: Any) -> str:
    message = str(item["msg"]).removeprefix("Value error, ")
    name = ".".join(str(part) for part in item["loc"])
    return message if name in ("topic", "urls") else f"{name}: {message}"
