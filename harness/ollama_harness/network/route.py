"""The routes of a request."""

from __future__ import annotations

from enum import StrEnum
from urllib.parse import urlsplit

__all__ = ["THROUGH_PROXY", "Route", "place_of"]

_PORTS = {"http": 80, "https": 443}


class Route(StrEnum):
    """How a request leaves the client's process, as the journals of the server and the proxy show it."""

    DIRECT = "direct"  # to the host of the URL
    PROXIED = "proxied"  # to a proxy, in absolute form (RFC 9112 section 3.2.2)
    TUNNEL = "tunnel"  # to a proxy, with CONNECT (RFC 9110 section 9.3.6)
    TLS = "tls"  # to a proxy, over TLS: the proxy's URL begins with https://
    SOCKS = "socks"  # to a proxy, with a SOCKS greeting (RFC 1928, or SOCKS 4)
    NOWHERE = "nowhere"  # the client raised before it connected to anything


#: The routes on which a proxy stands between.
THROUGH_PROXY = (Route.PROXIED, Route.TUNNEL, Route.TLS, Route.SOCKS)


def place_of(url: str) -> tuple[str, int]:
    """The host, in lower case and without brackets, and the port of a URL.

    Raises: ValueError, for a port that is no number up to 65535.
    """
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 11434)
