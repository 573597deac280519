"""What a command leaves behind of a run: report, article, and in a few lines how it went."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from pipeline.cli.console import FAILED, WAITS, write
from pipeline.errors import NothingFound, SpecError
from pipeline.growth import OUTLINE
from pipeline.models import RunStatus
from pipeline.prices import load_prices
from pipeline.views.progress import printable
from pipeline.views.tables import cost_line

if TYPE_CHECKING:
    from pipeline.engine.runtime import Runtime
    from pipeline.export.bundle import Bundle


def write_results(
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
        write(json_file, bundle.json())
    if bundle.run.status is RunStatus.WAITING_APPROVAL:
        _say_outline(bundle)
        return WAITS
    article = bundle.markdown()
    if article and (markdown_file or not json_file):
        write(markdown_file or "-", article)
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
