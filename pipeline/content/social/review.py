"""Say to the social promoter which of its posts are too long, and by how much. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipeline.content.remarks import Remarks, Reviewed
from pipeline.content.social.count import Count, counted
from pipeline.content.social.finished import VARIANTS, named_posts, post_words
from pipeline.content.social.rules import platforms

_LOST = 1_000_000  # a post that is missing weighs more than any that is too long
_TOO_LONG = 100_000


def review_posts(answer: Reviewed) -> Remarks:
    """Which posts are too long without their hashtags (code leaves those out); how much in all.

    A post that an answer lacks weighs most, so that a reply with the shortened posts alone is not kept.
    """
    named = named_posts(answer.data)
    there = {(str(post["platform"]), variant) for post, variant in named}
    lost = len(platforms()) * len(VARIANTS) - len(there)
    too_long = list(_too_long(named))
    weight = sum(_TOO_LONG + max(0, count.used - count.limit) for _, count in too_long)
    return Remarks(_asked([line for line, _ in too_long]), lost * _LOST + weight)


def _too_long(named: Iterable[tuple[Mapping[str, Any], str]]) -> Iterable[tuple[str, Count]]:
    for post, variant in named:
        rule = platforms()[str(post["platform"])]
        count = counted(rule.name, post_words(post))
        if count.used and not count.ok:
            yield f"- {rule.name}, variant {variant}: {_said(count, rule.max_bytes)}", count


def _said(count: Count, max_bytes: int | None) -> str:
    if count.used <= count.limit:
        return f"more than {max_bytes:,} bytes"
    return f"{count.used:,}, the limit is {count.limit:,} ({count.method})"


def _asked(lines: Sequence[str]) -> str:
    if not lines:
        return ""
    listed = "\n".join(lines)
    return (
        f"These posts are too long:\n{listed}\nShorten each of them to nine tenths of its limit. "
        "Leave the other posts as they are, and send all of them."
    )
