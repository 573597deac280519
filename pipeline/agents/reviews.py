"""Which agents' answers code reviews after they fit their schema, and for what."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.content.remarks import Review
from pipeline.content.social import review_posts
from pipeline.models import AgentSpec, family

_REVIEWS: Mapping[str, Review] = {"social_promoter": review_posts}


def review_of(agent: AgentSpec) -> Review | None:
    """The review of an agent's answers, if there is one. The parts of an agent share its own."""
    return _REVIEWS.get(family(agent.name))
