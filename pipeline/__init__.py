"""Gantry's pipeline: ten agents, seven phases, on any OpenAI-compatible endpoint.

Works without the page:

    client = AsyncOpenAI()
    orchestrator = ChatOrchestrator(client, model="…", research=sample_research())
    result = await orchestrator.run_pipeline("Heat pumps in old buildings")

Names are loaded when first used, so that importing the package stays cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.agents.agent_manager import AgentManager, AgentResult
    from pipeline.agents.chat_agent import AgentReply, ChatAgent
    from pipeline.agents.roster import ROSTER
    from pipeline.chat_orchestrator import ChatOrchestrator, RunResult
    from pipeline.errors import GantryError
    from pipeline.journal import Journal
    from pipeline.models import (
        AgentSpec,
        Expansion,
        Importance,
        Mode,
        Need,
        OnFailure,
        RunOptions,
        RunSpec,
        RunStatus,
        Speculation,
    )
    from pipeline.plan import Plan, make_plan
    from pipeline.settings import Settings
    from pipeline.tools.base import Research
    from pipeline.tools.samples import sample_research
    from pipeline.voice import Voice

__version__ = "0.1.0"

__all__ = [
    "ROSTER",
    "AgentManager",
    "AgentReply",
    "AgentResult",
    "AgentSpec",
    "ChatAgent",
    "ChatOrchestrator",
    "Expansion",
    "GantryError",
    "Importance",
    "Journal",
    "Mode",
    "Need",
    "OnFailure",
    "Plan",
    "Research",
    "RunOptions",
    "RunResult",
    "RunSpec",
    "RunStatus",
    "Settings",
    "Speculation",
    "Voice",
    "make_plan",
    "sample_research",
]

_HOME = {
    "ROSTER": "pipeline.agents.roster",
    "AgentManager": "pipeline.agents.agent_manager",
    "AgentReply": "pipeline.agents.chat_agent",
    "AgentResult": "pipeline.agents.agent_manager",
    "AgentSpec": "pipeline.models",
    "ChatAgent": "pipeline.agents.chat_agent",
    "ChatOrchestrator": "pipeline.chat_orchestrator",
    "Expansion": "pipeline.models",
    "GantryError": "pipeline.errors",
    "Importance": "pipeline.models",
    "Journal": "pipeline.journal",
    "Mode": "pipeline.models",
    "Need": "pipeline.models",
    "OnFailure": "pipeline.models",
    "Plan": "pipeline.plan",
    "Research": "pipeline.tools.base",
    "RunOptions": "pipeline.models",
    "RunResult": "pipeline.chat_orchestrator",
    "RunSpec": "pipeline.models",
    "RunStatus": "pipeline.models",
    "Settings": "pipeline.settings",
    "Speculation": "pipeline.models",
    "Voice": "pipeline.voice",
    "make_plan": "pipeline.plan",
    "sample_research": "pipeline.tools.samples",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
