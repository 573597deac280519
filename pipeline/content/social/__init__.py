"""Social posts: how each network counts, what fits, and what goes out.

Limits are data (`limits.toml`, dated); `count` knows the methods, `fit` shortens, `series` splits, `finished` makes of
the social promoter's reply what a person copies.
"""

from pipeline.content.social.count import LINK_SLOT, LINK_STAND_IN, Count, counted
from pipeline.content.social.finished import finished_posts, finished_series, with_hashtags
from pipeline.content.social.fit import fit_post
from pipeline.content.social.review import review_posts
from pipeline.content.social.rules import Platform, checked_on, limits, platforms
from pipeline.content.social.series import split_series

__all__ = [
    "LINK_SLOT",
    "LINK_STAND_IN",
    "Count",
    "Platform",
    "checked_on",
    "counted",
    "finished_posts",
    "finished_series",
    "fit_post",
    "limits",
    "platforms",
    "review_posts",
    "split_series",
    "with_hashtags",
]
