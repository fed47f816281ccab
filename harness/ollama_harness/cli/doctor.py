"""`ollama-harness doctor`: which route each client takes from this machine to Ollama, and what fixes it."""

from __future__ import annotations

import sys

import click

from ollama_harness.cli.output import echo_json, json_option
from ollama_harness.cli.own_clients import own_clients_options
from ollama_harness.cli.reports import diagnosis as report
from ollama_harness.cli.tables import console
from ollama_harness.clients import client
from ollama_harness.clients.installed import brought, runnable
from ollama_harness.doctor import machine
from ollama_harness.doctor.asking import Asker
from ollama_harness.doctor.diagnosis import diagnose
from ollama_harness.errors import ClientError

__all__ = ["doctor"]


@click.command(
    help="""
    Show which route each client takes from this machine to Ollama. The doctor asks the clients themselves: each runs in
    a process of its own with your settings, and is stopped before its first connection. If a client does not arrive,
    the doctor asks it again with each change that may help, and shows those that do.

    The doctor changes nothing. It sends one GET /api/version to each address of the host, and through a proxy only if
    proxy and host are on this machine, or with --through-proxy. Clients that cannot be stopped (commands, and libraries
    with sockets of their own) send one request to the host.

    Exit code 0: all clients reach the server. 1: some do not. 3: cannot tell.
    """,
    epilog="Example: ollama-harness doctor --host http://localhost:11434",
)
@click.option("--host", metavar="URL", help="The server. The default is OLLAMA_HOST, or 127.0.0.1:11434.")
@click.option("--client", "clients", multiple=True, metavar="NAME", help="Ask only this client (repeatable).")
@click.option(
    "--all-clients", is_flag=True, help="Ask all clients that can run here, and not only the usual libraries."
)
@own_clients_options
@click.option("--through-proxy", is_flag=True, help="Also send a request through each proxy that a client would use.")
@click.option(
    "--environment",
    "name",
    metavar="NAME",
    help="Examine a simulated environment instead (ollama-harness list environments).",
)
@json_option
def doctor(
    *,
    host: str | None,
    clients: tuple[str, ...],
    all_clients: bool,
    through_proxy: bool,
    name: str | None,
    as_json: bool,
) -> None:
    chosen = [client(one) for one in (runnable() if all_clients else clients)] or brought()
    for one in chosen:
        if one.missing is not None:
            raise ClientError(f"{one.name} cannot run here: {one.missing}")
    if name is not None:
        from ollama_harness.doctor.demonstration import demonstrate  # it imports the server, which is slow
        from ollama_harness.network.environments import environment

        diagnosis = demonstrate(environment(name), chosen, host=host or "", through_proxy=through_proxy)
    else:
        asker = Asker(clients=chosen, variables=machine.other_variables())
        diagnosis = diagnose(machine.settings(), asker, url=host, through_proxy=through_proxy)
    if as_json:
        echo_json(report.to_json(diagnosis))
    else:
        screen = console()
        screen.print(report.render(diagnosis), width=min(screen.width, 110), crop=False)
    sys.exit(diagnosis.exit_code)
