"""Which agents' answers code reviews after they fit their schema, and for what."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.agents.outputs import Findings
from pipeline.content.citation_review import (
    Finish,
    Grounds,
    citation_finish,
    citation_review,
    finish_findings,
    grounds_of,
)
from pipeline.content.remarks import Remarks, Review, Reviewed, together
from pipeline.content.social import review_posts
from pipeline.content.voice_review import voice_review
from pipeline.models import AgentOutput, AgentSpec, family
from pipeline.voice import Voice

_REVIEWS: Mapping[str, Review] = {"social_promoter": review_posts}


def review_of(
    agent: AgentSpec,
    voice: Voice | None = None,
    inputs: Mapping[str, AgentOutput] | None = None,
) -> Review | None:
    """The reviews of an agent's answers as one, if there are any. The parts of an agent share its own.

    `inputs` is what the agent was given; without them nobody knows what it may cite.
    """
    cited = None if inputs is None else citation_review(agent, _grounds(agent, voice, inputs))
    found = (_REVIEWS.get(family(agent.name)), voice_review(agent, voice), cited)
    reviews = [review for review in found if review is not None]

    def review(answer: Reviewed) -> Remarks:
        return together(one(answer) for one in reviews)

    return review if reviews else None


def finish_of(
    agent: AgentSpec,
    voice: Voice | None = None,
    inputs: Mapping[str, AgentOutput] | None = None,
) -> Finish | None:
    """What mends and flags the answer that is kept; None when nobody knows what it may cite."""
    if agent.output is Findings:
        return finish_findings
    return None if inputs is None else citation_finish(agent, _grounds(agent, voice, inputs))


def _grounds(agent: AgentSpec, voice: Voice | None, inputs: Mapping[str, AgentOutput]) -> Grounds:
    return grounds_of(agent, inputs, [link.url for link in voice.links] if voice else ())
