"""The command line, for scripts and servers: `python -m pipeline run "TOPIC"`.

Results go to standard output, everything else to standard error. Exit codes: 0 done or degraded,
1 the run failed, 2 bad usage, 3 the outline waits for approval, 130 interrupted (the run is
cancelled); a worker's: see `engine/worker.py`.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from pipeline.agents.roster import ROSTER
from pipeline.base_url import address
from pipeline.errors import GantryError, NothingFound, PlanError, SpecError
from pipeline.growth import OUTLINE
from pipeline.logs import set_up_logging
from pipeline.models import (
    LOCAL_OWNER,
    SEED_MAX,
    AgentOutput,
    Length,
    Mode,
    RunOptions,
    RunSpec,
    RunStatus,
)
from pipeline.plan import make_plan, switchable_phases
from pipeline.prices import load_prices
from pipeline.settings import Settings, load_settings
from pipeline.spec import make_spec
from pipeline.views.cockpit import cockpit_lines
from pipeline.views.progress import printable, progress_line
from pipeline.views.tables import cost_line

if TYPE_CHECKING:
    from pipeline.engine.runtime import Runtime
    from pipeline.export.bundle import Bundle

FAILED, BAD_USAGE, WAITS, INTERRUPTED = 1, 2, 3, 130
FOLLOW_EVERY_S = 0.05
SAY_AGAIN_S = 30.0  # how often a wait is said
COCKPIT_EVERY_S = 1.0
NO_WORKER_AFTER_S = 2.0

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: drawing boxes takes longer than everything else in it
    help="Gantry: ten agents write a sourced article; every second of it is accounted for.",
)


class ProviderName(StrEnum):
    DEMO = "demo"
    OPENAI = "openai"


class SpeedName(StrEnum):
    INSTANT = "instant"
    FAST = "fast"
    REALISTIC = "realistic"


@app.command()
def run(
    topic: Annotated[str, typer.Argument(help="What the article should be about.")],
    mode: Annotated[Mode, typer.Option(help="Which edges the plan has.")] = Mode.PHASES,
    sequential_phase: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Switch a phase off (repeatable).")
    ] = None,
    provider: Annotated[
        ProviderName | None,
        typer.Option(help="Default: openai when a key or endpoint is configured, else demo."),
    ] = None,
    speed: Annotated[SpeedName | None, typer.Option(help="Latency of the demo.")] = None,
    model: Annotated[str, typer.Option(help="Default: OPENAI_MODEL.")] = "",
    agent_model: Annotated[
        list[str] | None, typer.Option(metavar="AGENT=M", help="Model of one agent (repeatable).")
    ] = None,
    fallback_model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="M|AGENT=M",
            help="Model that takes over when one fails for good; of all or of one agent (repeatable).",
        ),
    ] = None,
    max_tokens_per_run: Annotated[
        int | None, typer.Option(min=1, help="Stop before the run uses more, prompts and answers.")
    ] = None,
    max_cost: Annotated[
        float | None, typer.Option(min=0.0, metavar="USD", help="Stop before it costs more.")
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, max=SEED_MAX, help="Same seed, same demo text and latencies.")
    ] = 1,
    audience: str = "General readers",
    tone: str = "Clear and factual",
    length: Length = Length.STANDARD,
    language: str = "English",
    allow_unsourced: Annotated[
        bool, typer.Option("--allow-unsourced", help="Write on, labelled, when nothing is found.")
    ] = False,
    url: Annotated[
        list[str] | None,
        typer.Option(metavar="URL", help="Web page to read first (repeatable, at most 10)."),
    ] = None,
    voice: Annotated[
        str,
        typer.Option(metavar="NAME", help="Brand voice to write in, as the dashboard names it."),
    ] = "",
    section_writing: Annotated[
        bool, typer.Option("--section-writing", help="One call per outline section, side by side.")
    ] = False,
    section_editing: Annotated[
        bool,
        typer.Option("--section-editing", help="Edit by section too (needs --section-writing)."),
    ] = False,
    speculative_research: Annotated[
        bool,
        typer.Option(
            "--speculative-research", help="Search from the topic while the planner works."
        ),
    ] = False,
    approve_outline: Annotated[
        bool,
        typer.Option(
            "--approve-outline", help="Stop after planning, with exit code 3; see `approve`."
        ),
    ] = False,
    json_file: Annotated[
        str | None, typer.Option("--json", metavar="FILE|-", help="Write the report.")
    ] = None,
    markdown_file: Annotated[
        str | None, typer.Option("--markdown", metavar="FILE|-", help="Write the article.")
    ] = None,
    cockpit: Annotated[
        bool, typer.Option("--cockpit", help="Every second: calls in flight, queue, limits.")
    ] = False,
) -> None:
    """Turn TOPIC into an article; progress on standard error."""
    settings = _settings()
    try:
        spec = _spec(
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
            options=_options(
                section_writing, section_editing, speculative_research, approve_outline
            ),
        )
        _check_targets(json_file, markdown_file)
    except (SpecError, PlanError) as error:
        _stop(error, BAD_USAGE)

    def begin(runtime: Runtime) -> str:
        run_id = runtime.submit(_voiced(runtime, spec, voice) if voice else spec)
        typer.echo(f"run {run_id} · {spec.mode.value} · {_where(spec)}", err=True)
        return run_id

    _run_and_exit(settings, begin, json_file, markdown_file, cockpit=cockpit)


@app.command()
def approve(
    run_id: Annotated[str, typer.Argument(help="The run that waits, as `run` named it.")],
    outline: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="JSON with the planner's fields: the outline to write by instead."
        ),
    ] = None,
    json_file: Annotated[
        str | None, typer.Option("--json", metavar="FILE|-", help="Write the report.")
    ] = None,
    markdown_file: Annotated[
        str | None, typer.Option("--markdown", metavar="FILE|-", help="Write the article.")
    ] = None,
) -> None:
    """Approve the outline of a run that waits for it, and follow the run to its end."""
    settings = _settings()
    try:
        _check_targets(json_file, markdown_file)
        typed = _read(outline) if outline else None
    except SpecError as error:
        _stop(error, BAD_USAGE)

    def begin(runtime: Runtime) -> str:
        runtime.approve(run_id, outline=_edited_outline(runtime, run_id, typed) if typed else None)
        return run_id

    _run_and_exit(settings, begin, json_file, markdown_file, cockpit=False)


@app.command()
def plan(
    mode: Annotated[Mode, typer.Option(help="Which edges the plan has.")] = Mode.PHASES,
    sequential_phase: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Switch a phase off (repeatable).")
    ] = None,
    section_writing: Annotated[bool, typer.Option("--section-writing")] = False,
    section_editing: Annotated[bool, typer.Option("--section-editing")] = False,
    speculative_research: Annotated[bool, typer.Option("--speculative-research")] = False,
    approve_outline: Annotated[bool, typer.Option("--approve-outline")] = False,
) -> None:
    """Print phases, groups, edges, what is off, and what may grow."""
    settings = _settings()
    try:
        options = _options(section_writing, section_editing, speculative_research, approve_outline)
        made = make_plan(
            ROSTER, mode, _switches(settings, sequential_phase or [], options), options
        )
    except (SpecError, PlanError) as error:
        _stop(error, BAD_USAGE)
    typer.echo(f"mode: {made.mode.value}")
    typer.echo(f"options: {', '.join(options.on) or 'none'}")
    for number, phase in enumerate(made.phases, 1):
        names = [agent.name for agent in made.in_phase(phase)]
        parallel = made.switches.get(phase)
        how = (
            "" if parallel is None else "   parallel" if parallel else "   off (one after another)"
        )
        typer.echo(f"{number} {phase}: {(' ∥ ' if parallel else ' → ').join(names)}{how}")
    typer.echo("data edges:")
    for agent in made.agents:
        for need in agent.needs:
            typer.echo(f"  {need.agent} → {agent.name} ({need.kind})")
    typer.echo("order edges:")
    for before, after in sorted(
        made.order_edges, key=lambda e: (made.names.index(e[0]), made.names.index(e[1]))
    ):
        typer.echo(f"  {before} → {after}")
    for agent in made.agents:
        if agent.expansion and getattr(options, agent.expansion.option):
            typer.echo(f"grows: {agent.name} by the outline of {agent.expansion.by}, 3 to 8 parts")
    off = [phase for phase, on in made.switches.items() if not on]
    typer.echo(f"off: {', '.join(off) or 'nothing'}")


@app.command()
def migrate() -> None:
    """Bring the database's schema up to date; may be repeated."""
    from pipeline.store import database_url, is_postgresql
    from pipeline.store import migrate as bring_up_to_date

    try:
        url = database_url(_settings())
        done = bring_up_to_date(url)
        if is_postgresql(url):
            from pipeline.engine.postgresql import migrate_queue

            migrate_queue(url)
    except GantryError as error:
        _stop(error, FAILED)
    if done.before is None:
        typer.echo(f"created the schema ({done.after})")
    elif done.has_changed:
        typer.echo(f"upgraded the schema from {done.before} to {done.after}")
    else:
        typer.echo(f"the schema is up to date ({done.after})")


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    no_provider: Annotated[
        bool, typer.Option("--no-provider", help="Make no call: one asks the model for a word.")
    ] = False,
) -> None:
    """Check everything a run needs, and say what to do. Exit code 1 when something is missing."""
    from pipeline import doctor as examination

    checks = []
    for check in examination.examine(ask_provider=not no_provider):
        checks.append(check)
        if not as_json:
            for line in examination.lines(check):
                typer.echo(line)
    if as_json:
        typer.echo(json.dumps(examination.to_dict(checks), indent=1))
    raise typer.Exit(0 if examination.passed(checks) else FAILED)


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="Where to; an existing file is never replaced.")],
) -> None:
    """Copy the SQLite database, also while runs execute. To restore, see docs/operations.md."""
    from pipeline.store import database_url
    from pipeline.store.backup import back_up

    try:
        made = back_up(database_url(_settings()), file)
    except GantryError as error:
        _stop(error, FAILED)
    runs = f"{made.runs} runs, {made.unfinished} of them unfinished"
    typer.echo(f"{made.file}: {made.size / 1e6:.1f} MB, {runs}")


