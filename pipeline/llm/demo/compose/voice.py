"""The demo keeps to a brand voice by rule: no banned sentences, its spellings, its call to action."""

from __future__ import annotations

import re

from pipeline.llm.demo.compose.reading import Task, dicts, text_of

_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z“\"])|(?<=\])\s+(?=[A-Z“\"])")


def voiced(task: Task, text: str) -> str:
    """Markdown as the section `voice` wants it; unchanged without one."""
    if not task.text("voice"):
        return text
    blocks = [_block(task, block) for block in text.strip().split("\n\n")]
    action = text_of(task.data("voice").get("call_to_action"))
    if action and action not in text:
        blocks.append(action)
    return "\n\n".join(block for block in blocks if block.strip()) + "\n"


def spelt(task: Task, text: str) -> str:
    """One text in the voice's spelling."""
    for pair in dicts(task.data("voice").get("spelling")):
        use, other = text_of(pair.get("write")), text_of(pair.get("not"))
        if use and other:
            text = re.sub(rf"(?<!\w){re.escape(other)}(?!\w)", use.replace("\\", r"\\"), text)
    return text


def is_allowed(task: Task, text: str) -> bool:
    """True when no word stands in it that the voice never uses."""
    words = task.data("voice").get("never_use")
    banned = [text_of(word) for word in words] if isinstance(words, list) else []
    return not any(
        re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE)
        for word in banned
        if word
    )


def _block(task: Task, block: str) -> str:
    """Headings stay, whatever they say: a text without its headings is worse."""
    if block.startswith("#"):
        return spelt(task, block)
    kept = [sentence for sentence in _SENTENCE.split(block) if is_allowed(task, sentence)]
    return spelt(task, " ".join(kept))
