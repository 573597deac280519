"""Commands for who runs a server: schema, health, backup, worker, old runs, the demo alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.console import BAD_USAGE, FAILED, INTERRUPTED, settings_and_logging, stop
from pipeline.cli.options import SpeedName
from pipeline.errors import GantryError, SpecError


def migrate() -> None:
    """Bring the database's schema up to date; may be repeated."""
    from pipeline.store import database_url, is_postgresql
    from pipeline.store import migrate as bring_up_to_date

    try:
        url = database_url(settings_and_logging())
        done = bring_up_to_date(url)
        if is_postgresql(url):
            from pipeline.engine.postgresql import migrate_queue

            migrate_queue(url)
    except GantryError as error:
        stop(error, FAILED)
    if done.before is None:
        typer.echo(f"created the schema ({done.after})")
    elif done.has_changed:
        typer.echo(f"upgraded the schema from {done.before} to {done.after}")
    else:
        typer.echo(f"the schema is up to date ({done.after})")


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


def backup(
    file: Annotated[Path, typer.Argument(help="Where to; an existing file is never replaced.")],
) -> None:
    """Copy the SQLite database, also while runs execute. To restore, see docs/operations.md."""
    from pipeline.store import database_url
    from pipeline.store.backup import back_up

    try:
        made = back_up(database_url(settings_and_logging()), file)
    except GantryError as error:
        stop(error, FAILED)
    runs = f"{made.runs} runs, {made.unfinished} of them unfinished"
    typer.echo(f"{made.file}: {made.size / 1e6:.1f} MB, {runs}")


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
        work(build_runtime(settings_and_logging(serves=True), concurrency), on_alive=on_alive)
    except GantryError as error:
        stop(error, FAILED)


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
        stop(error, FAILED)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


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

    settings = settings_and_logging()
    try:
        than, url = age(older_than), database_url(settings)
    except SpecError as error:
        stop(error, BAD_USAGE)
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
        stop(error, FAILED)


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count:,} runs"
