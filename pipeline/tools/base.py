"""What a tool is: its name, its typed arguments, how one call of it is run and checked.

Beside it the ports of what tools reach for: a search service, a reader of pages, a knowledge base.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from pipeline.errors import GantryError
from pipeline.foreign_json import read_json
from pipeline.models import LOCAL_OWNER, Source

PROBLEM_MAX_CHARS = 600  # what the model is told about bad arguments

ArgumentsT = TypeVar("ArgumentsT", bound=BaseModel)


class ToolError(GantryError):
    """A call that cannot be answered. The message goes back to the model, so it says what to do."""

    code = "tool"


@dataclass(frozen=True, slots=True)
class Hit:
    """One result of a web search. Everything in it is a stranger's words."""

    url: str
    title: str
    snippet: str = ""
    publisher: str = ""
    published: str = ""  # ISO date, empty when the service does not tell


@dataclass(frozen=True, slots=True)
class WebPage:
    """A page as it was read: its main text as Markdown, with headings."""

    url: str  # after redirects
    title: str
    text: str
    publisher: str = ""
    published: str = ""  # ISO date, empty when the page does not tell


class SearchProvider(Protocol):
    """Finds pages. `name` is shown to people."""

    @property
    def name(self) -> str: ...

    async def search(self, query: str, *, limit: int, language: str) -> list[Hit]:
        """At most `limit` hits, best first. Raises `ToolError` when the service does not answer."""
        ...

    async def aclose(self) -> None: ...


class PageReader(Protocol):
    """Reads one page from the web."""

    async def read(self, url: str) -> WebPage:
        """Raises `ToolError` for a page that may not or cannot be read."""
        ...

    async def aclose(self) -> None: ...


class KnowledgeBase(Protocol):
    """Searches an owner's own documents."""

    async def search(self, owner: str, query: str, *, limit: int) -> tuple[Source, ...]:
        """The passages that fit best, best first; none when no document is about it."""
        ...


@dataclass(frozen=True, slots=True)
class Research:
    """What researchers may reach for, shared by all runs. `None`: not configured."""

    search: SearchProvider | None = None
    pages: PageReader | None = None
    knowledge: KnowledgeBase | None = None


NO_RESEARCH = Research()


@dataclass(frozen=True, slots=True)
class ToolContext:
    """For whom a tool works, and with what. `None`: not configured; its tools are not offered."""

    owner: str = LOCAL_OWNER
    language: str = ""  # as the brief names it
    web: SearchProvider | None = None
    pages: PageReader | None = None
    knowledge: KnowledgeBase | None = None


@dataclass(frozen=True, slots=True)
class ToolResult:
    """`content` is JSON for the model; `sources` are the passages it may cite from now on."""

    content: str
    sources: tuple[Source, ...] = ()


def passage_id(place: str, text: str) -> str:
    """The id under which `text`, found at `place`, is cited: the same for as long as both are.

    40 bits: among the thousand passages of a long run two are alike once in two million runs.
    """
    return "S" + hashlib.sha256(f"{place}\n{text}".encode("utf-8", "replace")).hexdigest()[:10]


@dataclass(frozen=True, slots=True)
class Tool(Generic[ArgumentsT]):
    """One function tool. `run` may take the arguments as valid and raises `ToolError` itself.

    `is_available` says whether the context has what the tool reaches for.
    """

    name: str
    description: str
    parameters: type[ArgumentsT]
    run: Callable[[ArgumentsT, ToolContext], Awaitable[ToolResult]]
    is_available: Callable[[ToolContext], bool] = lambda _: True

    @property
    def definition(self) -> dict[str, Any]:
        """The tool as the chat-completions protocol wants it."""
        function = {
            "name": self.name,
            "description": self.description,
            "parameters": self.parameters.model_json_schema(),
        }
        return {"type": "function", "function": function}

    async def call(self, arguments_json: str, context: ToolContext) -> ToolResult:
        return await self.run(self._arguments(arguments_json), context)

    def _arguments(self, arguments_json: str) -> ArgumentsT:
        try:
            value = read_json(arguments_json or "{}")
        except ValueError as error:
            raise ToolError(
                f"The arguments of `{self.name}` are not JSON.", "Send one JSON object."
            ) from error
        try:
            return self.parameters.model_validate(value)
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(map(str, item['loc'])) or 'arguments'}: {item['msg']}"
                for item in error.errors(include_url=False, include_input=False)
            )
            raise ToolError(
                f"The arguments of `{self.name}` do not fit: {problems[:PROBLEM_MAX_CHARS]}."
            ) from error
