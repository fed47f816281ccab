"""The doctor in an environment of the matrix: what it would report on such a machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from ollama_harness.clients import Client
from ollama_harness.doctor.asking import Asker
from ollama_harness.doctor.diagnosis import Diagnosis, diagnose
from ollama_harness.errors import HarnessError, UnknownName
from ollama_harness.faults import apply, replace_with
from ollama_harness.network.environments import HOSTS, OLLAMA_HOST, Environment, clean_environment
from ollama_harness.network.route import place_of
from ollama_harness.script.script import Script
from ollama_harness.server.live_network import live_network

__all__ = ["demonstrate"]


def demonstrate(
    environment: Environment, clients: Sequence[Client], *, host: str = "", through_proxy: bool = False
) -> Diagnosis:
    """Examine an environment, with a server and a proxy of the harness. `host` is the form of the URL.

    Only clients in Python can be given another machine, so others are left out.
    """
    form = host or environment.hosts[0]
    if form not in (*environment.hosts, *HOSTS):
        raise UnknownName("form of URL (give --host one)", form, (*environment.hosts, *HOSTS))
    if not environment.trust_env or environment.later:
        raise HarnessError(f"{environment.name} depends on the code of a program, which the doctor cannot see")
    with live_network(environment, ipv6=form in (*HOSTS, OLLAMA_HOST)) as live:
        servers = live.servers
        for server in servers:
            server.load()  # otherwise the doctor times out
        if environment.beside and len(servers) > 1:
            store = servers[0].store
            plain = Script.from_recording(store.get(f"{store.newest}/version"))
            servers[1].play(apply(plain, [replace_with("nginx-404")]), before_guard=True)

        def resolve(url: str) -> tuple[str, ...]:
            name = urlsplit(url).hostname or ""
            if place_of(url)[1] != servers[0].port:
                raise HarnessError(
                    f"{environment.name} leads to Ollama's own port; run the doctor on a machine with Ollama"
                )
            return environment.names.get(name, (name,) if name in ("127.0.0.1", "::1") else ())

        with TemporaryDirectory() as home:
            asker = Asker(
                clients=[one for one in clients if one.command is None],
                variables=clean_environment(Path(home), {}),
                names=environment.names,
            )
            return diagnose(
                live.settings,
                asker,
                url=environment.url(form, port=servers[0].port) or None,
                through_proxy=through_proxy,
                resolve=resolve,
            )
