"""The writer: an article whose facts are sentences of the evidence, each under its marker.

Connecting sentences come from `aspects.py` and state nothing about the topic. Without evidence
it writes an outline that says it is one.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from pipeline.llm.demo.compose.aspects import ASPECTS, Aspect, aspect_of
from pipeline.llm.demo.compose.prose import sentences, word_count
from pipeline.llm.demo.compose.reading import MAX_WORDS, Brief, Passage, Task, dicts, text_of
from pipeline.llm.demo.compose.topic import Topic, lower_first, tidy
from pipeline.models import DEMO_LABEL

FRAME_WORDS = 150  # title, opening, closing, notes
OPENER_WORDS = 14
MIN_SENTENCES = 2  # of a passage that is shortened

_STANDFIRSTS = (
    "A closer look at {about}: what to understand first, what to do about it, and which "
    "mistakes can be left to others.",
    "A practical look at {about}, from the first questions to the habits that make the result last.",
    "Here is a practical guide to {about}. It starts with the basics, moves on to the work itself and "
    "ends with what is easily overlooked.",
)
_BRIDGES = (
    "“{title}” adds a useful point.",
    "The sample article “{title}” takes this further.",
    "More on this stands in “{title}”.",
    "“{title}” looks at the same matter from another side.",
)
_UNSOURCED_LEAD = (
    "No source was found for this topic, so this is an unsourced outline: the plan of an article "
    "about {about}, not the article itself. It states no facts; it lists what such "
    "an article would have to find out."
)
_UNSOURCED_CLOSING = (
    "Look for at least two sources that are independent of each other, note for each claim where it "
    "stands, and begin with the questions above that matter most to you. What cannot be "
    "found should be named as a gap rather than filled with a guess."
)
_NEXT_STEPS = (
    "Take one section of this article, “{first}”, and hold it against your own situation. Note what "
    "you do not know yet, and in order to keep things simple, find out that one thing first. Then "
    "take a small step, watch what happens, and come back to “{last}” when the first results are in.",
    "The best next step is a small one. Go through “{first}” with your own case in mind and write down "
    "a number of questions that are still open. Ask somebody who has done it before, begin with what can be "
    "undone, and keep “{last}” at hand for later.",
)


@dataclass(slots=True)
class Part:
    """One section being written."""

    heading: str
    aspect: Aspect | None
    about: frozenset[str]  # stems of what the section is to answer
    budget: int
    questions: tuple[str, ...]
    passages: list[Passage] = field(default_factory=list)

    @property
    def room(self) -> int:
        return self.budget - OPENER_WORDS - sum(word_count(p.text) for p in self.passages)


def article(task: Task) -> str:
    rng, brief = task.rng(), task.brief
    title, parts = _outline(task)
    passages = [] if brief.unsourced else _cited_passages(task)
    if passages:
        blocks = _sourced(title, parts, passages, brief, rng)
    else:
        blocks = _unsourced(title, parts, brief.topic)
    return "\n\n".join([*blocks, *_notes(brief, bool(passages))]) + "\n"


def section(task: Task) -> str:
    """One section, from the evidence set aside for it; the first opens the article, the last closes it."""
    rng, brief, own = task.rng(), task.brief, task.data("section")
    part = _own_part(task, own)
    passages = [] if brief.unsourced else _cited_passages(task)
    blocks = [f"## {part.heading}"]
    if own.get("first") is True:
        opening = task.rng("opening").choice(_STANDFIRSTS).format(about=brief.topic.about)
        lead = _UNSOURCED_LEAD.format(about=brief.topic.about) if brief.unsourced else opening
        blocks.insert(0, lead if brief.unsourced else f"{lead}{_audience(brief)}")
    if passages:
        for passage in sorted(passages, key=lambda p: -fit(part, p)):
            if not part.passages or part.room >= OPENER_WORDS * 2:
                part.passages.append(passage)
        blocks += _paragraphs(part, rng.sample(_BRIDGES, len(_BRIDGES)), rng)
    else:
        blocks += _open_section(part, brief.topic)
    if own.get("last") is True:
        blocks += _section_ending(task, part, brief)
    return "\n\n".join(blocks) + "\n"


def _own_part(task: Task, own: dict[str, object]) -> Part:
    """The section asked for; one of our own when none is."""
    outline = dicts(own.get("outline"))
    first = outline[0] if outline else {}
    questions = tuple(
        text_of(q) for s in outline for q in s.get("key_questions") or () if text_of(q)
    )
    words = own.get("words")
    budget = words if isinstance(words, int) and 40 <= words <= MAX_WORDS else 120
    heading = text_of(own.get("heading"), 200) or task.brief.topic.title
    return _part(heading, text_of(first.get("goal")), questions, budget)


def _section_ending(task: Task, part: Part, brief: Brief) -> list[str]:
    """What to do next, and the demo's own notes."""
    sections = dicts(task.data("topic_planner").get("outline"))
    first = tidy(text_of(sections[0].get("heading"), 200)) if sections else ""
    step = task.rng("closing").choice(_NEXT_STEPS)
    closing = (
        _UNSOURCED_CLOSING
        if brief.unsourced
        else step.format(first=first or part.heading, last=part.heading)
    )
    return [closing, *_notes(brief, not brief.unsourced)]