@app.command()
def worker(
    concurrency: Annotated[
        int, typer.Option(min=1, max=1000, help="Runs this process executes at once.")
    ] = 10,
    alive_file: Annotated[
        Path | None, typer.Option(help="Touched every 5 s while it works, for health checks.")
    ] = None,
) -> None:
    """Execute a team's runs (DATABASE_URL on PostgreSQL); SIGTERM hands them over and ends it."""
    from pipeline.assembly import build_runtime
    from pipeline.engine.worker import work

    try:
        on_alive = alive_file.touch if alive_file is not None else lambda: None
        work(build_runtime(_settings(serves=True), concurrency), on_alive=on_alive)
    except GantryError as error:
        _stop(error, FAILED)


@app.command("demo-provider")
def demo_provider(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free port.")] = 0,
    speed: SpeedName = SpeedName.REALISTIC,
) -> None:
    """Serve the offline demo alone, as an OpenAI-compatible endpoint on loopback."""
    import asyncio

    from pipeline.llm.demo.server import serve

    try:
        asyncio.run(serve(port, speed.value))
    except GantryError as error:
        _stop(error, FAILED)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


@app.command()
def purge(
    older_than: Annotated[
        str, typer.Option(metavar="AGE", help="12h, 30d or 2w, counted from the run's end.")
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how many.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove runs of all owners that ended longer ago than AGE, and everything of them."""
    import asyncio

    from pipeline.retention import age, count_older, remove_older
    from pipeline.store import database_url

    settings = _settings()
    try:
        than, url = age(older_than), database_url(settings)
    except SpecError as error:
        _stop(error, BAD_USAGE)
    try:
        found = asyncio.run(count_older(url, than))
        if dry_run or not found:
            typer.echo(f"{_runs(found)} ended more than {older_than} ago; nothing was removed")
            return
        if not yes and not typer.confirm(
            f"Remove {_runs(found)} for good? There is no undo.", err=True
        ):
            typer.echo("nothing was removed", err=True)
            raise typer.Exit(FAILED)
        typer.echo(f"removed {_runs(asyncio.run(remove_older(url, than)))}")
    except GantryError as error:
        _stop(error, FAILED)


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count:,} runs"


def _settings(*, serves: bool = False) -> Settings:
    """The settings, with logging as they say. By default a command that a person runs says little
    there, its progress tells the rest; one that `serves` tells whoever collects lines.
    """
    try:
        settings = load_settings()
    except SpecError as error:
        _stop(error, BAD_USAGE)
    if serves:
        set_up_logging(settings.log, settings.log_level or "info")
    else:
        set_up_logging(settings.log or "text", settings.log_level or "error")
    return settings


def _spec(
    settings: Settings,
    *,
    mode: Mode,
    sequential_phases: list[str],
    provider: ProviderName | None,
    speed: SpeedName | None,
    model: str,
    agent_models: list[str],
    fallback_models: list[str],
    options: RunOptions,
    **brief: object,
) -> RunSpec:
    """Validate everything before anything is spent."""
    demo = provider is ProviderName.DEMO or (provider is None and not settings.has_endpoint)
    if not demo and not settings.has_endpoint:
        raise SpecError(
            "No endpoint is configured.",
            "Set OPENAI_API_KEY (and OPENAI_BASE_URL for another endpoint), or use --provider demo.",
        )
    switches = _switches(settings, sequential_phases, options)
    make_plan(ROSTER, mode, switches, options)
    of_all = [one for one in fallback_models if "=" not in one]
    if len(of_all) > 1:
        raise SpecError("Only one fallback can be for all agents.", "Write AGENT=M for the others.")
    return make_spec(
        mode=mode,
        options=options,
        switches=switches,
        provider="demo" if demo else "openai",
        base_url=None if demo else settings.openai_base_url,
        model=model or ("" if demo else settings.openai_model),
        agent_models=_agent_models(agent_models),
        fallback_model=of_all[0] if of_all else "" if demo else settings.fallback_model,
        fallback_models=_agent_models([one for one in fallback_models if "=" in one]),
        key_source="none" if demo else "configured",
        speed=speed.value if speed else settings.demo_speed,
        **brief,
    )


def _options(
    section_writing: bool,
    section_editing: bool,
    speculative_research: bool,
    approve_outline: bool,
) -> RunOptions:
    if section_editing and not section_writing:
        raise SpecError(
            "--section-editing edits what was written by section.", "Add --section-writing."
        )
    return RunOptions(
        section_writing=section_writing,
        section_editing=section_editing,
        speculative_research=speculative_research,
        approve_outline=approve_outline,
    )


def _switches(
    settings: Settings, sequential_phases: list[str], options: RunOptions
) -> dict[str, bool]:
    switchable = switchable_phases(ROSTER, options)
    for phase in sequential_phases:
        if phase not in switchable:
            raise SpecError(
                f"There is no parallel phase `{phase}`.", f"Known: {', '.join(switchable)}."
            )
    switches = settings.default_switches(switchable)
    return switches | dict.fromkeys(sequential_phases, False)


def _agent_models(pairs: list[str]) -> dict[str, str]:
    names = [agent.name for agent in ROSTER]
    models = {}
    for pair in pairs:
        agent, _, model = pair.partition("=")
        if agent not in names or not model:
            raise SpecError(
                f"`{pair}` does not name a model for an agent.",
                f"Write AGENT=MODEL with one of: {', '.join(names)}.",
            )
        models[agent] = model
    return models


def _check_targets(*targets: str | None) -> None:
    """A result nobody can write is found out before the run, not after."""
    files = [target for target in targets if target not in (None, "-")]
    if targets.count("-") > 1:
        raise SpecError("Only one result can go to standard output.", "Give the other a file.")
    for target in files:
        folder = Path(str(target)).absolute().parent
        if not folder.is_dir() or Path(str(target)).is_dir():
            raise SpecError(f"`{target}` cannot be written.", "Name a file in an existing folder.")


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"`{file}` cannot be read: {error}.") from error


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
        _stop(error, FAILED)
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
        for line in _follow(runtime, run_id, cockpit=cockpit):
            typer.echo(line, err=True)
        return _write_results(runtime, run_id, json_file, markdown_file)
    except KeyboardInterrupt:
        interrupted = True
        if run_id:
            runtime.cancel(run_id)
        typer.echo("cancelled", err=True)
        return INTERRUPTED
    finally:
        with suppress(KeyboardInterrupt):
            if not interrupted:
                _let_others_finish(runtime)
        runtime.close()


def _where(spec: RunSpec) -> str:
    return f"offline demo ({spec.speed})" if spec.is_demo else address(spec.base_url)


def _follow(runtime: Runtime, run_id: str, *, cockpit: bool = False) -> Iterator[str]:
    """One line per fact a person cares about, until the run has ended.

    With `cockpit` also what waits for admission and why, every second.
    """
    seen, shown_s = 0, time.monotonic()
    ask_at_s = shown_s + NO_WORKER_AFTER_S
    while True:
        record = runtime.run(run_id)
        if record is None:
            raise SpecError(f"Run {run_id} was deleted while it was running.")
        runtime.watch(run_id)
        journal = runtime.journal(run_id)
        if journal is not None and journal.is_remote and record.status.is_final:
            journal = None  # its last words may still be on their way; they are stored
        events = journal.events if journal is not None else runtime.events(run_id)
        for event in events[seen:]:
            if line := progress_line(event):
                yield line
        seen = max(seen, len(events))
        if record.status.is_final or record.status in _NEEDS_A_PERSON:
            return
        if record.status is RunStatus.QUEUED and time.monotonic() >= ask_at_s:
            ask_at_s = time.monotonic() + SAY_AGAIN_S
            if runtime.workers() == 0:
                yield "waiting: no worker is running; start one with `python -m pipeline worker`"
        if cockpit and time.monotonic() - shown_s >= COCKPIT_EVERY_S:
            shown_s = time.monotonic()
            yield from cockpit_lines(runtime.admission(), journal.spending if journal else None)
        time.sleep(FOLLOW_EVERY_S)  # a plain thread: the loop runs elsewhere


_NEEDS_A_PERSON = (RunStatus.NEEDS_KEY, RunStatus.WAITING_APPROVAL)


def _let_others_finish(runtime: Runtime) -> None:
    """Runs of other command lines execute here when this one came first: do not cut them off."""
    said_at_s = float("-inf")
    while others := runtime.drain():
        if time.monotonic() - said_at_s >= SAY_AGAIN_S:
            said_at_s = time.monotonic()
            runs = f"run {next(iter(others))}" if len(others) == 1 else f"{len(others)} runs"
            typer.echo(
                f"waiting for {runs} of the same data folder to finish here; Ctrl+C leaves that "
                "to the next process",
                err=True,
            )
        time.sleep(FOLLOW_EVERY_S)  # a plain thread: the loop runs elsewhere


def _write_results(
    runtime: Runtime, run_id: str, json_file: str | None, markdown_file: str | None
) -> int:
    from pipeline.export.bundle import Bundle

    record = runtime.run(run_id)
    if record is None:
        raise SpecError(f"Run {run_id} was deleted before its results were written.")
    bundle = Bundle(
        record,
        runtime.events(run_id),
        runtime.checkpoints(run_id),
        texts=runtime.texts(run_id),
        prices=load_prices(runtime.settings.prices_file),
    )
    typer.echo(cost_line(bundle.cost), err=True)
    if json_file:
        _write(json_file, bundle.json())
    if bundle.run.status is RunStatus.WAITING_APPROVAL:
        _say_outline(bundle)
        return WAITS
    article = bundle.markdown()
    if article and (markdown_file or not json_file):
        _write(markdown_file or "-", article)
    if bundle.run.status in (RunStatus.DONE, RunStatus.DEGRADED):
        for mark in bundle.run.degraded:
            typer.echo(f"note: {mark}", err=True)
        return 0
    typer.echo(f"{bundle.run.status.value}: {bundle.run.error}", err=True)
    if bundle.run.error_code == NothingFound.code:
        typer.echo("With --allow-unsourced it writes on, and labels the draft.", err=True)
    return FAILED


def _say_outline(bundle: Bundle) -> None:
    """The headings, and how to go on."""
    outlined = bundle.outputs.get(bundle.plan.outliner)
    for section in (outlined.data or {}).get(OUTLINE, []) if outlined else []:
        typer.echo(f"  - {printable(str(section['heading']))}", err=True)
    typer.echo(
        "The outline waits for approval: approve it on the page, or with\n"
        f"  python -m pipeline approve {bundle.run.id}",
        err=True,
    )


def _write(target: str, text: str) -> None:
    if target == "-":
        sys.stdout.buffer.write(text.encode("utf-8", "replace"))
        sys.stdout.buffer.flush()
        return
    try:
        Path(target).write_bytes(text.encode("utf-8", "replace"))
    except OSError as error:
        raise SpecError(f"`{target}` cannot be written: {error.strerror}.") from error


def _stop(error: GantryError, code: int) -> NoReturn:
    typer.echo(f"error: {error}", err=True)
    raise typer.Exit(code)
