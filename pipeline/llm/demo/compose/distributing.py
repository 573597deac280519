"""Summary and social posts: sentences of the article, cut to the lengths asked for."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.agents.outputs import Platform, Post, SocialPosts, Summary, Variant
from pipeline.llm.demo.compose.prose import (
    Article,
    cited_sentences,
    clip,
    plain,
    read_article,
    sentences,
    stands_alone,
    whole_sentences,
    word_count,
)
from pipeline.llm.demo.compose.reading import Task
from pipeline.llm.demo.compose.topic import Topic
from pipeline.llm.demo.compose.voice import is_allowed, spelt

TLDR_CHARS = 280
ABSTRACT_WORDS = (80, 120)
ABSTRACT_CHARS = 1_200
POINT_CHARS = 300
POINT_WORDS = range(9, 36)
LINK = "{link}"
LINK_WEIGHT = 23
DEFAULT_LIMITS: dict[Platform, int] = {
    "x": 280,
    "linkedin": 3_000,
    "bluesky": 300,
    "mastodon": 500,
    "threads": 500,
    "facebook": 3_000,
    "instagram": 2_200,
}
SHARE_USED = 0.9  # of a platform's limit
LONG_CHARS: dict[Platform, int] = {"linkedin": 900, "facebook": 400, "instagram": 400}
TAGS: dict[Platform, int] = {"linkedin": 3, "instagram": 3, "threads": 1}  # 2 elsewhere

_ABOUT_SOURCED = (
    "The text begins with the ideas that everything else builds on.",
    "It goes on to what is worth checking early and to the work itself.",
    "Common mistakes get a section of their own.",
    "Claims carry a mark that leads to their source.",
    "At the end stand small next steps that fit an ordinary week.",
    "Readers can take the sections in any order.",
    "The length allows reading it in one sitting.",
)
_ABOUT_UNSOURCED = (
    "No source was found, so the text is an outline and states no facts.",
    "Each section names its aim and the questions it would have to answer.",
    "The questions begin with the basics and end with what matters in the long run.",
    "Whoever fills the outline should look for sources that are independent of each other.",
    "Each claim needs a note on where it stands.",
    "Gaps are better named than filled with guesses.",
    "The outline can be taken up in any order, beginning with the question that matters most.",
)


def summary(task: Task) -> str:
    article, topic = read_article(task.text("editor")), task.brief.topic
    facts = cited_sentences(article)
    about = _ABOUT_SOURCED if facts else _ABOUT_UNSOURCED
    points = _key_facts(article)
    lead = _lead(article, topic)
    return Summary(
        tldr=whole_sentences(" ".join(points[:2]) if facts else lead, TLDR_CHARS),
        abstract=_abstract(lead, facts, about),
        key_points=[clip(p, POINT_CHARS) for p in [*points, *about][: max(3, min(5, len(points)))]],
    ).model_dump_json(indent=1)


def _lead(article: Article, topic: Topic) -> str:
    return plain(article.lead[0]) if article.lead else f"A short text about {topic.about}."


def _key_facts(article: Article) -> list[str]:
    """One sentence of each section that rests on a source and can be read alone."""
    found = []
    for section in article.body:
        facts = cited_sentences(Article(article.title, (), (section,)))
        alone = [s for s in facts if stands_alone(s) and word_count(s) in POINT_WORDS]
        found += (alone or facts)[:1]
    return list(dict.fromkeys(found))


def _abstract(lead: str, facts: Sequence[str], about: Sequence[str]) -> str:
    """80 to 120 words in whole sentences: lead, facts from all over the text, words about it."""
    low, high = ABSTRACT_WORDS
    alone = [s for s in facts if stands_alone(s) and word_count(s) in POINT_WORDS]
    taken: list[str] = []
    for sentence in [*sentences(lead)[:1], *alone[:: max(1, len(alone) // 4)], *about]:
        if word_count(" ".join(taken)) >= low:
            break
        if sentence not in taken and word_count(" ".join([*taken, sentence])) <= high:
            taken.append(sentence)
    return clip(" ".join(taken), ABSTRACT_CHARS)


def posts(task: Task) -> str:
    article = read_article(task.text("editor"))
    limits = _limits(task)
    written = [
        _post(task, platform, variant, limit, article)
        for platform, limit in limits.items()
        for variant in VARIANTS
    ]
    return SocialPosts(posts=written).model_dump_json(indent=1)


def _limits(task: Task) -> dict[Platform, int]:
    given = task.data("limits")
    found = dict(DEFAULT_LIMITS)
    for platform in found:
        entry = given.get(platform)
        limit = entry.get("limit") if isinstance(entry, dict) else None
        if isinstance(limit, int) and limit > 60:
            found[platform] = min(limit, DEFAULT_LIMITS[platform])
    return found


def _post(task: Task, platform: Platform, variant: Variant, limit: int, article: Article) -> Post:
    topic = task.brief.topic
    found = _key_facts(article) or [_lead(article, topic)]
    facts = [spelt(task, fact) for fact in found if is_allowed(task, fact)] or [_NO_FACT]
    title = plain(article.title) or topic.title
    tags = hashtags(topic)[: TAGS.get(platform, 2)]
    room = int(limit * SHARE_USED) - LINK_WEIGHT - 2 - sum(weight(tag) + 2 for tag in tags)
    room = min(room, LONG_CHARS.get(platform, room))
    sourced = bool(cited_sentences(article))
    invitation = _invitation(platform, sourced=sourced)
    if platform == "linkedin" and variant == "a":
        text = spelt(task, _list_post(title, facts, invitation, room))
    else:
        first = (list(DEFAULT_LIMITS).index(platform) + VARIANTS.index(variant)) % len(facts)
        count = 2 if platform in LONG_CHARS else 1
        chosen = [facts[(first + n) % len(facts)] for n in range(min(count, len(facts)))]
        question = _QUESTIONS[sourced] if is_allowed(task, _QUESTIONS[sourced]) else _NO_QUESTION
        hook = _heading(title) if variant == "a" else question
        text = _short_post(hook, chosen, invitation, room)
    link = "" if platform == "instagram" else f" {LINK}"
    return Post(platform=platform, variant=variant, text=text + link, hashtags=tags)


_NO_QUESTION = "A new article:"
_NO_FACT = "The article has the facts."
VARIANTS: tuple[Variant, Variant] = ("a", "b")
_QUESTIONS = {
    True: "What is worth knowing first?",
    False: "Which questions would an article have to answer?",
}
_UNSOURCED_INVITATION = "An outline, still without sources:"
_INVITATIONS: dict[Platform, str] = {
    "linkedin": "The article puts this in context and names its sources:",
    "x": "More, with sources:",
    "bluesky": "The rest, with sources:",
    "mastodon": "The whole text names its sources and ends with small next steps:",
    "threads": "The article says where this comes from:",
    "facebook": "The whole text, with its sources and small next steps:",
}
_PROFILE_INVITATIONS = {
    True: "The whole text, with its sources: link in the profile.",
    False: "An outline, still without sources: link in the profile.",
}


def _invitation(platform: Platform, *, sourced: bool) -> str:
    if platform == "instagram":
        return _PROFILE_INVITATIONS[sourced]
    return _INVITATIONS[platform] if sourced else _UNSOURCED_INVITATION


def _heading(title: str) -> str:
    return f"{title}{'' if title.endswith('?') else '.'}"


def _short_post(hook: str, facts: Sequence[str], invitation: str, room: int) -> str:
    """Hook, then the facts and the invitation there is room for, on one line."""
    parts = [fit(hook, room)]
    for part in (*facts, invitation):
        if weight(" ".join([*parts, part])) <= room:
            parts.append(part)
    return " ".join(parts)


def _list_post(title: str, facts: list[str], invitation: str, room: int) -> str:
    lines = [title, "", "Three things worth knowing:", *(f"• {fact}" for fact in facts[:3])]
    if len(facts) < 3:
        lines = [title, "", *facts]
    return fit("\n".join([*lines, "", invitation]), room)


def hashtags(topic: Topic) -> list[str]:
    """Up to three tags without the sign, from the topic's own words."""
    core = "".join(w.capitalize() for w in topic.core.split()) if topic.has_core else ""
    words = [core, *(w.capitalize() for w in topic.keywords)]
    tags = ["".join(c for c in word if c.isalnum() and c.isascii()) for word in words]
    return [t for t in dict.fromkeys(tags) if 2 < len(t) <= 30 and not t.isdigit()][:3]


def weight(text: str) -> int:
    """Never less than any platform counts: every character beyond ASCII counts as four."""
    return sum(1 if c.isascii() else 4 for c in text)


def fit(text: str, room: int) -> str:
    """`text` cut to `room` by `weight`."""
    while weight(text) > room:
        text = text[: max(1, len(text) - max(1, (weight(text) - room) // 4) - 1)].rstrip() + "…"
        if len(text) <= 2:
            break
    return text
