"""The target of a request to a proxy, and the form of the request. Targets that are not on this machine get 403."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from ollama_harness.errors import ProtocolError
from ollama_harness.network.route import Route
from ollama_harness.script.http1 import RequestHead
from ollama_harness.server._upstream import Target
from ollama_harness.server.journal import Entry, Protocol

__all__ = ["form", "route_of", "target_of"]

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
