"""`ollama-harness gate`: what an upgrade of Ollama changes for clients."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
from click.core import ParameterSource

from ollama_harness.cli.gate_clients import gate_clients
from ollama_harness.cli.gate_report import report, reporting_options
from ollama_harness.cli.output import echo
from ollama_harness.cli.record import chosen_model, record_with_progress
from ollama_harness.cli.reports.gate_decision import explained
from ollama_harness.cli.run import run_with_progress
from ollama_harness.errors import GateError
from ollama_harness.files.writing import check_directory
from ollama_harness.gate import accepted, gate_file
from ollama_harness.gate.gate_run import gate, planned
from ollama_harness.gate.rules import Level
from ollama_harness.gate.shapes import VersionShapes
from ollama_harness.matrix.results import Results
from ollama_harness.recorder import TIMEOUT_S, default_probes, plan

__all__ = ["gate_"]

_DIRECTORY = click.Path(path_type=Path, file_okay=False)

_COMPARED = {"fail_on", "accept", "out"}
_SIDES = {"baseline", "again", "candidate"}
#: The options that can be combined with each of these options, or (the last) with none of them.
_COMBINES_WITH = {
    "explain": {"out"},
    "live": {"model", "only", "wire_only", "clients"} | _COMPARED,
    "results": _SIDES | _COMPARED,
    "": {"wire_only", "clients"} | _SIDES | _COMPARED,
}


@click.group(
    "gate",
    invoke_without_command=True,
    help="""
    Compare two versions of Ollama before you upgrade. The gate needs recordings of both (ollama-harness record). It
    compares what they send, by rules (ollama-harness list rules). Then all clients run through all scenarios
    on the recordings of both versions. `gate clients` compares two versions of a client instead.

    Exit code 0: nothing that matters has changed. 1: something has. 2: bad input. 3: cannot tell.
    """,
    epilog="Example: ollama-harness gate --baseline rec/0.24.0 --candidate rec/0.32.15",
)
@click.option("--baseline", type=_DIRECTORY, help="Recordings of the version in use.")
@click.option(
    "--again",
    type=_DIRECTORY,
    multiple=True,
    help="A second recording of the baseline: what differs between the two is noise (repeatable).",
)
@click.option("--candidate", type=_DIRECTORY, help="Recordings of the version to upgrade to.")
@click.option(
    "--live", nargs=2, metavar="OLD_URL NEW_URL", help="Record both of these servers first, the old one twice."
)
@click.option("--model", metavar="NAME", help="With --live: the model to use. Both servers must have it.")
@click.option(
    "--only",
    multiple=True,
    metavar="PATTERN",
    help="With --live: send only these probes; '!chat-*' leaves some out (repeatable).",
)
@click.option(
    "--results",
    type=(Path, Path),
    metavar="OLD NEW",
    help="Use these results of earlier runs on both versions, and run no client.",
)
@click.option("--wire-only", is_flag=True, help="Compare only what the versions send, and run no client.")
@click.option("--client", "clients", multiple=True, metavar="NAME", help="Run only this client (repeatable).")
@reporting_options
@click.option("--explain", metavar="FINGERPRINT", help="Show one finding of the last gate (in --out) in full.")
def gate_(
    *,
    baseline: Path | None,
    again: tuple[Path, ...],
    candidate: Path | None,
    live: tuple[str, str] | None,
    model: str | None,
    only: tuple[str, ...],
    results: tuple[Path, Path] | None,
    wire_only: bool,
    clients: tuple[str, ...],
    fail_on: str,
    accept: Path | None,
    out: Path,
    explain: str | None,
) -> None:
    context = click.get_current_context()
    _refuse_ignored_options(context)
    if context.invoked_subcommand is not None:
        return
    if explain is not None:
        echo(*explained(gate_file.explain(gate_file.load(out), explain)))
        return
    if wire_only and clients:
        raise click.UsageError("--wire-only runs no client; leave out --client")
    if live is None and (baseline is None or candidate is None):
        raise click.UsageError("give --baseline and --candidate, or --live")
    acceptances = accepted.load(accept) if accept else ()
    check_directory(out, GateError, fix="give another --out")
    if live is not None:
        baseline, second, candidate = _record(*live, out / "recordings", model, only)
        again = (second,)
    assert baseline is not None
    assert candidate is not None
    baselines, new = [VersionShapes.read(one) for one in (baseline, *again)], VersionShapes.read(candidate)
    for one in acceptances:
        one.holds_for(new.name)  # raises if that cannot be decided, before the clients are run
    outcomes = None
    if not wire_only:
        outcomes = _load(results) if results else _run(baseline, candidate, clients, out)
    report(gate(baselines, new, results=outcomes, acceptances=acceptances, fail_on=Level[fail_on.upper()]), out)


def _refuse_ignored_options(context: click.Context) -> None:
    """Refuse options that would be ignored.

    Raises: click.UsageError.
    """
    names = {str(one.name): one.opts[0] for one in context.command.params}
    default = (ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP)
    given = [name for name in names if context.get_parameter_source(name) not in default]
    mode = next((name for name in _COMBINES_WITH if name in given), "")
    if context.invoked_subcommand is not None and given:
        raise click.UsageError(f"{names[given[0]]} stands before clients; give it after, or leave it out")
    for name in given:
        if name != mode and name not in _COMBINES_WITH[mode]:
            others = [names[other] for other, options in _COMBINES_WITH.items() if other and name in options]
            why = f"with {names[mode]}" if mode else f"without {' or '.join(others)}"
            raise click.UsageError(f"{names[name]} has no effect {why}; leave it out")


def _record(old: str, new: str, out: Path, model: str | None, only: Sequence[str]) -> tuple[Path, Path, Path]:
    """Record the old server twice and the new one once; returns the directories."""
    probes = default_probes().only(tuple(only))
    sessions = (("baseline", old), ("again", old), ("candidate", new))
    for name, _ in sessions:
        if (out / name).exists():
            raise GateError(f"{out / name} exists, from an earlier gate; delete it, or give another --out")
    model = chosen_model(old, probes, model)
    for url in (old, new):  # finds what is wrong with the second before the first is recorded
        plan(url, probes, model=model, timeout_s=TIMEOUT_S)
    first, second, third = (record_with_progress(url, probes, out / name, model=model).folder for name, url in sessions)
    return first, second, third


def _load(paths: tuple[Path, Path]) -> tuple[Results, Results]:
    old, new = map(Results.load, paths)
    return old, new


def _run(baseline: Path, candidate: Path, clients: Sequence[str], out: Path) -> tuple[Results, Results]:
    """Run the matrix on both versions' recordings."""
    cells = [planned(directory, clients) for directory in (baseline, candidate)]
    old, new = (
        run_with_progress(each, out / name) for each, name in zip(cells, ("baseline", "candidate"), strict=True)
    )
    return old, new


gate_.add_command(gate_clients)
