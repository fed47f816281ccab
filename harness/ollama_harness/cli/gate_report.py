"""What both gates share: the options for what fails a gate, and the reports of its decision."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ollama_harness.cli.output import echo
from ollama_harness.cli.reports.gate_decision import markdown, render
from ollama_harness.cli.tables import console
from ollama_harness.errors import GateError
from ollama_harness.files.writing import write_whole
from ollama_harness.gate import gate_file
from ollama_harness.gate.decision import Decision
from ollama_harness.gate.rules import Level

__all__ = ["report", "reporting_options"]


def reporting_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options for what fails a gate, and where its reports go."""
    for option in (
        click.option(
            "--out",
            type=click.Path(path_type=Path, file_okay=False),
            default=Path("ollama-harness-gate"),
            show_default=True,
            help="The folder for the reports.",
        ),
        click.option(
            "--accept",
            type=click.Path(path_type=Path, dir_okay=False),
            help="A file of accepted findings: accepted.toml.",
        ),
        click.option(
            "--fail-on",
            type=click.Choice([str(Level.NOTABLE), str(Level.BREAKING)]),
            default=str(Level.BREAKING),
            show_default=True,
            help="The lowest level of change that fails the gate.",
        ),
    ):
        command = option(command)
    return command


def report(decision: Decision, out: Path) -> None:
    """Print a decision, write its reports, and exit with its code."""
    screen = console()
    screen.print(render(decision))
    path = gate_file.save(decision, out)
    page = path.with_suffix(".md")
    write_whole(page, markdown(decision), GateError, fix=gate_file.ELSEWHERE)
    echo("", f"reports: {path}, {page}; for more on one finding: ollama-harness gate --explain FINGERPRINT")
    echo(decision.last_line)
    sys.exit(decision.exit_code)
