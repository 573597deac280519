"""`run` and `approve`: begin a run or go on with one, follow it to its end, write its results."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from pipeline.agents.roster import ROSTER
from pipeline.base_url import address
from pipeline.cli import options as opt
from pipeline.cli.brief import run_options, spec_of
from pipeline.cli.console import (
    BAD_USAGE,
    FAILED,
    INTERRUPTED,
    check_targets,
    read,
    settings_and_logging,
    stop,
)
from pipeline.cli.following import follow, let_others_finish
from pipeline.cli.results import write_results
from pipeline.errors import GantryError, PlanError, SpecError
from pipeline.growth import OUTLINE
from pipeline.models import LOCAL_OWNER, AgentOutput, Length, Mode, RunSpec
from pipeline.settings import Settings

if TYPE_CHECKING:
    from pipeline.engine.runtime import Runtime


def run(
    topic: opt.Topic,
    mode: opt.PlanMode = Mode.PHASES,
    sequential_phase: opt.SequentialPhases = None,
    provider: opt.Provider = None,
    speed: opt.Speed = None,
    model: opt.Model = "",
    agent_model: opt.AgentModels = None,
    fallback_model: opt.FallbackModels = None,
    max_tokens_per_run: opt.MaxTokens = None,
    max_cost: opt.MaxCost = None,
    seed: opt.Seed = 1,
    audience: str = "General readers",
    tone: str = "Clear and factual",
    length: Length = Length.STANDARD,
    language: str = "English",
    allow_unsourced: opt.AllowUnsourced = False,
    url: opt.Urls = None,
    voice: opt.VoiceName = "",
    section_writing: opt.SectionWriting = False,
    section_editing: opt.SectionEditing = False,
    speculative_research: opt.SpeculativeResearch = False,
    approve_outline: opt.ApproveOutline = False,
    json_file: opt.ReportFile = None,
    markdown_file: opt.ArticleFile = None,
    cockpit: opt.Cockpit = False,
) -> None:
    """Turn TOPIC into an article; progress on standard error."""
    settings = settings_and_logging()
    try:
        spec = spec_of(
            settings,
            topic=topic,
            mode=mode,
            sequential_phases=sequential_phase or [],
            provider=provider,
            speed=speed,
            model=model,
            agent_models=agent_model or [],
            fallback_models=fallback_model or [],
            seed=seed,
            max_tokens=max_tokens_per_run,
            max_cost_usd=max_cost,
            audience=audience,
            tone=tone,
            length=length,
            language=language,
            allow_unsourced=allow_unsourced,
            urls=tuple(url or ()),
            options=run_options(
                section_writing, section_editing, speculative_research, approve_outline
            ),
        )
        check_targets(json_file, markdown_file)
    except (SpecError, PlanError) as error:
        stop(error, BAD_USAGE)

    def begin(runtime: Runtime) -> str:
        run_id = runtime.submit(_voiced(runtime, spec, voice) if voice else spec)
        typer.echo(f"run {run_id} · {spec.mode.value} · {_where(spec)}", err=True)
        return run_id

    _run_and_exit(settings, begin, json_file, markdown_file, cockpit=cockpit)


def approve(
    run_id: Annotated[str, typer.Argument(help="The run that waits, as `run` named it.")],
    outline: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="JSON with the planner's fields: the outline to write by instead."
        ),
    ] = None,
    json_file: opt.ReportFile = None,
    markdown_file: opt.ArticleFile = None,
) -> None:
    """Approve the outline of a run that waits for it, and follow the run to its end."""
    settings = settings_and_logging()
    try:
        check_targets(json_file, markdown_file)
        typed = read(outline) if outline else None
    except SpecError as error:
        stop(error, BAD_USAGE)

    def begin(runtime: Runtime) -> str:
        runtime.approve(run_id, outline=_edited_outline(runtime, run_id, typed) if typed else None)
        return run_id

    _run_and_exit(settings, begin, json_file, markdown_file, cockpit=False)


def _run_and_exit(
    settings: Settings,
    begin: Callable[[Runtime], str],
    json_file: str | None,
    markdown_file: str | None,
    *,
    cockpit: bool,
) -> NoReturn:
    try:
        code = _run(settings, begin, json_file, markdown_file, cockpit=cockpit)
    except GantryError as error:
        stop(error, FAILED)
    raise typer.Exit(code)


def _run(
    settings: Settings,
    begin: Callable[[Runtime], str],
    json_file: str | None,
    markdown_file: str | None,
    *,
    cockpit: bool,
) -> int:
    from pipeline.assembly import build_runtime

    runtime = build_runtime(settings)
    runtime.start()
    run_id, interrupted = "", False
    try:
        run_id = begin(runtime)
        for line in follow(runtime, run_id, cockpit=cockpit):
            typer.echo(line, err=True)
        return write_results(runtime, run_id, json_file, markdown_file)
    except KeyboardInterrupt:
        interrupted = True
        if run_id:
            runtime.cancel(run_id)
        typer.echo("cancelled", err=True)
        return INTERRUPTED
    finally:
        with suppress(KeyboardInterrupt):
            if not interrupted:
                let_others_finish(runtime)
        runtime.close()


def _where(spec: RunSpec) -> str:
    return f"offline demo ({spec.speed})" if spec.is_demo else address(spec.base_url)


def _edited_outline(runtime: Runtime, run_id: str, typed: str) -> AgentOutput:
    """What stands in the file, as the output of the run's planner. Raises `SpecError`."""
    from pipeline.agents.edited_output import edited_output

    planner = next(a for a in ROSTER if a.output and OUTLINE in a.output.model_fields)
    checkpoint = runtime.checkpoints(run_id).get(planner.name)
    if checkpoint is None:
        raise SpecError(f"There is no run {run_id} with an outline.", "Check the id.")
    return edited_output(planner, checkpoint.output, typed)


def _voiced(runtime: Runtime, spec: RunSpec, name: str) -> RunSpec:
    """The spec with a copy of the voice. Raises `SpecError` when there is none of that name."""
    preset = runtime.voices.named(LOCAL_OWNER, name)
    if preset is None:
        names = [other.voice.name for other in runtime.voices.listed(LOCAL_OWNER)]
        known = f"There are: {', '.join(names)}." if names else "Make one on the page Brand voices."
        raise SpecError(f"There is no brand voice “{name}”.", known)
    return spec.model_copy(update={"voice": preset.voice})
