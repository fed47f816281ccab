"""`ollama-harness run`: every client in every scenario."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from ollama_harness.cli.install import env_dir_option, install_named
from ollama_harness.cli.output import echo
from ollama_harness.cli.own_clients import own_clients_options
from ollama_harness.cli.own_recordings import recordings_option, store_of
from ollama_harness.cli.report import known_issues_option, print_report, today
from ollama_harness.cli.tables import progress_bar
from ollama_harness.clients.installed import left_out, not_installed
from ollama_harness.errors import InstallError
from ollama_harness.matrix.cells import Cell, plan
from ollama_harness.matrix.known_issues import load_all
from ollama_harness.matrix.results import FILE, Results, unfinished
from ollama_harness.matrix.run import JOBS, repeated, run_cells
from ollama_harness.matrix.runner import CellRun
from ollama_harness.matrix.scenarios import scenario
from ollama_harness.network import windows_registry
from ollama_harness.network.settings import System

__all__ = ["run", "run_with_progress"]


@click.command(
    help="""
    Run every client through every scenario, and print the grid. Each cell of the grid is the verdict on how the client
    handled what was played.

    With --client-command, --clients-file and --client-file your own clients run, and of the others only those that
    --client names.

    --client httpx==0.27.2 is a client with that version of its library, and --client npm:ollama@0.5.0 all clients of a
    package. Such a version is installed first, in a place of its own.

    What `ollama-harness install` has installed runs, too, and what is not installed is left out. With --all-clients
    that is an error, unless this machine lacks the tools for it.

    With --recordings only your own are played: each in the scenarios that name it, and a stream in every scenario that
    is made for any stream, if its faults apply.

    The canaries run as well, on the recordings of the package. They are clients that are wrong on purpose, and the run
    must find each of them out.

    Exit code 0: everything is as expected. 1: something is not. 2: bad input. 3: cannot tell (a cell is inconclusive,
    or a canary was not found out).
    """,
    epilog="Example: ollama-harness run --client ollama --scenario cut-after-record",
)
@click.option("--client", "clients", multiple=True, metavar="NAME", help="Run only this client (repeatable).")
@click.option("--all-clients", is_flag=True, help="Run all clients; fail if one is not installed.")
@env_dir_option
@click.option("--scenario", "scenarios", multiple=True, metavar="NAME", help="Play only this scenario (repeatable).")
@click.option("--recording", "recordings", multiple=True, metavar="NAME", help="Play only this recording (repeatable).")
@click.option(
    "--ollama-version", "versions", multiple=True, metavar="V", help="Play the recordings of this version (repeatable)."
)
@own_clients_options
@recordings_option
@click.option(
    "--jobs", type=click.IntRange(1, 64), default=JOBS, show_default=True, help="How many cells run at the same time."
)
@click.option(
    "--repeat",
    type=click.IntRange(1, 1000),
    default=1,
    show_default=True,
    help="How many times each cell of a client runs: how often one that flaps shows which verdict.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("ollama-harness-results"),
    show_default=True,
    help="The folder for results.ndjson.",
)
@click.option("--environments", is_flag=True, help="Run the environments instead: which route does each client take?")
@click.option(
    "--v1",
    is_flag=True,
    help="Run the scenarios over /v1 only, each in all dialects: chat completions, messages, responses.",
)
@click.option(
    "--touch-registry",
    is_flag=True,
    help="On Windows, use the real registry instead of a simulated one, and restore it.",
)
@known_issues_option
def run(
    *,
    clients: tuple[str, ...],
    all_clients: bool,
    scenarios: tuple[str, ...],
    recordings: tuple[str, ...],
    versions: tuple[str, ...],
    own: Path | None,
    jobs: int,
    repeat: int,
    out: Path,
    environments: bool,
    v1: bool,
    touch_registry: bool,
    known_issues: Path | None,
) -> None:
    if all_clients and clients:
        raise click.UsageError("--all-clients runs all of them; leave out --client")
    if all_clients and (absent := not_installed()):
        raise InstallError(f"not installed: {', '.join(absent)}; run: ollama-harness install --all")
    issues = load_all(known_issues)
    store = store_of(own, version=versions[0] if len(versions) == 1 else None)
    cells = plan(
        store,
        client_names=clients,
        scenario_names=scenarios,
        recording_names=recordings,
        versions=versions,
        environments=environments,
        v1=v1,
    )
    if touch_registry and System.here() is not System.WINDOWS:
        raise click.UsageError(
            "--touch-registry: this system has no registry; leave it out, and the registry is simulated"
        )
    if sum((environments, v1, bool(scenarios))) > 1:
        raise click.UsageError("--environments, --v1 and --scenario each choose scenarios; give one of them")
    touch = System.here() is System.WINDOWS and windows_registry.may_touch(asked=touch_registry)
    if clients:
        install_named({cell.client.name: cell.client for cell in cells}.values())
    results = run_with_progress(repeated(cells, repeat), out, jobs=jobs, touch_registry=touch)
    full = not (clients or recordings or versions or own)
    exit_code = print_report(results, issues, full=full, today=today(known_issues))
    for name in scenarios if len(scenarios) == 1 else ():
        if (environment := scenario(name).environment) is not None and environment.explains:
            echo(*environment.explains.split("\n"))
    if not clients:
        echo(*left_out())
    echo(f"results: {out / FILE}")
    sys.exit(exit_code)


def run_with_progress(
    cells: Sequence[Cell],
    out: Path,
    *,
    jobs: int = JOBS,
    touch_registry: bool = False,
    ended: Callable[[CellRun], None] = lambda _: None,
) -> Results:
    """Run cells, with a progress bar in a terminal; `ended` is called for each. If the run is interrupted, print where
    its results so far are.
    """
    bar = progress_bar()
    with bar:
        task = bar.add_task("", total=len(cells))

        def done(one: CellRun) -> None:
            bar.update(task, advance=1, description=f"{one.cell.client.name}/{one.cell.scenario.name}")
            ended(one)

        try:
            return run_cells(cells, out, done=done, jobs=jobs, touch_registry=touch_registry)
        except (KeyboardInterrupt, SystemExit):
            echo(f"interrupted: {unfinished(out) or 'nothing has run'}", err=True)
            raise
