"""Which agents' answers code reviews after they fit their schema, and for what."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.content.remarks import Remarks, Review, Reviewed, together
from pipeline.content.social import review_posts
from pipeline.content.voice_review import voice_review
from pipeline.models import AgentSpec, family
from pipeline.voice import Voice

_REVIEWS: Mapping[str, Review] = {"social_promoter": review_posts}


def review_of(agent: AgentSpec, voice: Voice | None = None) -> Review | None:
    """The reviews of an agent's answers as one, if there are any. The parts of an agent share its own."""
    found = (_REVIEWS.get(family(agent.name)), voice_review(agent, voice))
    reviews = [review for review in found if review is not None]

    def review(answer: Reviewed) -> Remarks:
        return together(one(answer) for one in reviews)

    return review if reviews else None
