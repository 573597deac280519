"""The sides from which every topic is taken: what planner and writer agree on.

Sentences here carry no facts about a topic. `{core}` is a noun phrase of unknown number, so it
only ever stands as an object.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from pipeline.llm.demo.compose.topic import Topic


@dataclass(frozen=True, slots=True)
class Aspect:
    headings: tuple[str, ...]
    goal: str
    questions: tuple[str, ...]
    search: str  # added to the topic's keywords
    reason: str  # why one searches for that
    openers: tuple[str, ...]
    closers: tuple[str, ...]


BASICS = Aspect(
    headings=("The basics of {core}", "{core_title}: the basics", "First, the basics"),
    goal="Explain plainly how it works, what it needs and what makes the difference.",
    questions=(
        "What does a newcomer need to understand first?",
        "Which few ideas explain how the rest works?",
    ),
    search="basics how it works",
    reason="the ideas the rest builds on",
    openers=(
        "It is worth noting that a few plain ideas carry most of what follows.",
        "In order to judge the details later, it helps to have the main ideas in place.",
        "A clear picture of the basics makes every later choice easier.",
    ),
    closers=(
        "With that picture in mind, the practical questions become easier to put.",
        "That is enough theory to make a start.",
        "Everything further on builds on these few points.",
    ),
)
PREPARE = Aspect(
    headings=("What to check before you start", "Before you begin", "Choices to make early"),
    goal="Show what to check, measure, choose or ask before the first step.",
    questions=(
        "What should be checked, measured or chosen before the start?",
        "Whom should one ask, and which choice comes first?",
    ),
    search="check before you start choose",
    reason="what has to be settled early",
    openers=(
        "There are a number of questions that are best settled before any money or time is spent.",
        "A little preparation is the cheapest part of the whole undertaking.",
        "Before anything is bought or changed, it pays to take stock.",
    ),
    closers=(
        "A short list on paper is all it takes at this stage.",
        "Whatever stays unclear at this point is a good question to ask somebody with experience.",
        "Answers to these points can be written down in one evening.",
    ),
)
PRACTICE = Aspect(
    headings=("How it works in practice", "From plan to practice", "The work itself, step by step"),
    goal="Walk through the work step by step: what to do, with what, and how often.",
    questions=(
        "What does the work look like, step by step and week by week?",
        "What makes each step easier or quicker?",
    ),
    search="in practice step by step routine",
    reason="what the work looks like",
    openers=(
        "With the groundwork done, attention can turn to the work itself.",
        "In order to see what this means from day to day, it helps to follow the steps.",
        "This is the part where plans meet ordinary days.",
    ),
    closers=(
        "None of this has to be perfect on the first attempt.",
        "Small steps, repeated, are easier to keep up than one great effort.",
        "It is fine to begin with one of these steps and to add the others later.",
    ),
)
PITFALLS = Aspect(
    headings=(
        "Mistakes worth avoiding",
        "Where it tends to go wrong",
        "Common problems, and what helps",
    ),
    goal="Name the usual mistakes, problems and risks, and what helps to avoid them.",
    questions=(
        "Which mistakes and problems are common, and how can they be avoided?",
        "Which signs of trouble can be seen early?",
    ),
    search="common mistakes problems avoid",
    reason="what tends to go wrong",
    openers=(
        "It is worth noting that most disappointments can be seen coming.",
        "Knowing the weak points in advance takes much of the worry out of them.",
        "There are a number of ways in which good intentions come undone.",
    ),
    closers=(
        "Spotting one of these early is half of the remedy.",
        "A mistake noticed in time is mostly a lesson.",
        "None of these points is a reason to give up; each is a reason to look twice.",
    ),
)
UPKEEP = Aspect(
    headings=("Keeping it going", "Making it last", "What matters in the long run"),
    goal="Say what keeps it going over months, seasons and years: upkeep, habits, review.",
    questions=(
        "What keeps it going over the seasons and years?",
        "What should be looked after, checked or reviewed regularly?",
    ),
    search="maintenance every year long term habit",
    reason="what is needed to keep it up",
    openers=(
        "A good start deserves a routine that protects it.",
        "In order to stay useful, the result needs a little attention now and then.",
        "What has been set up with care is worth keeping up.",
    ),
    closers=(
        "A fixed day in the calendar is often the simplest reminder.",
        "A short look back from time to time shows what to change.",
        "The effort becomes smaller as the habit grows.",
    ),
)

ASPECTS = (BASICS, PREPARE, PRACTICE, PITFALLS, UPKEEP)


def heading(aspect: Aspect, topic: Topic, rng: random.Random) -> str:
    """One of the aspect's headings; those that name the topic only when it has a short name."""
    named = [h for h in aspect.headings if topic.has_core or "{" not in h]
    return fill(rng.choice(named), topic)


def fill(template: str, topic: Topic) -> str:
    return template.format(core=topic.core, core_title=topic.core_title, about=topic.about)


def aspect_of(goal: str) -> Aspect | None:
    """The aspect a section of a plan was made from, by its goal."""
    return next((aspect for aspect in ASPECTS if aspect.goal == goal), None)
