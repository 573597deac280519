"""The options of the commands that plan or run, each declared once: type, name and help."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from pipeline.models import SEED_MAX, Mode


class ProviderName(StrEnum):
    DEMO = "demo"
    OPENAI = "openai"


class SpeedName(StrEnum):
    INSTANT = "instant"
    FAST = "fast"
    REALISTIC = "realistic"


Topic = Annotated[str, typer.Argument(help="What the article should be about.")]
PlanMode = Annotated[Mode, typer.Option(help="Which edges the plan has.")]
SequentialPhases = Annotated[
    list[str] | None, typer.Option(metavar="NAME", help="Switch a phase off (repeatable).")
]
Provider = Annotated[
    ProviderName | None,
    typer.Option(help="Default: openai when a key or endpoint is configured, else demo."),
]
Speed = Annotated[SpeedName | None, typer.Option(help="Latency of the demo.")]
Model = Annotated[str, typer.Option(help="Default: OPENAI_MODEL.")]
AgentModels = Annotated[
    list[str] | None, typer.Option(metavar="AGENT=M", help="Model of one agent (repeatable).")
]
FallbackModels = Annotated[
    list[str] | None,
    typer.Option(
        metavar="M|AGENT=M",
        help="Model that takes over when one fails for good; of all or of one agent (repeatable).",
    ),
]
MaxTokens = Annotated[
    int | None, typer.Option(min=1, help="Stop before the run uses more, prompts and answers.")
]
MaxCost = Annotated[
    float | None, typer.Option(min=0.0, metavar="USD", help="Stop before it costs more.")
]
Seed = Annotated[
    int, typer.Option(min=0, max=SEED_MAX, help="Same seed, same demo text and latencies.")
]
AllowUnsourced = Annotated[
    bool, typer.Option("--allow-unsourced", help="Write on, labelled, when nothing is found.")
]
Urls = Annotated[
    list[str] | None,
    typer.Option(metavar="URL", help="Web page to read first (repeatable, at most 10)."),
]
VoiceName = Annotated[
    str, typer.Option(metavar="NAME", help="Brand voice to write in, as the dashboard names it.")
]
SectionWriting = Annotated[
    bool, typer.Option("--section-writing", help="One call per outline section, side by side.")
]
SectionEditing = Annotated[
    bool, typer.Option("--section-editing", help="Edit by section too (needs --section-writing).")
]
SpeculativeResearch = Annotated[
    bool,
    typer.Option("--speculative-research", help="Search from the topic while the planner works."),
]
ApproveOutline = Annotated[
    bool,
    typer.Option("--approve-outline", help="Stop after planning, with exit code 3; see `approve`."),
]
ReportFile = Annotated[
    str | None, typer.Option("--json", metavar="FILE|-", help="Write the report.")
]
ArticleFile = Annotated[
    str | None, typer.Option("--markdown", metavar="FILE|-", help="Write the article.")
]
Cockpit = Annotated[
    bool, typer.Option("--cockpit", help="Every second: calls in flight, queue, limits.")
]
