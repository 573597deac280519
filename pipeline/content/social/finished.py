"""Make of the social promoter's reply the posts a person copies. Pure.

Whatever code had to change is said in a post's `notes`, one sentence each.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipeline.content.citations import drop_markers
from pipeline.content.inert import clean_text
from pipeline.content.social.count import counted, hashtags_in, links_in
from pipeline.content.social.fit import fit_post
from pipeline.content.social.rules import Platform, platforms
from pipeline.content.social.series import split_series

VARIANTS = ("a", "b")
_ANY_NUMBER = 1_000


def finished_posts(data: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """The posts as they would go out, each with its count, as JSON values.

    `text` is whole, hashtags included; `cut`: words were left out to fit; `hashtags_left_out`: those
    there was no room for, or of which the network takes fewer. Posts stored before there were variants
    get theirs by their order.
    """
    posts = list((data or {}).get("posts", []))
    return [_finished(post, variant) for post, variant in zip(posts, _variants(posts), strict=True)]


def finished_series(data: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """For networks that have series: a longer text than one post holds, as numbered posts.

    It is the network's own post where that is too long for one, else the longest post of the same
    variant, `made_from` says whose. No series where even that fits into one post.
    """
    named = named_posts(data)
    found = []
    for post, variant in named:
        rule = platforms()[str(post["platform"])]
        if rule.series:
            family = [other for other, of in named if of == variant and _clickable(other)]
            found += _series(rule, variant, post, family)
    return found


def _series(
    rule: Platform, variant: str, post: Mapping[str, Any], family: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    own = not counted(rule.name, post_words(post)).ok
    source = post if own else max(family, key=lambda other: len(post_words(other)))
    words = post_words(source)
    tags = _new_tags(words, [str(tag) for tag in post.get("hashtags") or []])
    texts = split_series(rule.name, with_hashtags(words, tags[: _most_tags(rule, words)]))
    if len(texts) < 2:
        return []
    numbered = [{"text": text, "count": counted(rule.name, text).to_dict()} for text in texts]
    made_from = str(source["platform"])
    return [{"platform": rule.name, "variant": variant, "made_from": made_from, "posts": numbered}]


def _clickable(post: Mapping[str, Any]) -> bool:
    """Elsewhere a post says where its link is to be found, which holds for that network alone."""
    return platforms()[str(post["platform"])].clickable


def with_hashtags(text: str, hashtags: Sequence[str]) -> str:
    """The post as it goes out: hashtags it does not contain yet come last."""
    tags = _new_tags(text, hashtags)
    return "\n\n".join(part for part in (text.rstrip(), " ".join(tags)) if part)


def post_words(post: Mapping[str, Any]) -> str:
    """What a post says, before its hashtags: no control characters, no citations."""
    return drop_markers(clean_text(str(post["text"]))).strip()


def named_posts(data: Mapping[str, Any] | None) -> list[tuple[Mapping[str, Any], str]]:
    """The posts of a reply, each with its variant."""
    posts = list((data or {}).get("posts", []))
    return list(zip(posts, _variants(posts), strict=True))


def _variants(posts: Sequence[Mapping[str, Any]]) -> Iterable[str]:
    seen: dict[str, int] = {}
    for post in posts:
        platform = str(post["platform"])
        number = seen.get(platform, 0)
        seen[platform] = number + 1
        yield str(post.get("variant") or VARIANTS[min(number, len(VARIANTS) - 1)])


def _finished(post: Mapping[str, Any], variant: str) -> dict[str, Any]:
    rule = platforms()[str(post["platform"])]
    words, hashtags = post_words(post), [str(tag) for tag in post.get("hashtags") or []]
    tags = _new_tags(words, hashtags)
    text, kept, cut = _assembled(rule, words, tags)
    left_out = tags[kept:]
    return {
        "platform": rule.name,
        "variant": variant,
        "text": text,
        "hashtags": hashtags,
        "count": counted(rule.name, text).to_dict(),
        "cut": cut,
        "hashtags_left_out": left_out,
        "notes": list(_notes(rule, words, text, left_out, cut=cut)),
    }


def _assembled(rule: Platform, words: str, tags: Sequence[str]) -> tuple[str, int, bool]:
    """The text that goes out, how many of `tags` it has, and whether words were cut.

    Hashtags go before words do.
    """
    for kept in range(min(len(tags), _most_tags(rule, words)), -1, -1):
        text = with_hashtags(words, tags[:kept])
        if counted(rule.name, text).ok:
            return text, kept, False
    text, cut = fit_post(rule.name, words)
    return text, 0, cut


def _most_tags(rule: Platform, words: str) -> int:
    """How many hashtags may join those that stand in `words`."""
    if rule.max_hashtags is None:
        return _ANY_NUMBER
    return max(0, rule.max_hashtags - len(hashtags_in(words)))


def _notes(
    rule: Platform, words: str, text: str, left_out: Sequence[str], *, cut: bool
) -> Iterable[str]:
    count = counted(rule.name, words)
    if cut:
        yield f"Cut to fit: it had {count.used:,}, {rule.title} takes {count.limit:,}."
    elif not counted(rule.name, text).ok:
        yield f"It does not fit: {rule.title} takes {count.limit:,}."
    if left_out:
        yield f"Hashtags left out: {', '.join(left_out)}. {_why_fewer(rule)}"
    inside, links = len(hashtags_in(text)), len(links_in(text))
    if rule.max_hashtags is not None and inside > rule.max_hashtags:
        yield f"It has {inside} hashtags; {rule.title} takes {rule.max_hashtags}."
    if rule.max_links is not None and links > rule.max_links:
        yield f"It has {links} links; {rule.title} takes {rule.max_links}."
    if links and not rule.clickable:
        yield f"{rule.title} does not make links clickable."


def _why_fewer(rule: Platform) -> str:
    if rule.max_hashtags is not None:
        return f"{rule.title} takes {rule.max_hashtags} in a post."
    return "There was no room."


def _new_tags(text: str, hashtags: Sequence[str]) -> list[str]:
    tags = [f"#{tag.lstrip('#').replace(' ', '')}" for tag in hashtags if tag.strip("# ")]
    present = text.lower().split()
    return [tag for tag in dict.fromkeys(tags) if tag.lower() not in present]
