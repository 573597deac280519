"""Read a request: which agent asks, with which sections, after which tool results.

Everything is taken as hostile text: what cannot be read counts as absent, and no input raises.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.llm.demo.compose.topic import Topic, read_topic
from pipeline.llm.demo.latency import stable_random
from pipeline.llm.demo.wire import CalledTool, ChatRequest, Message

DEFAULT_WORDS = 700
MIN_WORDS, MAX_WORDS = 150, 3_000

_AGENT = re.compile(r"\AAgent: ([a-z][a-z0-9_]{0,60}(?:/[a-z0-9]{1,10})?)[ \t]*(?:\r?\n|\Z)")
_DEFUSED = re.compile(r"(<\s*)\\/(?=\s*section)", re.I)
_SECTION = re.compile(
    r'<section name="([^"]{1,80})"(?: state="absent")?>(.*?)</section>', re.DOTALL
)
_HEADING = re.compile(r"^ {0,3}#{1,6}[ \t].*$", re.MULTILINE)
_ID = re.compile(r"S[0-9a-f]{5,12}")


@dataclass(frozen=True, slots=True)
class Passage:
    """Evidence as it was handed in: text that may be quoted under its id."""

    id: str
    title: str
    text: str
    publisher: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class Brief:
    topic: Topic
    audience: str = "general readers"
    words: int = DEFAULT_WORDS
    language: str = "English"
    unsourced: bool = False

    @property
    def is_english(self) -> bool:
        return self.language.strip().lower()[:2] in ("en", "")


@dataclass(frozen=True, slots=True)
class Task:
    """One request, understood."""

    request: ChatRequest
    agent: str  # empty for a chat that is none of the pipeline's agents
    call: int  # 1 for the first reply asked for
    brief: Brief
    sections: Mapping[str, str] = field(default_factory=dict)
    results: tuple[ToolResult, ...] = ()

    @property
    def family(self) -> str:
        """The agent without its part: `content_writer` for `content_writer/3`."""
        return self.agent.partition("/")[0]

    def rng(self, purpose: str = "") -> random.Random:
        """Randomness for wording, the same for the same seed, agent and topic."""
        return stable_random(
            self.request.seed or 0, self.agent, self.brief.topic.title, purpose or "words"
        )

    def text(self, name: str) -> str:
        return self.sections.get(name, "")

    def data(self, name: str) -> dict[str, Any]:
        """A section's JSON object; empty when absent or not one."""
        value = _json(self.text(name))
        return value if isinstance(value, dict) else {}

    @property
    def passages(self) -> list[Passage]:
        """All evidence in tool results and sections, each id once, in the order given."""
        found: dict[str, Passage] = {}
        for text in [*(result.content for result in self.results), *self.sections.values()]:
            for value in _json_values(text):
                for passage in _passages(value):
                    found.setdefault(passage.id, passage)
        return list(found.values())


@dataclass(frozen=True, slots=True)
class ToolResult:
    call: CalledTool
    content: str


def read_task(request: ChatRequest) -> Task:
    system = next((m.text for m in request.messages if m.role in ("system", "developer")), "")
    match = _AGENT.match(system)
    sections = _sections(request.messages)
    return Task(
        request=request,
        agent=match[1] if match else "",
        call=1 + sum(m.role == "assistant" for m in request.messages),
        brief=_brief(_json(sections.get("brief", "")), _first_user_text(request.messages)),
        sections=sections,
        results=tuple(_results(request.messages)),
    )


def text_of(value: object, limit: int = 400) -> str:
    """`value` as one line of at most `limit` characters; empty when it is no string."""
    return " ".join(value.split())[:limit].strip() if isinstance(value, str) else ""


def dicts(value: object) -> list[dict[str, Any]]:
    """The objects in a JSON list; empty for anything else."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _sections(messages: Iterable[Message]) -> dict[str, str]:
    found: dict[str, str] = {}
    for message in messages:
        if message.role == "user":
            for name, body in _SECTION.findall(message.text):
                found.setdefault(name, _DEFUSED.sub(r"\1/", body.strip("\n")))
    return found


def _first_user_text(messages: Iterable[Message]) -> str:
    return next((m.text for m in messages if m.role == "user"), "")


def _brief(value: object, fallback_topic: str) -> Brief:
    if not isinstance(value, dict):
        return Brief(read_topic(fallback_topic))
    topic, words = value.get("topic"), value.get("words")
    return Brief(
        topic=read_topic(topic if isinstance(topic, str) else ""),
        audience=text_of(value.get("audience"), 200) or "general readers",
        words=min(MAX_WORDS, max(MIN_WORDS, words)) if isinstance(words, int) else DEFAULT_WORDS,
        language=text_of(value.get("language"), 60) or "English",
        unsourced=value.get("unsourced") is True,
    )


def _results(messages: Iterable[Message]) -> Iterable[ToolResult]:
    asked: dict[str, CalledTool] = {}
    for message in messages:
        asked |= {call.id: call for call in message.tool_calls}
        if message.role == "tool" and message.tool_call_id in asked:
            yield ToolResult(asked[message.tool_call_id], message.text)


def _passages(value: object) -> Iterable[Passage]:
    if isinstance(value, dict):
        for key in ("sources", "results", "passages"):
            for item in dicts(value.get(key)):
                yield from _passage({**_about(value), **item})
    for item in dicts(value):
        yield from _passage(item)


def _about(page: Mapping[str, Any]) -> dict[str, Any]:
    """What a page that was read says once for all its passages."""
    return {name: page[name] for name in ("title", "publisher", "url") if name in page}


def _passage(item: Mapping[str, Any]) -> Iterable[Passage]:
    identity, text = item.get("id"), text_of(_without_headings(item.get("passage")), 4_000)
    if isinstance(identity, str) and _ID.fullmatch(identity) and text:
        title, publisher = text_of(item.get("title"), 200), text_of(item.get("publisher"), 200)
        yield Passage(identity, title, text, publisher, text_of(item.get("url"), 2_000))


def _without_headings(passage: object) -> object:
    """A document's passage may hold headings, which are no part of any sentence to quote."""
    return _HEADING.sub("", passage) if isinstance(passage, str) else passage


def _json_values(text: str) -> Iterable[Any]:
    """The JSON values in `text`, one after the other, up to the first thing that is none."""
    decoder, position = json.JSONDecoder(), 0
    while position < len(text):
        try:
            value, position = decoder.raw_decode(text, position)
        except (ValueError, RecursionError):
            return
        yield value
        position += len(text[position:]) - len(text[position:].lstrip())


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
