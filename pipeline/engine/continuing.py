"""What a continued run asks for: the same brief, on request with another model for what is left.

Pure. Checkpoints are keyed by model, so an agent that has finished keeps the model it was asked
with: it is neither asked nor paid for again, whatever model the others get.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pipeline.derived import models_asked
from pipeline.events import AgentFinished, AnyEvent
from pipeline.models import AgentState, Checkpoint, RunSpec


def continued_with(
    spec: RunSpec, model: str, events: Iterable[AnyEvent], checkpoints: Mapping[str, Checkpoint]
) -> RunSpec:
    """The spec of a run that goes on with `model`.

    `model` takes the place of the run's own and of each that an agent failed with; a choice made
    for one agent that did not fail stays.
    """
    facts = list(events)
    asked = models_asked(facts)
    failed = {
        asked.get((e.agent, e.epoch), "")
        for e in facts
        if isinstance(e, AgentFinished) and e.state == AgentState.FAILED.value
    }
    chosen = {
        name: model if one in failed else one
        for name, one in spec.agent_models.items()
        if name not in checkpoints
    }
    kept = {
        name: one
        for name, checkpoint in checkpoints.items()
        # what was taken over from another run was asked there, with what the spec names since
        if (one := asked.get((name, checkpoint.epoch)) or spec.agent_models.get(name))
    }
    return spec.model_copy(update={"model": model, "agent_models": chosen | kept})
