"""The publisher: a headline and a few edits that code can apply, each `find` exactly once."""

from __future__ import annotations

import re

from pipeline.agents.outputs import Edit, PublisherNotes
from pipeline.llm.demo.compose.prose import (
    MARKER,
    Article,
    plain,
    read_article,
    sentences,
    whole_sentences,
)
from pipeline.llm.demo.compose.reading import Task
from pipeline.llm.demo.compose.topic import Topic

MAX_EDITS = 3
STANDFIRST_CHARS = 280

_SMALLER = (
    (" it is fine to ", " you may "),
    ("It is fine to ", "You may "),
    (" is all it takes", " is enough"),
    ("The best next step is a small one.", "A small next step is the best one."),
    (" asked somebody", " asked someone"),
    ("Take one section of this article, ", "Take one section, "),
    ("Worth asking in your own case: ", "Ask in your own case: "),
    (" somebody ", " someone "),
    ("Here is a practical guide to ", "A practical guide to "),
    (" takes this further.", " goes further."),
    (" adds a useful point.", " adds to this."),
    ("None of this has to be perfect", "Nothing here has to be perfect"),
    (" rather than ", " instead of "),
    (" becomes easier", " gets easier"),
)


def notes(task: Task) -> str:
    text = task.text("editor")
    article, topic = read_article(text), task.brief.topic
    edits = [e for e in (_heading_edit(text, article, topic), *_sentence_edits(text)) if e]
    lead = plain(article.lead[0]) if article.lead else f"About {topic.about}."
    return PublisherNotes(
        title=(plain(article.title) or topic.title)[:200],
        standfirst=whole_sentences(lead, STANDFIRST_CHARS),
        edits=edits[:MAX_EDITS],
        not_applied=["Advice on links from other pages: that is not a change to the text."]
        if task.text("seo_specialist")
        else [],
    ).model_dump_json(indent=1)


def _heading_edit(text: str, article: Article, topic: Topic) -> Edit | None:
    """Name the subject in one heading when none does."""
    if topic.core == "this topic" or any(
        topic.core.lower() in s.heading.lower() for s in article.sections
    ):
        return None
    for section in article.sections:
        find = f"## {section.heading}"
        if section.heading in _TAKES_SUBJECT and text.count(find) == 1:
            return Edit(
                find=find,
                replace=f"## {section.heading} {_TAKES_SUBJECT[section.heading]} {topic.core}",
                why="One heading should name the subject.",
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
    for old, new in _SMALLER:
        match = re.search(re.escape(old), text)
        sentence = _sentence_around(text, match.start() + 1) if match else ""
        if (
            sentence
            and text.count(sentence) == 1
            and old in sentence
            and not MARKER.search(sentence)
        ):
            edits.append(
                Edit(
                    find=sentence, replace=sentence.replace(old, new, 1), why="Plainer and shorter."
                )
            )
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
