"""`ollama-harness client-check`: whether a program keeps to the client protocol."""

from __future__ import annotations

import sys

import click

from ollama_harness.cli.output import echo
from ollama_harness.clients import Yields, add_command
from ollama_harness.matrix.client_check import steps

__all__ = ["client_check"]

_NAME = "checked-client"


@click.command(
    "client-check",
    help="""
    Check whether a program keeps to the client protocol (docs/client-protocol.md), before its client is judged. It gets
    jobs as in a run: whole answers, cut answers, a user who stops. What its client gets wrong is no matter here.

    COMMAND is the program with its arguments. It starts in the current directory.

    Exit code 0: it keeps to the protocol. 1: it does not, and each defect is printed with its fix. 2: bad input.
    """,
    epilog="Example: ollama-harness client-check -- node my.mjs",
)
@click.option(
    "--yields",
    type=click.Choice([one.name.lower() for one in Yields]),
    default=Yields.RECORDS.name.lower(),
    show_default=True,
    help="What the client yields: Ollama's records, or pieces of text.",
)
@click.option(
    "--deadline",
    "deadline_s",
    type=click.FloatRange(0.1, 600),
    default=10.0,
    show_default=True,
    help="The seconds that the program has for each job.",
)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def client_check(*, yields: str, deadline_s: float, command: tuple[str, ...]) -> None:
    add_command(_NAME, command, yields=Yields[yields.upper()])
    wrong = 0
    for step in steps(_NAME, deadline_s=deadline_s):
        wrong += bool(step.fix)
        echo(f"{'wrong' if step.fix else 'ok':5}  {step.tried}: {step.happened}")
        if step.fix:
            echo(f"       fix: {step.fix}")
    echo("it does not keep to the protocol" if wrong else "it keeps to the protocol")
    sys.exit(1 if wrong else 0)
