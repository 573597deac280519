"""The publisher: a headline and a few edits that code can apply, each `find` exactly once."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pipeline.agents.outputs import Edit, PublisherNotes
from pipeline.llm.demo.compose.prose import (
    MARKER,
    Article,
    clip,
    plain,
    read_article,
    sentences,
)
from pipeline.llm.demo.compose.reading import Task, dicts
from pipeline.llm.demo.compose.topic import Topic

MAX_EDITS = 3
STANDFIRST_CHARS = 280

_TWO = "Two thoughts are easier to follow in two sentences."
_PLAIN = "Plainer and shorter."
_WORDING: tuple[tuple[str, str, str], ...] = (
    (", watch what happens, and come back to ", " and watch what happens. Come back to ", _TWO),
    (
        ", begin with what can be undone, and keep ",
        " and begin with what can be undone. Keep ",
        _TWO,
    ),
    ("It is fine to begin ", "You may begin ", "Speaks to the reader."),
    (" is all it takes", " is enough", _PLAIN),
    ("Worth asking in your own case: ", "Ask in your own case: ", _PLAIN),
    (" takes this further.", " goes further.", _PLAIN),
    ("None of this has to be perfect", "Nothing here has to be perfect", _PLAIN),
    (" makes every later choice easier.", " helps with every later choice.", _PLAIN),
    ("the plan of an article about", "a plan for an article about", _PLAIN),
    (
        "should be named as a gap rather than filled with a guess",
        "belongs among the gaps, not among the guesses",
        _PLAIN,
    ),
)


def notes(task: Task) -> str:
    text = task.text("editor")
    article, topic = read_article(text), task.brief.topic
    advice = _advice(task)
    heading = _heading_edit(text, article, topic, _named(advice, "section heading"))
    edits = [e for e in (heading, *_sentence_edits(text)) if e][:MAX_EDITS]
    return PublisherNotes(
        title=(plain(article.title) or topic.title)[:200],
        standfirst=clip(_standfirst(article), STANDFIRST_CHARS),
        edits=edits,
        not_applied=[
            f"{name}: {_left(line)}"
            for name, line in advice.items()
            if not any(edit.why.startswith(f"{name}:") for edit in edits)
        ],
    ).model_dump_json(indent=1)


def _advice(task: Task) -> dict[str, str]:
    """What it was advised, by the names the prompt gives each piece."""
    suggestions = task.data("seo_specialist").get("suggestions") or []
    fixes = [r.get("fix") for r in dicts(task.data("metrics_analyzer").get("recommendations"))]
    found = {f"SEO {n}": str(line) for n, line in enumerate(suggestions, 1)}
    return found | {f"Metrics {n}": str(line) for n, line in enumerate(fixes, 1)}


def _named(advice: Mapping[str, str], words: str) -> str:
    return next((name for name, line in advice.items() if words in line), "")


def _left(line: str) -> str:
    if line.startswith("Link to"):
        return "that is a change to other pages, not to this text."
    if line.startswith("Split"):
        return "the sentence carries a source; its author should split it."
    return "that is for a person to decide."


def _standfirst(article: Article) -> str:
    """What stands above the text; never its first paragraph again."""
    is_sourced = any(MARKER.search(p) for s in article.sections for p in s.paragraphs)
    if len(article.body) < 2:
        return "A short text, with its sources." if is_sourced else "A short text without sources."
    first, last = plain(article.body[0].heading), plain(article.body[-1].heading)
    if is_sourced:
        return f"From “{first}” to “{last}”: {_count(article)} short sections with their sources."
    return f"From “{first}” to “{last}”: an outline in {_count(article)} sections, without sources."


def _count(article: Article) -> str:
    names = ("two", "three", "four", "five", "six", "seven", "eight")
    count = len(article.body)
    return names[count - 2] if count - 2 < len(names) else str(count)


def _heading_edit(text: str, article: Article, topic: Topic, advice: str) -> Edit | None:
    """Name the subject in one heading when none does; `advice` is what asked for it, if anything."""
    if not topic.has_core or any(topic.core.lower() in s.heading.lower() for s in article.sections):
        return None
    for section in article.sections:
        find = f"## {section.heading}"
        if section.heading in _TAKES_SUBJECT and text.count(find) == 1:
            return Edit(
                find=find,
                replace=f"## {section.heading} {_TAKES_SUBJECT[section.heading]} {topic.core}",
                why=f"{advice}: one heading should name the subject."
                if advice
                else "One heading should name the subject.",
            )
    return None


_TAKES_SUBJECT = {
    "Before you begin": "with",
    "What to check before you start": "with",
    "Mistakes worth avoiding": "with",
    "Choices to make early": "about",
    "First, the basics": "of",
}


def _sentence_edits(text: str) -> list[Edit]:
    """Small changes of wording in sentences that stand in the article once."""
    edits = []
    for old, new, why in _WORDING:
        match = re.search(re.escape(old), text)
        sentence = _sentence_around(text, match.start() + 1) if match else ""
        if (
            sentence
            and text.count(sentence) == 1
            and old in sentence
            and not MARKER.search(sentence)
        ):
            edits.append(Edit(find=sentence, replace=sentence.replace(old, new, 1), why=why))
    return edits


def _sentence_around(text: str, position: int) -> str:
    start = text.rfind("\n\n", 0, position) + 2 if "\n\n" in text[:position] else 0
    end = text.find("\n\n", position)
    block = text[start : end if end >= 0 else len(text)]
    if block.startswith(("#", "*")):
        return ""
    offset = start
    for sentence in sentences(block):
        at = text.find(sentence, offset)
        if at <= position < at + len(sentence):
            return sentence
        offset = at + len(sentence)
    return ""
