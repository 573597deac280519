"""A finished run made of facts and checkpoints, for tests of what is exported."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pipeline.agents.roster import ROSTER
from pipeline.events import (
    AgentFinished,
    AgentStarted,
    AnyEvent,
    CallAdmitted,
    CallFinished,
    CallSent,
    FirstToken,
    RunFinished,
    RunStarted,
)
from pipeline.export.bundle import Bundle
from pipeline.models import (
    AgentOutput,
    AgentState,
    Checkpoint,
    Mode,
    RunRecord,
    RunSpec,
    RunStatus,
    Source,
    Usage,
)

AT = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
SOURCE = Source("Saaaa1", "Roofs", "https://example.org/roofs", "sample", "Heat.", "Example House")
TEXT = "# Roof insulation\n\nHeat leaves through the roof [Saaaa1].\n\n## Next\n\nInsulate.\n"


def outputs(hostile: str = "") -> dict[str, AgentOutput]:
    """What the ten agents hand on; `hostile` stands in every field that a model fills."""
    h = hostile
    text = f"{TEXT}\n{h}\n\n- {h}\n\n> {h}\n\n[{h}]({h}) ![{h}](https://attacker.example/{h})\n"
    found = {"findings": [{"claim": "c", "quote": h, "source_id": "Saaaa1"}], "gaps": [h]}
    source = Source("Saaaa1", f"Roofs {h}", h or SOURCE.url, "sample", h, f"Example House {h}")
    return {
        "topic_planner": AgentOutput(text=h, data={"title": f"Plan {h}"}),
        "web_researcher": AgentOutput(text=h, data=found, sources=(source,)),
        "content_writer": AgentOutput(text=text),
        "editor": AgentOutput(text=text),
        "seo_specialist": AgentOutput(
            text=h,
            data={
                "title": f"Roofs {h}",
                "meta_description": f"About roofs {h}",
                "slug": f"roofs {h}",
                "focus_keyword": f"roof {h}",
                "secondary_keywords": [f"heat {h}"],
                "search_intent": "informational",
                "tags": [f"house {h}"],
                "suggestions": [f"Shorten {h}"],
            },
        ),
        "metrics_analyzer": AgentOutput(
            text=h,
            data={
                "interpretation": f"Easy {h}",
                "audience_fit": f"Fits {h}",
                "recommendations": [{"issue": h, "evidence": h, "fix": h}],
            },
        ),
        "publisher": AgentOutput(
            text=h,
            data={
                "title": f"Warm roofs {h}",
                "standfirst": f"Why it pays {h}",
                "edits": [{"find": "Insulate.", "replace": f"Insulate now. {h}", "why": h}],
                "not_applied": [h],
            },
        ),
        "summary_writer": AgentOutput(
            text=h,
            data={
                "tldr": f"Insulate {h}",
                "abstract": f"Roofs {h}",
                "key_points": [f"a {h}", "b", "c"],
            },
        ),
        "social_promoter": AgentOutput(
            text=h,
            data={"posts": [{"platform": "x", "text": f"Warm? {h}", "hashtags": ["roof"]}]},
        ),
    }


def bundle(hostile: str = "", *, demo: bool = True, marks: tuple[str, ...] = ()) -> Bundle:
    made = outputs(hostile)
    spec = RunSpec(
        topic=f"Roofs {' '.join(_plain(hostile).split())}"[:2_000],
        provider="demo" if demo else "openai",
        model="some-model",
        mode=Mode.PHASES,
    )
    run = RunRecord(
        id="run-1",
        owner="local",
        status=RunStatus.DEGRADED if marks else RunStatus.DONE,
        epoch=1,
        spec=spec,
        created_at=AT,
        degraded=marks,
    )
    checkpoints = {
        name: Checkpoint(name, f"key-{name}", 1, output, Usage(10, 20))
        for name, output in made.items()
    }
    return Bundle(run, facts(made, hostile), checkpoints)


def facts(made: Mapping[str, AgentOutput], error: str = "") -> list[AnyEvent]:
    """Each agent works one second, one after another; an agent without output is absent."""
    events: list[AnyEvent] = []

    def add(kind: type[AnyEvent], at_s: float, **fields: Any) -> None:
        events.append(kind(epoch=1, seq=len(events) + 1, at_s=at_s, **fields))

    add(RunStarted, 0.0, wall_at="2026-05-04T12:00:00+00:00")
    for number, agent in enumerate(ROSTER):
        call: dict[str, Any] = {"agent": agent.name, "call": 1, "attempt": 1}
        done = agent.name in made
        add(AgentStarted, float(number), agent=agent.name)
        add(CallAdmitted, number + 0.1, **call)
        add(CallSent, number + 0.1, **call)
        add(FirstToken, number + 0.4, **call)
        add(CallFinished, number + 0.9, **call, outcome="used" if done else "discarded")
        state = AgentState.DONE if done else AgentState.ABSENT
        add(
            AgentFinished,
            number + 1.0,
            agent=agent.name,
            state=state.value,
            error="" if done else f"It failed {error}",
        )
    add(RunFinished, float(len(ROSTER)), status="done")
    return events


def _plain(text: str) -> str:
    return "".join(c for c in text if c.isprintable())
