"""`ollama-harness doctor`: which way would each client go from this machine, and what fixes it."""

from __future__ import annotations

import sys

import click

from ollama_harness.cli.output import console, echo_json, json_option
from ollama_harness.cli.reports import diagnosis as report
from ollama_harness.clients.installed import installed, installed_extras
from ollama_harness.doctor import machine
from ollama_harness.doctor.demonstration import demonstrate
from ollama_harness.doctor.diagnosis import diagnose
from ollama_harness.network.environments import environment

__all__ = ["doctor"]


@click.command(
    help="""
    Say which way each installed client goes from this machine to Ollama, by which rule, and what fixes it.

    Changes nothing. Sends nothing but a GET /api/version to each address of the host (and of this machine, if it is
    that), and the same to proxies with --through-proxy; else it only looks whether a proxy on this machine is there.
    Exit code 0: all clients reach the server. 1: some do not. 3: nobody can tell.
    """,
    epilog="Example: ollama-harness doctor --host http://localhost:11434",
)
@click.option("--host", metavar="URL", help="The server; otherwise what OLLAMA_HOST says, or 127.0.0.1:11434.")
@click.option("--through-proxy", is_flag=True, help="Ask the proxies too that clients would ask, for the same host.")
@click.option("--environment", "name", metavar="NAME", help="Examine an environment of the matrix instead.")
@json_option
def doctor(*, host: str | None, through_proxy: bool, name: str | None, as_json: bool) -> None:
    if name is not None:
        diagnosis = demonstrate(environment(name), host=host or "", through_proxy=through_proxy)
    else:
        diagnosis = diagnose(
            machine.settings(),
            installed(),
            url=host,
            extras=installed_extras(),
            through_proxy=through_proxy,
        )
    if as_json:
        echo_json(report.to_json(diagnosis))
    else:
        screen = console()
        screen.print(report.render(diagnosis), width=min(screen.width, 110), crop=False)
    sys.exit(diagnosis.exit_code)
