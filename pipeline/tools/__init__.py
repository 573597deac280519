"""The tools agents may call, and the functions the agents' loop needs of them.

A new tool is a module with a `Tool` and an entry in `TOOLS`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

from pipeline.tools.base import (
    NO_RESEARCH,
    KnowledgeBase,
    Research,
    Tool,
    ToolContext,
    ToolError,
    ToolResult,
)
from pipeline.tools.research import FETCH_PAGE, KB_SEARCH, WEB_SEARCH
from pipeline.tools.run_web import RunWeb

__all__ = [
    "NO_RESEARCH",
    "TOOLS",
    "KnowledgeBase",
    "Research",
    "Tool",
    "ToolContext",
    "ToolError",
    "ToolResult",
    "available_tools",
    "run_context",
    "run_tool",
    "tool_definitions",
]

TOOLS: Mapping[str, Tool[Any]] = MappingProxyType(
    {tool.name: tool for tool in (WEB_SEARCH, FETCH_PAGE, KB_SEARCH)}
)


def run_context(
    research: Research, *, owner: str, topic: str, language: str, given: tuple[str, ...] = ()
) -> ToolContext:
    """The context of one run's tools: the web with this run's memory, the owner's documents.

    Pages can be read where there is a reader and something to read: what a search finds, or `given`.
    """
    web = RunWeb(research.search, research.pages, given, topic)
    readable = research.pages is not None and (research.search is not None or bool(given))
    return ToolContext(
        owner=owner,
        language=language,
        web=web if research.search is not None else None,
        pages=web if readable else None,
        knowledge=research.knowledge,
    )


def available_tools(names: Iterable[str], context: ToolContext) -> tuple[str, ...]:
    """Those of `names` that can work in `context`. Raises `ToolError` for one that does not exist."""
    return tuple(name for name in names if _tool(name).is_available(context))


def tool_definitions(names: Iterable[str]) -> list[Mapping[str, Any]]:
    """The tools of these names for a request. Raises `ToolError` for one that does not exist."""
    return [_definition(name) for name in names]


@cache
def _definition(name: str) -> Mapping[str, Any]:
    """Made once: a schema costs more than the rest of a request."""
    return _tool(name).definition


async def run_tool(name: str, arguments_json: str, context: ToolContext) -> ToolResult:
    """Carry out one call as the model wrote it.

    Raises `ToolError` for an unknown tool, for arguments that are not JSON or do not fit, and for
    what the tool itself refuses.
    """
    return await _tool(name).call(arguments_json, context)


def _tool(name: str) -> Tool[Any]:
    tool = TOOLS.get(name)
    if tool is None:
        raise ToolError(f"There is no tool `{name[:80]}`.", f"Known: {', '.join(TOOLS)}.")
    return tool
