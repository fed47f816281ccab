"""`ollama-harness gate`: what an upgrade of Ollama changes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click
from click.core import ParameterSource

from ollama_harness.cli.output import console, echo
from ollama_harness.cli.record import chosen_model, record_with_progress
from ollama_harness.cli.reports.gate_decision import explained, markdown, render
from ollama_harness.cli.run import run_with_progress
from ollama_harness.errors import GateError
from ollama_harness.files.writing import check_directory, write_whole
from ollama_harness.gate import accepted, gate_file
from ollama_harness.gate.decision import Decision
from ollama_harness.gate.gate_run import gate, planned
from ollama_harness.gate.rules import Level
from ollama_harness.gate.shapes import VersionShapes
from ollama_harness.matrix.results import Results
from ollama_harness.recorder import TIMEOUT_S, default_probes, plan

__all__ = ["gate_"]

_DIRECTORY = click.Path(path_type=Path, file_okay=False)

_COMPARED = {"fail_on", "accept", "out"}
_SIDES = {"baseline", "again", "candidate"}
#: What else can be given with each of these options, or (the last) with none of them.
_GO_WITH = {
    "explain": {"out"},
    "live": {"model", "only", "wire_only", "clients"} | _COMPARED,
    "results": _SIDES | _COMPARED,
    "": {"wire_only", "clients"} | _SIDES | _COMPARED,
}


@click.command(
    "gate",
    help="""
    Hold recordings of two versions of Ollama against each other, and what clients make of them.

    Exit code 0: nothing that matters has changed. 1: something has. 3: nothing can be said.
    """,
    epilog="Example: ollama-harness gate --baseline rec/0.24.0 --candidate rec/0.32.15",
)
@click.option("--baseline", type=_DIRECTORY, help="Recordings of the version in use.")
@click.option("--again", type=_DIRECTORY, multiple=True, help="Another take of it: what differs is noise (repeatable).")
@click.option("--candidate", type=_DIRECTORY, help="Recordings of the version to go to.")
@click.option("--live", nargs=2, metavar="OLD_URL NEW_URL", help="Record both servers first, the old one twice.")
@click.option("--model", metavar="NAME", help="For --live: the model to ask, which both servers must have.")
@click.option("--only", multiple=True, metavar="PATTERN", help="For --live: only these probes; '!chat-*' takes away.")
@click.option("--results", type=(Path, Path), metavar="OLD NEW", help="Earlier results of both, instead of a run.")
@click.option("--wire-only", is_flag=True, help="Compare what is sent, and leave out what clients make of it.")
@click.option("--client", "clients", multiple=True, metavar="NAME", help="Only this client (repeatable).")
@click.option(
    "--fail-on",
    type=click.Choice([str(Level.NOTABLE), str(Level.BREAKING)]),
    default=str(Level.BREAKING),
    show_default=True,
    help="The lowest level that fails.",
)
@click.option("--accept", type=click.Path(path_type=Path, dir_okay=False), help="Findings to live with: accepted.toml.")
@click.option("--out", type=_DIRECTORY, default=Path("ollama-harness-gate"), show_default=True, help="For the reports.")
@click.option("--explain", metavar="FINGERPRINT", help="Say all about one finding of the last gate (in --out).")
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
    _refuse_what_is_of_no_use(click.get_current_context())
    if explain is not None:
        echo(*explained(gate_file.explain(gate_file.load(out), explain)))
        return
    if wire_only and clients:
        raise click.UsageError("--wire-only asks no clients; leave out --client")
    if live is None and (baseline is None or candidate is None):
        raise click.UsageError("give --baseline and --candidate, or --live")
    acceptances = accepted.load(accept) if accept else ()
    check_directory(out, GateError, fix="give another --out")
    if live is not None:
        baseline, second, candidate = _record(*live, out / "recordings", model, only)
        again = (second,)
    assert baseline is not None
    assert candidate is not None
    takes, new = [VersionShapes.read(one) for one in (baseline, *again)], VersionShapes.read(candidate)
    for one in acceptances:
        one.holds_for(new.name)  # if that cannot be told, it must show before the clients are run
    outcomes = None
    if not wire_only:
        outcomes = _load(results) if results else _run(baseline, candidate, clients, out)
    report(gate(takes, new, results=outcomes, acceptances=acceptances, fail_on=Level[fail_on.upper()]), out)


def _refuse_what_is_of_no_use(context: click.Context) -> None:
    """Refuse options that would be ignored.

    Raises: click.UsageError.
    """
    names = {str(one.name): one.opts[0] for one in context.command.params}
    default = (ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP)
    given = [name for name in names if context.get_parameter_source(name) not in default]
    mode = next((name for name in _GO_WITH if name in given), "")
    for name in given:
        if name != mode and name not in _GO_WITH[mode]:
            others = [names[other] for other, takes in _GO_WITH.items() if other and name in takes]
            why = f"beside {names[mode]}" if mode else f"without {' or '.join(others)}"
            raise click.UsageError(f"{names[name]} is of no use {why}; leave it out")


def report(decision: Decision, out: Path) -> None:
    """Print a decision, write its reports, and exit with its code."""
    screen = console()
    screen.print(render(decision))
    path = gate_file.save(decision, out)
    page = path.with_suffix(".md")
    write_whole(page, markdown(decision), GateError, fix=gate_file.ELSEWHERE)
    echo("", f"reports: {path}, {page}; more about one: ollama-harness gate --explain FINGERPRINT")
    echo(decision.last_line)
    sys.exit(decision.exit_code)


def _record(old: str, new: str, out: Path, model: str | None, only: Sequence[str]) -> tuple[Path, Path, Path]:
    """Record the old server twice and the new one once; returns the directories."""
    probes = default_probes().only(tuple(only))
    takes = (("baseline", old), ("again", old), ("candidate", new))
    for name, _ in takes:
        if (out / name).exists():
            raise GateError(f"{out / name} is there from an earlier gate; take it away, or give another --out")
    model = chosen_model(old, probes, model)
    for url in (old, new):  # what is wrong with one of them is found before the other is recorded
        plan(url, probes, model=model, timeout_s=TIMEOUT_S)
    first, second, third = (record_with_progress(url, probes, out / name, model=model).folder for name, url in takes)
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
