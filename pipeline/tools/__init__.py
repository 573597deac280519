"""The tools agents may call, and the two functions the agents' loop needs of them.

A new tool is a module with a `Tool` and an entry in `TOOLS`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

from pipeline.tools.base import Tool, ToolContext, ToolError, ToolResult
from pipeline.tools.samples import READ_SAMPLE, SEARCH_SAMPLES

__all__ = [
    "TOOLS",
    "Tool",
    "ToolContext",
    "ToolError",
    "ToolResult",
    "run_tool",
    "tool_definitions",
]

TOOLS: Mapping[str, Tool[Any]] = MappingProxyType(
    {tool.name: tool for tool in (SEARCH_SAMPLES, READ_SAMPLE)}
)


def tool_definitions(names: Iterable[str]) -> list[Mapping[str, Any]]:
    """The tools of these names for a request. Raises `ToolError` for one that does not exist."""
    return [_definition(name) for name in names]


@cache
def _definition(name: str) -> Mapping[str, Any]:
    """Made once: a schema costs more than the rest of a request."""
    return _tool(name).definition


async def run_tool(
    name: str, arguments_json: str, context: ToolContext | None = None
) -> ToolResult:
    """Carry out one call as the model wrote it.

    Raises `ToolError` for an unknown tool, for arguments that are not JSON or do not fit, and for
    what the tool itself refuses.
    """
    return await _tool(name).call(arguments_json, context or ToolContext())


def _tool(name: str) -> Tool[Any]:
    tool = TOOLS.get(name)
    if tool is None:
        raise ToolError(f"There is no tool `{name[:80]}`.", f"Known: {', '.join(TOOLS)}.")
    return tool
