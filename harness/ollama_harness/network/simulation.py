"""Simulates another machine's network settings inside a client's process, by patching the standard library.

The libraries' own code for Windows and macOS runs on any system. `urllib.request` and `requests.utils` choose that code
when they are imported, by `os.name` and `sys.platform`. So `install` changes these two names, reloads the module, and
changes them back at once: the module keeps the functions of the other system, and everything else in the process
behaves as on this one. Those functions then import `winreg` or `_scproxy`, and find a module in `sys.modules` that
returns the environment's settings. On a simulated Windows, `os.environ` ignores case.

What happens to names and connections is in `patched_sockets`.

All of this happens before the client library is imported, because libraries copy functions and read settings at import.
Nothing is undone: a process is one machine for its whole life.
"""

from __future__ import annotations

import importlib
import os
import sys
import types
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ollama_harness.network import patched_sockets, write_log
from ollama_harness.network.patched_sockets import Reach
from ollama_harness.network.settings import Mac, Registry, Settings, System

__all__ = ["SimulatedMachine", "install", "patch_imported", "winreg"]

_KEY = r"Software\Microsoft\Windows\CurrentVersion\Internet Settings"

#: The variables with which the process started.
_first_variables = dict(os.environ)

_NAMES: Mapping[str, tuple[str, ...]] = {"localhost": ("127.0.0.1", "::1")}


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedMachine:
    """The machine that a client's process finds. `settings` are the network settings (None: those of this machine).

    `names` holds the addresses of each host name, in order; other names have no address. None means this machine's own
    name resolution. `reach` says which connections are made. A connection to a key of `ports` goes to the port that is
    its value, so that no request reaches a real Ollama on its default port. `proxies` are the ports of the harness's
    own proxies, for clients that are only asked for their route. `later` are variables that change after a client has
    been made. With `counts_writes` the process reports its writes to sockets.
    """

    settings: Settings | None = None
    names: Mapping[str, Sequence[str]] | None = field(default_factory=lambda: _NAMES)
    reach: Reach = Reach.LOOPBACK
    ports: Mapping[int, int] = field(default_factory=dict)
    proxies: tuple[int, ...] = ()
    later: Mapping[str, str] = field(default_factory=dict)
    counts_writes: bool = False

    def reset_variables(self) -> None:
        """Set the variables to their first values, before a client is made."""
        for name, value in _first_variables.items() if self.later else ():
            os.environ[name] = value
        for name in self.later.keys() - _first_variables.keys():
            os.environ.pop(name, None)

    def change_variables(self) -> None:
        """Change the variables, after a client has been made."""
        os.environ.update(self.later)

    def to_json(self) -> dict[str, Any]:
        settings = None if self.settings is None else self.settings.to_json()
        return {
            "settings": settings,
            "names": self.names and dict(self.names),
            "reach": self.reach,
            "ports": list(self.ports.items()),
            "proxies": self.proxies,
            "later": dict(self.later),
            "counts_writes": self.counts_writes,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> SimulatedMachine:
        settings = value["settings"] and Settings.from_json(value["settings"])
        return cls(
            settings=settings,
            names=value["names"],
            reach=Reach(value["reach"]),
            ports=dict(value["ports"]),
            proxies=tuple(value["proxies"]),
            later=value["later"],
            counts_writes=value["counts_writes"],
        )


def install(machine: SimulatedMachine) -> None:
    """Simulate a machine in this process. Call this before any client library is imported."""
    patched_sockets.install(machine.names, machine.reach, machine.ports)
    if machine.counts_writes:
        write_log.watch()
    if machine.settings is not None:
        _system(machine.settings)


def patch_imported(library: str, machine: SimulatedMachine) -> None:
    """Patch a library after its import: requests has its own code for Windows."""
    if library == "requests" and machine.settings is not None and machine.settings.system is System.WINDOWS:
        with _as_if(os_name=os.name, platform="win32"):
            importlib.reload(importlib.import_module("requests.utils"))


# ---------------------------------------------------------------------------------------- the system's settings


def _system(settings: Settings) -> None:
    import urllib.request

    match settings.system:
        case System.WINDOWS:
            sys.modules["winreg"] = winreg(settings.registry or Registry())
            if sys.platform != "win32":
                os.environ = _caseless(os.environ)  # noqa: B003 - the real variables stay as they are
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

    On Windows the real module answers all other queries: `platform` reads the system's version there. On other systems
    such a query is an error.
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
            raise NotImplementedError(f"the simulated registry has no key {sub_key!r}")
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
    """A `_scproxy` that returns what CPython's Modules/_scproxy.c would read from the system configuration."""
    module = types.ModuleType("_scproxy")
    proxies = {"http": mac.http, "https": mac.https, "ftp": None, "gopher": None, "socks": mac.socks}
    found = {scheme: f"http://{proxy}" for scheme, proxy in proxies.items() if proxy is not None}
    settings: dict[str, Any] = {"exclude_simple": mac.exclude_simple}
    if mac.exceptions:
        settings["exceptions"] = mac.exceptions
    vars(module).update(_get_proxies=lambda: dict(found), _get_proxy_settings=lambda: dict(settings))
    return module


def _caseless(environ: Any) -> Any:
    """The variables as on Windows, where all names are upper-case, and lookups ignore case."""

    def encode(key: str) -> bytes:
        return environ.encodekey(key.upper())  # type: ignore[no-any-return]

    held = {encode(key): environ.encodevalue(value) for key, value in environ.items()}
    return os._Environ(held, encode, environ.decodekey, environ.encodevalue, environ.decodevalue)
