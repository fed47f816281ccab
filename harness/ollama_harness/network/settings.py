"""The network settings of a machine that a client may read: variables, and the system's own proxy settings."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

__all__ = ["Mac", "Registry", "Settings", "System", "hidden"]


class System(StrEnum):
    """The system, which decides where its own settings are, and whether `HTTP_PROXY` and `http_proxy` are the same."""

    POSIX = "posix"
    WINDOWS = "windows"
    MACOS = "macos"

    @classmethod
    def here(cls) -> System:
        """The system of this machine."""
        return {"win32": cls.WINDOWS, "darwin": cls.MACOS}.get(sys.platform, cls.POSIX)


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    r"""Values of `HKCU\Software\Microsoft\Windows\CurrentVersion\Internet Settings`; None is a value that is absent.

    `enable` is ProxyEnable (a DWORD, but some programs write a string), `server` ProxyServer, `override`
    ProxyOverride, `pac_url` AutoConfigURL.
    """

    enable: int | str | None = None
    server: str | None = None
    override: str | None = None
    pac_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mac:
    """macOS: the Proxies of the system configuration. Proxies are `host:port`, or None if they are off.

    `exceptions` is "Bypass proxy settings for these hosts", `exclude_simple` "Exclude simple hostnames".
    """

    http: str | None = None
    https: str | None = None
    socks: str | None = None
    exclude_simple: bool = False
    exceptions: tuple[str, ...] = ()
    pac_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings that decide the route of a request. `registry` is None except on Windows, `mac` except on macOS.

    `variables` holds the variables that clients read: `*_proxy` in any case, REQUEST_METHOD, OLLAMA_HOST.
    """

    system: System
    variables: Mapping[str, str] = field(default_factory=dict)
    registry: Registry | None = None
    mac: Mac | None = None

    def variable(self, name: str) -> str | None:
        """A variable as a process finds it. On Windows, case does not matter."""
        if self.system is not System.WINDOWS:
            return self.variables.get(name)
        return next((value for key, value in self.variables.items() if key.upper() == name.upper()), None)

    @property
    def decides(self) -> bool:
        """Whether anything is set that may decide a route."""
        return bool(self.variables or (self.registry and self.registry.server) or self.mac not in (None, Mac()))

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Settings:
        registry, mac = value["registry"], value["mac"]
        return cls(
            system=System(value["system"]),
            variables=value["variables"],
            registry=registry and Registry(**registry),
            mac=mac and Mac(**{**mac, "exceptions": tuple(mac["exceptions"])}),
        )


def hidden(text: str) -> str:
    """A proxy's URL, or a list of URLs, with everything between `user:` and the last `@` replaced by `***`."""
    head, at, tail = text.rpartition("@")
    if not at:
        return text
    start = re.match(r"((?:[^:/@;=]*=)?(?:[^:/@]*:?//)?)([^:/@]*)(:?)", head)
    assert start is not None  # every part of the pattern is optional
    prefix, user, colon = start.groups()
    return f"{prefix}{user}:***@{tail}" if colon else f"{prefix}***@{tail}"
