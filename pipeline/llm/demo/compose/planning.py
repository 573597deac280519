"""The planner: an outline from the topic's words; needs no facts and states none."""

from __future__ import annotations

from pipeline.agents.outputs import OutlineSection, SearchQuery, TopicPlan
from pipeline.llm.demo.compose.aspects import (
    ASPECTS,
    BASICS,
    PITFALLS,
    PRACTICE,
    PREPARE,
    Aspect,
    heading,
)
from pipeline.llm.demo.compose.reading import Task
from pipeline.llm.demo.compose.topic import Topic

SHORT_WORDS = 450  # up to here three sections are enough
FRAME_SHARE = 0.18  # of the words: opening and closing
MAX_TITLE_CHARS = 80

_SUFFIXES = (": what to know before you start", ": a practical guide", ": where to begin")


def plan(task: Task) -> str:
    brief, topic, rng = task.brief, task.brief.topic, task.rng()
    chosen = _chosen(brief.words)
    budget = max(20, round(brief.words * (1 - FRAME_SHARE) / len(chosen)))
    outline = [
        OutlineSection(
            id=f"s{number}",
            heading=heading(aspect, topic, rng),
            goal=aspect.goal,
            key_questions=list(aspect.questions),
            word_budget=budget,
        )
        for number, aspect in enumerate(chosen, start=1)
    ]
    return TopicPlan(
        title=title_of(topic, rng.choice(_SUFFIXES)),
        angle="What a reader can do with it: understand the basics, prepare, begin, avoid the usual mistakes.",
        intent=f"Readers want a clear and practical overview of {topic.about}.",
        outline=outline,
        search_queries=search_queries(topic),
        keywords=list(dict.fromkeys([*([topic.core] if topic.has_core else []), *topic.keywords]))[
            :10
        ],
        out_of_scope=[
            "Prices and rules that differ from place to place",
            "Product recommendations",
        ],
    ).model_dump_json(indent=1)


def title_of(topic: Topic, suffix: str) -> str:
    """The working title: the topic, and for a short plain phrase what the reader gets."""
    is_phrase = topic.about[:1].lower() == topic.title[:1].lower() and topic.has_core
    is_clause = topic.title.split()[0].lower() in ("how", "why", "what", "when", "where", "which")
    if is_phrase and not is_clause and ":" not in topic.title:
        longer = topic.title + suffix
        return longer if len(longer) <= MAX_TITLE_CHARS else topic.title
    return topic.title


def search_queries(topic: Topic) -> list[SearchQuery]:
    words = " ".join(topic.keywords[:6])[:200]
    return [
        SearchQuery(query=f"{words} {aspect.search}", reason=aspect.reason)
        for aspect in (BASICS, PITFALLS, PREPARE, PRACTICE)
    ]


def _chosen(words: int) -> tuple[Aspect, ...]:
    if words <= SHORT_WORDS:
        return (BASICS, PRACTICE, PITFALLS)
    return ASPECTS
