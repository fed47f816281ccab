"""`ollama-harness run`: the matrix."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from harness import expectations, windows_registry
from harness.cli.output import progress_console
from harness.cli.report import known_issues_option, print_report
from harness.library import Library, fixtures
from harness.matrix import plan
from harness.results import Writer, fingerprint, result
from harness.routing.settings import System
from harness.runner import CellRun, Runner
from harness.scenarios import scenario

__all__ = ["run"]

#: Cells wait more than they compute; six a core keep the cores busy.
_JOBS = min(16, 6 * (os.cpu_count() or 2))


@click.command(epilog="Example: ollama-harness run --client requests --client ollama --scenario cut-after-record")
@click.option("--client", "clients", multiple=True, metavar="NAME", help="Only this client (repeatable).")
@click.option("--scenario", "scenarios", multiple=True, metavar="NAME", help="Only this scenario (repeatable).")
@click.option("--recording", "recordings", multiple=True, metavar="NAME", help="Only this recording (repeatable).")
@click.option(
    "--ollama-version", "versions", multiple=True, metavar="V", help="Recordings of this version (repeatable)."
)
@click.option("--jobs", type=click.IntRange(1, 64), default=_JOBS, show_default=True, help="Cells at a time.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("ollama-harness-results"),
    show_default=True,
    help="Where results.ndjson goes.",
)
@click.option("--environments", is_flag=True, help="Every environment instead: which way does each client go?")
@click.option(
    "--touch-registry", is_flag=True, help="Set the real Windows registry for it, and put it back (not a stand-in)."
)
@known_issues_option
def run(
    *,
    clients: tuple[str, ...],
    scenarios: tuple[str, ...],
    recordings: tuple[str, ...],
    versions: tuple[str, ...],
    jobs: int,
    out: Path,
    environments: bool,
    touch_registry: bool,
    known_issues: Path | None,
) -> None:
    """Play every scenario to every client, judge each, and print the grid.

    The canaries run along: clients that are wrong on purpose and must be found out.
    Exit code 0: all as expected. 1: something is not. 3: nothing can be said (inconclusive, or a canary got away).
    """
    issues = expectations.load(known_issues or fixtures() / expectations.FILE)
    library = Library()
    cells = plan(
        library,
        client_names=clients,
        scenario_names=scenarios,
        recording_names=recordings,
        versions=versions,
        environments=environments,
    )
    if touch_registry and System.here() is not System.WINDOWS:
        raise click.UsageError("--touch-registry: this system has no registry; without it, a stand-in takes its place")
    if environments and scenarios:
        raise click.UsageError("--environments runs all of them; give it, or --scenario")
    touch = System.here() is System.WINDOWS and windows_registry.may_touch(asked=touch_registry)
    hashes = {cell.recording.id: fingerprint(cell.recording.body) for cell in cells}
    writer = Writer(out, planned=len(cells), recordings=hashes)
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=progress_console(),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    try:
        with Runner(jobs=jobs, touch_registry=touch) as runner, progress:
            task = progress.add_task("", total=len(cells))

            def done(cell_run: CellRun) -> None:
                writer.add(result(cell_run))
                progress.update(
                    task, advance=1, description=f"{cell_run.cell.client.name}/{cell_run.cell.scenario.name}"
                )

            runner.run(cells, done)
            results = writer.finish(clients=runner.versions)
    except KeyboardInterrupt:
        writer.abandon()
        click.echo(f"interrupted; what was run so far is in {writer.partial}, and is no whole result", err=True)
        sys.exit(3)
    full = not (clients or recordings or versions)
    exit_code = print_report(results, issues, full=full)
    for name in scenarios if len(scenarios) == 1 else ():
        if (environment := scenario(name).environment) is not None and environment.explains:
            click.echo(environment.explains)
    click.echo(f"results: {writer.path}")
    sys.exit(exit_code)
