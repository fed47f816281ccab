"""Environments: the network settings with which a client's process starts, and the network around it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ollama_harness.network.settings import Mac, Registry, Settings, System

__all__ = ["HOSTS", "OLLAMA_HOST", "Environment"]

#: The three forms in which people write this machine into a URL.
HOSTS = ("localhost", "127.0.0.1", "[::1]")

#: Instead of a host: the client gets its URL from OLLAMA_HOST.
OLLAMA_HOST = "OLLAMA_HOST"


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Settings, and the network around them. In every text `{proxy}` is the proxy's host:port, in parts `{proxy_host}`
    and `{proxy_port}`, and `{port}` is the server's port.

    `system` is the system whose rules apply (None: this machine's). `later` are variables that change after a client
    has been made. `proxy` is what the proxy does: a name in `server.proxy.MODES`, or "gone". `names` are host names
    with their addresses, in order. With `beside` another program listens on [::1] instead of the server; without `ipv6`
    nothing does. `hosts` are the forms of the URL that are tried. Without `trust_env` clients are told to ignore all
    settings. `disputed` says why no route is required although the settings seem to say so. With `story` the default
    run includes the environment, and `explains` is what it shows, for people who run it alone.

    A client is tried if it reads one of the variables by code of its own. Every other client is tried in the few that
    are `for_all`: that proves what its contract says, that it reads none, or reads them through another client. With
    `switch` only clients that read that variable are tried.
    """

    name: str
    summary: str
    variables: Mapping[str, str] = field(default_factory=dict)
    registry: Registry | None = None
    mac: Mac | None = None
    system: System | None = None
    later: Mapping[str, str] = field(default_factory=dict)
    proxy: str = "refuses"
    names: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: {"localhost": ("127.0.0.1", "::1")})
    beside: bool = False
    ipv6: bool = True
    hosts: tuple[str, ...] = HOSTS
    trust_env: bool = True
    story: bool = False
    disputed: str = ""
    explains: str = ""
    switch: str = ""
    for_all: bool = False

    def settings(self, *, proxy: str = "127.0.0.1:7890", port: int = 11434) -> Settings:
        """The settings, with the placeholders filled in."""

        host, _, number = proxy.rpartition(":")
        values = {"{proxy}": proxy, "{proxy_host}": host, "{proxy_port}": number, "{port}": str(port)}

        def filled(text: str | None) -> str | None:
            for place, value in values.items():
                text = text and text.replace(place, value)
            return text

        system = self.system or System.here()
        registry, mac = self.registry or Registry(), self.mac or Mac()
        return Settings(
            system=system,
            variables={name: filled(value) or "" for name, value in self.variables.items()},
            registry=replace(registry, server=filled(registry.server)) if system is System.WINDOWS else None,
            mac=replace(mac, http=filled(mac.http), https=filled(mac.https), socks=filled(mac.socks))
            if system is System.MACOS
            else None,
        )

    def url(self, host: str, *, port: int = 11434) -> str:
        """The URL of the server in this form; empty if the client gets it from OLLAMA_HOST."""
        return "" if host == OLLAMA_HOST else f"http://{host}:{port}"
