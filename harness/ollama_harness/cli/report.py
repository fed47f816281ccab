"""`ollama-harness report`: the grid of an earlier run."""

from __future__ import annotations

import re
import sys
from datetime import date
from pathlib import Path

import click

from ollama_harness.cli.output import echo
from ollama_harness.cli.reports import grid
from ollama_harness.cli.tables import console
from ollama_harness.clients import clients
from ollama_harness.matrix.expectations import assess, unknown_versions
from ollama_harness.matrix.known_issues import KnownIssue, load_all
from ollama_harness.matrix.results import Results

__all__ = ["known_issues_option", "print_report", "report", "today"]

known_issues_option = click.option(
    "--known-issues",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A file of known issues to expect, instead of the built-in list. Its review dates count.",
)


@click.command(
    help="Print the grid of an earlier run. RESULTS is its results.ndjson, or the folder that holds it.",
    epilog="Example: ollama-harness report ollama-harness-results/results.ndjson",
)
@click.argument("path", type=click.Path(path_type=Path), metavar="RESULTS")
@known_issues_option
def report(*, path: Path, known_issues: Path | None) -> None:
    results = Results.load(path)
    python = tuple(map(int, re.findall(r"\d+", results.header.python)[:3]))
    issues = load_all(known_issues, python=python)
    sys.exit(print_report(results, issues, full=False, today=today(known_issues)))


def today(known_issues: Path | None) -> date | None:
    """Today, if review dates count. In the built-in list they do not."""
    return date.today() if known_issues else None


def print_report(results: Results, issues: tuple[KnownIssue, ...], *, full: bool, today: date | None) -> int:
    """Compare results with what is expected and print the report; returns the exit code."""
    versions = results.header.clients
    assessed = assess(results.cells, issues, full=full, today=today, versions=versions)
    screen = console()
    screen.print(grid.render(assessed, screen))
    for name, version in unknown_versions(versions).items():
        seen_in = ", ".join(clients()[name].seen_in)
        echo(f"{name} {version}: its known issues were seen in {seen_in}, so nothing is expected of it")
    return assessed.exit_code
