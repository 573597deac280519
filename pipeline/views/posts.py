"""The posts of a run as a page shows them: one card a network, one face a variant. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.content.social import LINK_SLOT, platforms


@dataclass(frozen=True, slots=True)
class Bubble:
    """One post as it would stand on the network: its text and how long that is."""

    text: str
    used: int
    limit: int
    ok: bool

    @property
    def length(self) -> str:
        return f"{self.used:,} of {self.limit:,}" + ("" if self.ok else ", too long")

    @property
    def share(self) -> float:
        """How much of the limit is used, at most 1."""
        return min(1.0, self.used / self.limit)

    @property
    def has_link(self) -> bool:
        return LINK_SLOT in self.text


@dataclass(frozen=True, slots=True)
class Face:
    """One way to post on a network: variant A or B, whole or as a series of numbered posts."""

    name: str  # as on the switch: `A`, `B`, `A in 3 posts`
    bubbles: tuple[Bubble, ...]
    flags: tuple[str, ...] = ()  # in two words, for badges
    notes: tuple[str, ...] = ()  # one sentence each


@dataclass(frozen=True, slots=True)
class PostCard:
    platform: str
    title: str
    rule: str  # what the network takes, in a sentence
    clickable: bool
    faces: tuple[Face, ...]  # at least one


def post_cards(
    posts: Sequence[Mapping[str, Any]], series: Sequence[Mapping[str, Any]]
) -> list[PostCard]:
    """One card for each network that has a post, in the order of the limits' table."""
    cards = []
    for rule in platforms().values():
        own = [post for post in posts if post["platform"] == rule.name]
        longer = [one for one in series if one["platform"] == rule.name]
        faces = (*_named(own), *map(_series_face, longer))
        if own:
            cards.append(PostCard(rule.name, rule.title, rule.note, rule.clickable, faces))
    return cards


def _named(posts: Sequence[Mapping[str, Any]]) -> list[Face]:
    """A third post of a network, which an edit may bring, is told apart by a number."""
    seen: dict[str, int] = {}
    faces = []
    for post in posts:
        name = str(post["variant"]).upper()
        seen[name] = seen.get(name, 0) + 1
        faces.append(_post_face(post, name if seen[name] == 1 else f"{name} {seen[name]}"))
    return faces


def _post_face(post: Mapping[str, Any], name: str) -> Face:
    flags = []
    if post["cut"]:
        flags.append("Cut to fit")
    if post["hashtags_left_out"]:
        flags.append("Fewer hashtags")
    return Face(name, (_bubble(post),), tuple(flags), tuple(post["notes"]))


def _series_face(series: Mapping[str, Any]) -> Face:
    posts, made_from = series["posts"], str(series["made_from"])
    name = f"{str(series['variant']).upper()} in {len(posts)} posts"
    source = platforms()[made_from].title
    note = f"Split by code from the {source} post, at the ends of sentences where they fit."
    if made_from == series["platform"]:
        note = "The whole text, split by code at the ends of sentences where they fit."
    return Face(name, tuple(map(_bubble, posts)), (), (note,))


def _bubble(post: Mapping[str, Any]) -> Bubble:
    count = post["count"]
    return Bubble(post["text"], count["used"], count["limit"], count["ok"])
