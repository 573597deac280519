"""The command line, for scripts and servers: `python -m pipeline run "TOPIC"`.

Results go to standard output, everything else to standard error. Exit codes: 0 done or degraded,
1 the run failed, 2 bad usage, 3 the outline waits for approval, 130 interrupted (the run is
cancelled); a worker's: see `engine/worker.py`.
"""

from __future__ import annotations

import typer

from pipeline.cli import documents
from pipeline.cli.operating import backup, demo_provider, doctor, migrate, purge, worker
from pipeline.cli.planning import plan
from pipeline.cli.running import approve, run

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: drawing boxes takes longer than everything else in it
    help="Gantry: ten agents write a sourced article; every second of it is accounted for.",
)

for command in (run, approve, plan, migrate, doctor, backup, worker):
    app.command()(command)
app.command("demo-provider")(demo_provider)
app.command()(purge)
app.add_typer(
    documents.app, name="documents", help="The knowledge base: add, list, search, delete."
)
