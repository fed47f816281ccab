"""Names and connections inside a client's process: both are noted, and neither needs to leave this machine.

Functions of `socket` look names up in a table, if there is one. The methods that connect are wrapped: they note each
address in `tried`, lead some ports to others, and refuse what `Reach` does not allow. On Windows, asyncio does not use
the methods of sockets, so its own method is wrapped too.

With `Reach.NOTHING` a client is only asked for its route. `asked_for` then holds the places that decide, a job's own
server and the proxies: a connection to one of them raises `RouteShown` before anything happens, and the job ends. It is
no `Exception`, so no client takes it for a failure of the network and tries again. Any other connection (a list that a
library loads when it is imported) is refused in the ordinary way. Every name has an address then, a made-up one if it
has no other. A place is noted under the name that was looked up.
"""

from __future__ import annotations

import ipaddress
import socket
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any

__all__ = ["Reach", "RouteShown", "asked_for", "forget", "install", "tried"]

#: Each (host, port) that this process has connected to, or tried to, since the list was last cleared.
tried: list[tuple[str, int]] = []

#: The (host, port) pairs that show the route of a client that is only asked.
asked_for: set[tuple[str, int]] = set()

#: The last name that was looked up for each address.
_looked_up: dict[str, str] = {}

#: For names without an address, RFC 5737 and RFC 3849: nothing has these.
_MADE_UP = ("192.0.2.1", "2001:db8::1")


class Reach(StrEnum):
    """Which connections of a process are made."""

    LOOPBACK = "loopback"  # those to this machine
    ANYWHERE = "anywhere"  # all
    NOTHING = "nothing"  # none: the client is only asked for its route


class RouteShown(BaseException):
    """A client that is only asked wants to connect to a place that shows its route."""


def install(names: Mapping[str, Sequence[str]] | None, reach: Reach, ports: Mapping[int, int]) -> None:
    """Patch this process. `names` is the table of names, None for this machine's own resolution."""
    _names(names, made_up=reach is Reach.NOTHING)
    _connections(reach, ports)


def forget() -> None:
    """Forget what was noted, before the next job."""
    for noted in (tried, asked_for, _looked_up):
        noted.clear()


def _names(table: Mapping[str, Sequence[str]] | None, *, made_up: bool) -> None:
    """Replace the functions that look names up."""
    really, really_by_name = socket.getaddrinfo, socket.gethostbyname

    def addresses(host: str) -> Sequence[str]:
        if table is not None and host.lower() in table:
            return table[host.lower()]
        if made_up and not set(":[") & set(host):
            return _MADE_UP
        raise socket.gaierror(socket.EAI_NONAME, f"{host} has no address on this simulated machine")

    def getaddrinfo(host: Any, port: Any, family: int = 0, *arguments: Any, **named: Any) -> list[Any]:
        text = host.decode() if isinstance(host, bytes) else host
        if not text or _literal(text):
            return really(host, port, family, *arguments, **named)
        found: list[Any] = []
        if table is None:
            try:
                found = really(host, port, family, *arguments, **named)
            except OSError:
                if not made_up:
                    raise
        for address in () if found else addresses(text):
            if family in (0, socket.AF_INET6 if ":" in address else socket.AF_INET):
                found += really(address, port, family, *arguments, **named)
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, f"{text} has no address of this family")
        _looked_up.update((str(address[0]), str(text).lower()) for *_, address in found)
        return found

    def gethostbyname(host: str) -> str:
        if table is None and not made_up:
            return really_by_name(host)
        for *_, address in getaddrinfo(host, None, socket.AF_INET):
            return str(address[0])
        raise socket.gaierror(socket.EAI_NONAME, f"{host} has no IPv4 address")

    def getfqdn(name: str = "") -> str:
        return next((host for host, held in (table or {}).items() if name in held), name or "localhost")

    socket.getaddrinfo, socket.gethostbyname = getaddrinfo, gethostbyname
    if table is not None:
        socket.getfqdn = getfqdn


def _literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _allows(reach: Reach, host: str) -> bool:
    there = ipaddress.ip_address(host.partition("%")[0]) if _literal(host) else None
    match reach:
        case Reach.ANYWHERE:
            return True
        case Reach.LOOPBACK:
            return host in ("", "localhost") or (there is not None and (there.is_loopback or there.is_unspecified))
        case Reach.NOTHING:
            return False


def _connections(reach: Reach, ports: Mapping[int, int]) -> None:
    """Wrap the methods that connect."""
    pairs = threading.local()

    def redirected(address: Any) -> Any:
        if not isinstance(address, tuple) or getattr(pairs, "is_made", False):
            return address  # a Unix socket, or one of a pair
        host, port, *rest = address
        tried.append((host, port))
        if reach is Reach.NOTHING:
            if (host, port) not in asked_for:
                tried[-1] = (_looked_up.get(str(host), str(host)), port)
            if tried[-1] in asked_for:
                raise RouteShown(f"{host}:{port}")
        if not _allows(reach, host):
            what = "which is not a loopback address" if reach is Reach.LOOPBACK else "it only asks for the route"
            raise ConnectionRefusedError(f"ollama-harness allows no connection to {host}, {what}")
        return (host, ports.get(port, port), *rest)

    def wrap(owner: type[Any], name: str, position: int) -> None:
        really: Callable[..., Any] = getattr(owner, name)

        def connect(*arguments: Any) -> Any:
            head, address, tail = arguments[:position], arguments[position], arguments[position + 1 :]
            return really(*head, redirected(address), *tail)

        setattr(owner, name, connect)

    def socketpair(*arguments: Any, **named: Any) -> Any:
        pairs.is_made = True
        try:
            return really_pair(*arguments, **named)
        finally:
            pairs.is_made = False

    # Windows has no pairs of sockets: Python connects two, and an event loop cannot be made without them.
    really_pair, socket.socketpair = socket.socketpair, socketpair
    wrap(socket.socket, "connect", 1)
    wrap(socket.socket, "connect_ex", 1)
    if sys.platform == "win32":
        from asyncio.windows_events import IocpProactor

        wrap(IocpProactor, "connect", 2)  # it calls ConnectEx, and not a method of the socket
