"""Stand-ins inside a client's process for what a machine says of its network.

The libraries' own code for Windows and macOS runs on any system: `urllib.request` and `requests.utils` choose it when
they are imported, so they are executed once more while the system's name is another, and then find a `winreg` or a
`_scproxy` that holds what the environment says. Names are looked up in a table. Nothing leaves this machine: a
connection to an address that is no loopback address is refused before it is made.
"""

from __future__ import annotations

import importlib
import ipaddress
import os
import socket
import sys
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ollama_harness.network import write_log
from ollama_harness.network.settings import Mac, Registry, Settings, System

__all__ = ["SimulatedMachine", "imported", "install", "tried", "winreg"]

_KEY = r"Software\Microsoft\Windows\CurrentVersion\Internet Settings"
#: Where this process has tried to connect to, as (host, port), since it was last cleared.
tried: list[tuple[str, int]] = []

#: The variables that the process was born with.
_born = dict(os.environ)

_NAMES: Mapping[str, tuple[str, ...]] = {"localhost": ("127.0.0.1", "::1")}


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedMachine:
    """What a client's process finds. `settings` are the system's (None: those that are really there).

    `names` says which addresses a host name has, in order; names that it does not hold have none. A connection to one
    of `ports` is led to the port beside it, so that no real Ollama on its default port is ever asked. `later` are
    variables that change once a client has been made. With `counts_writes` the process says what it wrote to sockets.
    """

    settings: Settings | None = None
    names: Mapping[str, Sequence[str]] = field(default_factory=lambda: _NAMES)
    ports: Mapping[int, int] = field(default_factory=dict)
    later: Mapping[str, str] = field(default_factory=dict)
    counts_writes: bool = False

    def begin(self) -> None:
        """Before a client is made: the variables are what they were at first."""
        for name, value in _born.items() if self.later else ():
            os.environ[name] = value
        for name in self.later.keys() - _born.keys():
            os.environ.pop(name, None)

    def change(self) -> None:
        """A client has been made."""
        os.environ.update(self.later)

    def to_json(self) -> dict[str, Any]:
        settings = None if self.settings is None else self.settings.to_json()
        return {
            "settings": settings,
            "names": dict(self.names),
            "ports": list(self.ports.items()),
            "later": dict(self.later),
            "counts_writes": self.counts_writes,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> SimulatedMachine:
        settings = value["settings"] and Settings.from_json(value["settings"])
        return cls(
            settings=settings,
            names=value["names"],
            ports=dict(value["ports"]),
            later=value["later"],
            counts_writes=value["counts_writes"],
        )


def install(world: SimulatedMachine) -> None:
    """Make this process one of that world. Call it before any client library is imported."""
    _names(world.names)
    _connections(world.ports)
    if world.counts_writes:
        write_log.watch()
    if world.settings is not None:
        _system(world.settings)


def imported(store: str, world: SimulatedMachine) -> None:
    """To be called when a library has been imported: requests has code of its own for Windows."""
    if store == "requests" and world.settings is not None and world.settings.system is System.WINDOWS:
        with _as_if(os_name=os.name, platform="win32"):
            importlib.reload(importlib.import_module("requests.utils"))


# ---------------------------------------------------------------------------------------- the system's settings


def _system(settings: Settings) -> None:
    import urllib.request

    match settings.system:
        case System.WINDOWS:
            sys.modules["winreg"] = winreg(settings.registry or Registry())
            if sys.platform != "win32":
                os.environ = _caseless(os.environ)  # noqa: B003 - the process' own variables stay what they are
            names = ("nt", "win32")
        case System.MACOS:
            sys.modules["_scproxy"] = _scproxy(settings.mac or Mac())
            names = ("posix", "darwin")
        case System.POSIX:
            names = ("posix", "linux")
    with _as_if(*names):
        importlib.reload(urllib.request)


@contextmanager
def _as_if(os_name: str, platform: str) -> Iterator[None]:
    really = os.name, sys.platform
    os.name, sys.platform = os_name, platform
    try:
        yield
    finally:
        os.name, sys.platform = really


class _Key:
    """An open key of the registry."""

    def __enter__(self) -> _Key:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def Close(self) -> None:
        pass


def winreg(registry: Registry) -> types.ModuleType:
    """A `winreg` that holds these Internet Settings.

    What else is asked of it the real one answers, on Windows: `platform` looks there for the system's version.
    Elsewhere it is an error, and no guess.
    """
    really = importlib.import_module("winreg") if sys.platform == "win32" else None
    module = types.ModuleType("winreg")
    held = {
        "ProxyEnable": registry.enable,
        "ProxyServer": registry.server,
        "ProxyOverride": registry.override,
        "AutoConfigURL": registry.pac_url,
    }

    def open_key(key: object, sub_key: str, *rest: object) -> Any:
        if key == module.HKEY_CURRENT_USER and sub_key.lower() == _KEY.lower():
            return _Key()
        if really is None:
            raise NotImplementedError(f"the stand-in for winreg does not know the key {sub_key!r}")
        return really.OpenKey(key, sub_key, *rest)

    def query_value_ex(key: Any, name: str) -> tuple[Any, int]:
        if not isinstance(key, _Key) and really is not None:
            return really.QueryValueEx(key, name)  # type: ignore[no-any-return]
        value = {key.lower(): value for key, value in held.items()}[name.lower()]
        if value is None:
            raise FileNotFoundError(2, "The system cannot find the file specified")
        return value, module.REG_DWORD if isinstance(value, int) else module.REG_SZ

    members: dict[str, Any] = {
        **({} if really is None else vars(really)),
        "HKEY_CURRENT_USER": 0x80000001,
        "REG_SZ": 1,
        "REG_DWORD": 4,
        "OpenKey": open_key,
        "OpenKeyEx": open_key,
        "QueryValueEx": query_value_ex,
        "CloseKey": lambda _: None,
    }
    vars(module).update(members)
    return module


def _scproxy(mac: Mac) -> types.ModuleType:
    """A `_scproxy`, as CPython's Modules/_scproxy.c fills it from the system configuration."""
    module = types.ModuleType("_scproxy")
    proxies = {"http": mac.http, "https": mac.https, "ftp": None, "gopher": None, "socks": mac.socks}
    found = {scheme: f"http://{proxy}" for scheme, proxy in proxies.items() if proxy is not None}
    settings: dict[str, Any] = {"exclude_simple": mac.exclude_simple}
    if mac.exceptions:
        settings["exceptions"] = mac.exceptions
    vars(module).update(_get_proxies=lambda: dict(found), _get_proxy_settings=lambda: dict(settings))
    return module


def _caseless(environ: Any) -> Any:
    """The variables as on Windows, where every name is upper-case, however it is asked for."""

    def encode(key: str) -> bytes:
        return environ.encodekey(key.upper())  # type: ignore[no-any-return]

    held = {encode(key): environ.encodevalue(value) for key, value in environ.items()}
    return os._Environ(held, encode, environ.decodekey, environ.encodevalue, environ.decodevalue)


# ---------------------------------------------------------------------------------------- names and addresses


def _names(table: Mapping[str, Sequence[str]]) -> None:
    """Look names up in a table, and nowhere else."""
    really = socket.getaddrinfo

    def addresses(host: str) -> Sequence[str]:
        if host.lower() not in table:
            raise socket.gaierror(socket.EAI_NONAME, f"{host} is not known here")
        return table[host.lower()]

    def getaddrinfo(host: Any, port: Any, family: int = 0, *arguments: Any, **named: Any) -> list[Any]:
        text = host.decode() if isinstance(host, bytes) else host
        if not text or _literal(text):
            return really(host, port, family, *arguments, **named)
        found: list[Any] = []
        for address in addresses(text):
            if family in (0, socket.AF_INET6 if ":" in address else socket.AF_INET):
                found += really(address, port, family, *arguments, **named)
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, f"{text} has no address of this family")
        return found

    def gethostbyname(host: str) -> str:
        four = [host] if _literal(host) else addresses(host)
        for address in four:
            if ":" not in address:
                return address
        raise socket.gaierror(socket.EAI_NONAME, f"{host} has no IPv4 address")

    def getfqdn(name: str = "") -> str:
        return next((host for host, held in table.items() if name in held), name or "localhost")

    socket.getaddrinfo, socket.gethostbyname, socket.getfqdn = getaddrinfo, gethostbyname, getfqdn


def _literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _connections(ports: Mapping[int, int]) -> None:
    """Refuse what would leave this machine, and lead ports elsewhere."""

    def led(address: Any) -> Any:
        if not isinstance(address, tuple):
            return address  # a Unix socket
        host, port, *rest = address
        tried.append((host, port))
        there = ipaddress.ip_address(host.partition("%")[0]) if _literal(host) else None
        if host not in ("", "localhost") and (there is None or not (there.is_loopback or there.is_unspecified)):
            raise ConnectionRefusedError(f"ollama-harness lets nothing go to {host}, which is no loopback address")
        return (host, ports.get(port, port), *rest)

    def wrap(owner: type[Any], name: str, position: int) -> None:
        really: Callable[..., Any] = getattr(owner, name)

        def connect(*arguments: Any) -> Any:
            head, address, tail = arguments[:position], arguments[position], arguments[position + 1 :]
            return really(*head, led(address), *tail)

        setattr(owner, name, connect)

    wrap(socket.socket, "connect", 1)
    wrap(socket.socket, "connect_ex", 1)
    if sys.platform == "win32":
        from asyncio.windows_events import IocpProactor

        wrap(IocpProactor, "connect", 2)  # it calls ConnectEx, and no method of the socket
