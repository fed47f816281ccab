"""The routes of a request."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["PredictedRoute", "Route"]


class Route(StrEnum):
    """How a request leaves the client's process, as the journals of the server and the proxy show it."""

    DIRECT = "direct"  # to the host of the URL
    PROXIED = "proxied"  # to a proxy, in absolute form (RFC 9112 section 3.2.2)
    TUNNEL = "tunnel"  # to a proxy, with CONNECT (RFC 9110 section 9.3.6)
    TLS = "tls"  # to a proxy, over TLS: the proxy's URL begins with https://
    SOCKS = "socks"  # to a proxy, with a SOCKS greeting (RFC 1928, or SOCKS 4)
    NOWHERE = "nowhere"  # the client raised before it connected to anything

    @property
    def through_proxy(self) -> bool:
        return self not in (Route.DIRECT, Route.NOWHERE)


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictedRoute:
    """The predicted route of a request, and the reason.

    `proxy` is the proxy's URL as the client reads it, None without a proxy. `rule` names what decided: a function of a
    library, and the setting that it read. `because` is one sentence for people.
    """

    route: Route
    proxy: str | None = None
    rule: str = ""
    because: str = ""
