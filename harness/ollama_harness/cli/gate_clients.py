"""`ollama-harness gate clients`: what an upgrade of a client changes."""

from __future__ import annotations

from pathlib import Path

import click

from ollama_harness.cli.gate_report import report, reporting_options
from ollama_harness.cli.install import env_dir_option, install_named
from ollama_harness.cli.run import run_with_progress
from ollama_harness.errors import GateError
from ollama_harness.files.writing import check_directory
from ollama_harness.gate import accepted
from ollama_harness.gate.client_gate import AGAIN, LibraryUpgrade
from ollama_harness.gate.handled import Handled
from ollama_harness.gate.observing import observed
from ollama_harness.gate.rules import Level
from ollama_harness.matrix.cells import plan
from ollama_harness.matrix.run import JOBS
from ollama_harness.recordings.store import RecordingStore

__all__ = ["gate_clients"]


@click.command(
    "clients",
    help="""
    Compare two versions of a client before you upgrade it. Each is installed in a place of its own, and both run
    through the same scenarios. What is compared: the verdicts, the exceptions, the records that they hand out, and the
    requests that they send.

    OLD and NEW are versions of one client (httpx==0.27.2) or of all clients of a package (npm:ollama@0.5.0,
    pypi:httpx@0.27.2). A name alone is what is installed. `gate --explain FINGERPRINT` shows one finding in full.

    Exit code 0: nothing that matters has changed. 1: something has. 2: bad input, or a version that cannot be
    installed. 3: cannot tell.
    """,
    epilog="Example: ollama-harness gate clients httpx==0.27.2 httpx==0.28.1",
)
@click.argument("old")
@click.argument("new")
@click.option("--scenario", "scenarios", multiple=True, metavar="NAME", help="Play only this scenario (repeatable).")
@click.option("--recording", "recordings", multiple=True, metavar="NAME", help="Play only this recording (repeatable).")
@click.option("--environments", is_flag=True, help="Compare their routes in all environments instead.")
@click.option(
    "--jobs", type=click.IntRange(1, 64), default=JOBS, show_default=True, help="How many cells run at the same time."
)
@env_dir_option
@reporting_options
def gate_clients(
    *,
    old: str,
    new: str,
    scenarios: tuple[str, ...],
    recordings: tuple[str, ...],
    environments: bool,
    jobs: int,
    fail_on: str,
    accept: Path | None,
    out: Path,
) -> None:
    upgrade = LibraryUpgrade.of(old, new)
    acceptances = accepted.load(accept) if accept else ()
    for one in acceptances:
        one.holds_for(upgrade.candidate)  # raises if that cannot be decided, before the clients are run
    check_directory(out, GateError, fix="give another --out")
    cells = plan(
        RecordingStore(),
        client_names=upgrade.names,
        scenario_names=scenarios,
        recording_names=recordings,
        environments=environments,
    )
    install_named((*upgrade.old, *upgrade.new))
    handled: list[Handled] = []
    results = run_with_progress(cells, out / "run", jobs=jobs, ended=lambda run: handled.append(observed(run)))
    if unsettled := upgrade.unsettled(handled):
        run_with_progress(unsettled * AGAIN, out / "again", jobs=jobs, ended=lambda run: handled.append(observed(run)))
    decision = upgrade.decision(results, handled, acceptances=acceptances, fail_on=Level[fail_on.upper()])
    report(decision, out)
