"""What becomes of a researcher that has nothing to look at. Decided before a call is spent."""

from __future__ import annotations

from pipeline.agents.outputs import Findings
from pipeline.errors import NotConfigured
from pipeline.models import AgentOutput, AgentSpec

NO_DOCUMENTS = "There are no documents of your own to search."


def without_tools(agent: AgentSpec) -> AgentOutput:
    """The output of `agent` when none of its tools has anything to reach for.

    A knowledge base nobody filled was searched in an instant: nothing was found, which is an answer. A web
    that nobody set up is a gap in the article: raises `NotConfigured`.
    """
    if agent.output is Findings and agent.tools == ("kb_search",):
        nothing = Findings(findings=[], gaps=[NO_DOCUMENTS], conflicts=[])
        return AgentOutput(
            text=nothing.model_dump_json(indent=1), data=nothing.model_dump(mode="json")
        )
    raise NotConfigured(
        "Web search is not configured.",
        "Set GANTRY_SEARCH to a search service, or give pages to read first.",
    )