def _outline(task: Task) -> tuple[str, list[Part]]:
    """The plan's title and sections; a plain outline of our own when there is no plan."""
    brief, planned = task.brief, task.data("topic_planner")
    sections = [s for s in dicts(planned.get("outline")) if text_of(s.get("heading"))]
    budget = max(40, (brief.words - FRAME_WORDS) // max(1, len(sections) or len(ASPECTS)))
    parts = [
        _part(
            text_of(section.get("heading"), 200),
            text_of(section.get("goal")),
            tuple(text_of(q) for q in section.get("key_questions") or () if text_of(q)),
            budget,
        )
        for section in sections[:10]
    ] or [_part(a.headings[-1], a.goal, a.questions, budget) for a in ASPECTS]
    return tidy(text_of(planned.get("title"), 200)) or brief.topic.title, parts


def _part(heading: str, goal: str, questions: tuple[str, ...], budget: int) -> Part:
    about = stems(" ".join((heading, goal, *questions)))
    return Part(tidy(heading) or "More", aspect_of(goal), about, budget, questions)


def _cited_passages(task: Task) -> list[Passage]:
    """Passages the findings name, the two researchers' in turn; all evidence when none does."""
    known = {passage.id: passage for passage in task.passages}
    by_agent = [
        [
            known[identity]
            for finding in dicts(task.data(agent).get("findings"))
            if isinstance(identity := finding.get("source_id"), str) and identity in known
        ]
        for agent in ("web_researcher", "kb_researcher")
    ]
    named = [p for pair in zip_longest_flat(*by_agent) for p in pair]
    return list(dict.fromkeys(named)) or list(known.values())


def zip_longest_flat(*groups: Sequence[Passage]) -> list[list[Passage]]:
    """The first of each group, then the second of each, for as long as any lasts."""
    longest = max(map(len, groups), default=0)
    return [[g[i] for g in groups if i < len(g)] for i in range(longest)]


def _sourced(
    title: str, parts: list[Part], passages: list[Passage], brief: Brief, rng: random.Random
) -> list[str]:
    share_out(parts, passages)
    used = [part for part in parts if part.passages]
    opening = rng.choice(_STANDFIRSTS).format(about=brief.topic.about)
    closing = rng.choice(_NEXT_STEPS).format(first=used[0].heading, last=used[-1].heading)
    bridges = rng.sample(_BRIDGES, len(_BRIDGES))
    blocks = [f"# {title}", f"{opening}{_audience(brief)}"]
    for part in used:
        blocks += [f"## {part.heading}", *_paragraphs(part, bridges, rng)]
    return [*blocks, "## Next steps", closing]


def share_out(parts: Sequence[Part], passages: Sequence[Passage]) -> None:
    """Give each passage to the section it fits best, as long as there is room.

    A passage that fits nowhere is left out; no section stays empty while another has two.
    """
    pairs = sorted(
        (
            (fit(part, p), -rank, -index)
            for rank, p in enumerate(passages)
            for index, part in enumerate(parts)
        ),
        reverse=True,
    )
    placed: set[int] = set()
    for only_empty in (True, False):
        for _, rank, index in pairs:
            part = parts[-index]
            fits = not part.passages if only_empty else part.room >= OPENER_WORDS * 2
            if -rank not in placed and fits:
                placed.add(-rank)
                part.passages.append(passages[-rank])
    for part in parts:
        part.passages.sort(key=lambda p: -fit(part, p))


def fit(part: Part, passage: Passage) -> int:
    """How well a passage answers a section: shared word stems, those of its title twice."""
    return len(part.about & stems(passage.text)) + 2 * len(part.about & stems(passage.title))


def _paragraphs(part: Part, bridges: list[str], rng: random.Random) -> list[str]:
    """The section's text: an opener, each passage as a paragraph, a closer when there is room."""
    opener = [rng.choice(part.aspect.openers)] if part.aspect else []
    paragraphs: list[str] = []
    left = part.budget - OPENER_WORDS
    for position, passage in enumerate(part.passages):
        lead = opener if position == 0 else []
        if (
            position
            and bridges
            and passage.title
            and passage.title != part.passages[position - 1].title
        ):
            lead = [bridges.pop().format(title=tidy(passage.title))]
        body = _quoted(passage, left)
        left -= word_count(body)
        paragraphs.append(" ".join([*lead, body]))
    if left >= OPENER_WORDS and part.aspect:
        paragraphs[-1] += " " + rng.choice(part.aspect.closers)
        left -= OPENER_WORDS
    if left >= 3 * OPENER_WORDS and part.questions:
        paragraphs.append("Worth asking in your own case: " + " ".join(part.questions[:2]))
    return paragraphs


def _quoted(passage: Passage, left: int) -> str:
    """The passage's sentences, as many as fit, marked at the first, the last and every figure."""
    taken = sentences(passage.text)
    while len(taken) > MIN_SENTENCES and word_count(" ".join(taken)) > left * 1.15:
        taken.pop()
    last = len(taken) - 1
    return " ".join(
        marked(s, passage.id) if n in (0, last) or re.search(r"\d", s) else s
        for n, s in enumerate(taken)
    )


def marked(sentence: str, identity: str) -> str:
    """The sentence with its source's marker before the full stop."""
    text = sentence.rstrip()
    stop = text[-1] if text[-1:] in (".", "!", "?") else ""
    return f"{text.removesuffix(stop)} [{identity}]{stop or '.'}"


def _unsourced(title: str, parts: list[Part], topic: Topic) -> list[str]:
    blocks = [f"# {title}", _UNSOURCED_LEAD.format(about=topic.about)]
    for part in parts:
        blocks += [f"## {part.heading}", *_open_section(part, topic)]
    return [*blocks, "## Next steps", _UNSOURCED_CLOSING]


def _open_section(part: Part, topic: Topic) -> list[str]:
    """A section nothing was found for: its aim and its questions."""
    questions = part.questions or (f"What should a reader know about {topic.about}?",)
    goal = part.aspect.goal if part.aspect else ""
    return [
        f"The aim of this section: {lower_first(goal)}" if goal else "This section is still open.",
        "Questions it would have to answer:",
        "\n".join(f"- {tidy(question)}" for question in questions),
    ]


def _audience(brief: Brief) -> str:
    audience = tidy(brief.audience)
    if not audience.isascii() or not 1 <= word_count(audience) <= 8 or not audience[0].isalpha():
        return ""
    return f" It is written for {lower_first(audience)}."


def _notes(brief: Brief, is_sourced: bool) -> list[str]:
    notes = []
    made_of = "the passages it cites and fixed templates" if is_sourced else "fixed templates"
    if not brief.is_english:
        asked = tidy(brief.language) or "another language"
        notes.append(f"*The offline demo writes English only; the brief asked for {asked}.*")
    return [
        *notes,
        f"*{DEMO_LABEL}: put together from {made_of}.*",
    ]


def stems(text: str) -> frozenset[str]:
    """Rough word stems, enough to tell which section a passage fits."""
    return frozenset(w[:6].lower() for w in re.findall(r"[^\W\d_]{4,}", text)) - _COMMON


_COMMON_TEXT = """
that this with from what which when does have should first their there them they than then into
more most also only other these those will would could being been were
"""
_COMMON = frozenset(_COMMON_TEXT.split())
