"""`ollama-harness doctor`: which route each client takes from this machine to Ollama, and what fixes it."""

from __future__ import annotations

import sys

import click

from ollama_harness.cli.output import echo_json, json_option
from ollama_harness.cli.reports import diagnosis as report
from ollama_harness.cli.tables import console
from ollama_harness.clients.installed import installed, installed_extras
from ollama_harness.doctor import machine
from ollama_harness.doctor.demonstration import demonstrate
from ollama_harness.doctor.diagnosis import diagnose
from ollama_harness.network.environments import environment

__all__ = ["doctor"]


@click.command(
    help="""
    Show which route each client takes from this machine to Ollama. For each installed client library, the doctor names
    the rule that decides its route. If a client does not arrive, it shows what fixes that.

    The doctor changes nothing. It sends one GET /api/version to each address of the host. With --through-proxy it also
    sends one through each proxy; without, it only opens a connection to proxies on this machine, and closes it.

    Exit code 0: all clients reach the server. 1: some do not. 3: cannot tell.
    """,
    epilog="Example: ollama-harness doctor --host http://localhost:11434",
)
@click.option("--host", metavar="URL", help="The server. The default is OLLAMA_HOST, or 127.0.0.1:11434.")
@click.option("--through-proxy", is_flag=True, help="Also send a request through each proxy that a client would use.")
@click.option(
    "--environment",
    "name",
    metavar="NAME",
    help="Examine a simulated environment instead (ollama-harness list environments).",
)
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
