"""The target of a request to a proxy, and the form of the request. Targets that are not on this machine get 403."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from ollama_harness.errors import ProtocolError
from ollama_harness.network.route import Route
from ollama_harness.script.http1 import RequestHead
from ollama_harness.server.journal import Entry, Protocol

__all__ = ["Target", "form", "route_of", "target_of"]

_ROUTES = {
    Protocol.HTTP: Route.PROXIED,
    Protocol.ABSOLUTE: Route.PROXIED,
    Protocol.CONNECT: Route.TUNNEL,
    Protocol.TLS: Route.TLS,
    Protocol.SOCKS4: Route.SOCKS,
    Protocol.SOCKS5: Route.SOCKS,
}


def route_of(entry: Entry) -> Route:
    """The route that the request of a proxy's journal entry took; origin form at a proxy counts as proxied."""
    return _ROUTES[entry.protocol]


@dataclass(frozen=True, slots=True)
class Target:
    """A host (a name, or an address without brackets) and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether the host is localhost, in 127.0.0.0/8, or ::1; names are not resolved."""
        try:
            address = ipaddress.ip_address(self.host)
        except ValueError:
            return self.host.lower() == "localhost"
        return address == ipaddress.IPv6Address("::1") or address in ipaddress.ip_network("127.0.0.0/8")


def form(head: RequestHead) -> Protocol:
    """The form of a request to a proxy (RFC 9112 section 3.2)."""
    if head.method == "CONNECT":
        return Protocol.CONNECT
    return Protocol.ABSOLUTE if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", head.target) else Protocol.HTTP


def target_of(head: RequestHead) -> Target | None:
    """The target of a request to a proxy (RFC 9112 section 3.2); None in origin form.

    Raises: ProtocolError, if it is no host and port, or no http URL.
    """
    match form(head):
        case Protocol.CONNECT:
            url, default = f"//{head.target}", None
        case Protocol.ABSOLUTE if head.target.lower().startswith("http://"):
            url, default = head.target, 80
        case Protocol.ABSOLUTE:
            raise ProtocolError(f"not an http URL: {head.target[:80]}", "RFC 9112 section 3.2.2")
        case _:
            return None
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port if parts.port is not None else default
    except ValueError as error:
        raise ProtocolError(f"not a target: {url[:80]} ({error})", "RFC 9112 section 3.2") from None
    if not host or port is None:
        raise ProtocolError(f"not a target, host and port: {url[:80]}", "RFC 9112 section 3.2")
    return Target(host, port)
