"""A network environment made real: a fake Ollama on each loopback address, and a proxy before it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from ollama_harness.errors import PortInUse
from ollama_harness.network.environments import Environment
from ollama_harness.network.settings import Settings
from ollama_harness.server.fake_ollama import FakeOllama
from ollama_harness.server.listener import has_ipv6
from ollama_harness.server.proxy import MODES, FakeProxy

__all__ = ["LiveNetwork", "live_network"]

#: How many times a port that is free on both addresses is searched.
_TRIES = 20


@dataclass(frozen=True, slots=True)
class LiveNetwork:
    """The running `servers` (on one port, the one on 127.0.0.1 first) and `proxy`, and the settings that lead there."""

    servers: tuple[FakeOllama, ...]
    proxy: FakeProxy
    settings: Settings


@contextmanager
def live_network(environment: Environment, *, ipv6: bool = True) -> Iterator[LiveNetwork]:
    """Start the servers and the proxy of an environment; without `ipv6` nothing listens on ::1.

    Raises: PortInUse, if no port is free on both addresses.
    """
    with ExitStack() as stack:
        servers = _servers(ipv6=ipv6 and environment.ipv6)
        for server in servers:
            stack.callback(server.stop)
        gone = environment.proxy == "gone"
        proxy = stack.enter_context(
            FakeProxy(
                does=MODES["refuses" if gone else environment.proxy],
                upstream=("127.0.0.1", servers[0].port),
                listens=not gone,
            )
        )
        yield LiveNetwork(servers, proxy, environment.settings(proxy=proxy.address, port=servers[0].port))


def _servers(*, ipv6: bool) -> tuple[FakeOllama, ...]:
    """A running server on 127.0.0.1 and, with `ipv6` where this machine has it, another on the same port of ::1.

    Raises: PortInUse, if no port is free on both.
    """
    for _ in range(_TRIES):
        four = FakeOllama()
        four.start()
        if not ipv6 or not has_ipv6():
            return (four,)
        six = FakeOllama("::1", four.port)
        try:
            six.start()
        except PortInUse:
            four.stop()
            continue
        return (four, six)
    raise PortInUse("no port is free on both 127.0.0.1 and ::1; close some programs and try again")
