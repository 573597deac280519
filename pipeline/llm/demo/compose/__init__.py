"""What the demo answers: recognise the agent, read what it was given, compose from that.

Every answer is assembled from the brief, the evidence in the request and fixed templates; the
same (seed, messages) give the same words. Nothing here waits, reads files or knows HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pipeline.llm.demo.compose import (
    distributing,
    editing,
    enhancing,
    plain,
    planning,
    publishing,
    research,
    writing,
)
from pipeline.llm.demo.compose.reading import Task, read_task
from pipeline.llm.demo.wire import CalledTool, ChatRequest


@dataclass(frozen=True, slots=True)
class Reply:
    """Text, or tool calls instead of it. `agent` and `call` are what the latency is drawn from."""

    agent: str
    call: int
    text: str = ""
    tool_calls: tuple[CalledTool, ...] = ()


_TEXTS: Mapping[str, Callable[[Task], str]] = {
    "topic_planner": planning.plan,
    "web_researcher": research.findings,
    "kb_researcher": research.findings,
    "content_writer": lambda task: (
        writing.section(task) if "/" in task.agent else writing.article(task)
    ),
    "editor": lambda task: (
        editing.edited_section(task) if "/" in task.agent else editing.edited(task)
    ),
    "seo_specialist": enhancing.seo,
    "metrics_analyzer": enhancing.metrics,
    "publisher": publishing.notes,
    "summary_writer": distributing.summary,
    "social_promoter": distributing.posts,
}


def compose(request: ChatRequest) -> Reply:
    """Answer `request`. Total: any messages get an answer that fits what was asked for."""
    task = read_task(request)
    calls = research.tool_calls(task) if task.family in research.SHELVES else plain.tool_calls(task)
    if calls:
        return Reply(task.agent, task.call, tool_calls=calls)
    text = _TEXTS.get(task.family, plain.answer)(task)
    return Reply(task.agent, task.call, text)
