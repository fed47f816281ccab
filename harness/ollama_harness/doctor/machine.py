"""What this machine says of its network, and which clients are installed. Nothing is changed."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from importlib import metadata
from typing import Any

from ollama_harness.clients import clients
from ollama_harness.network import windows_registry
from ollama_harness.network.settings import Mac, Settings, System

__all__ = ["extras", "installed", "settings"]

#: Packages that teach a client SOCKS.
_EXTRAS = ("PySocks", "socksio")
_OTHERS = ("REQUEST_METHOD", "OLLAMA_HOST")


def settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings that a process born now would find."""
    system = System.here()
    variables = {
        name: value for name, value in environ.items() if name.lower().endswith("_proxy") or name.upper() in _OTHERS
    }
    registry = windows_registry.read() if system is System.WINDOWS else None
    return Settings(system=system, variables=variables, registry=registry, mac=_mac())


def installed() -> dict[str, str]:
    """The client libraries that are installed here, with their versions; urllib always is."""
    found = {}
    for one in clients().values():
        if not one.is_canary and (version := _version(one.distribution)) is not None:
            found[one.name] = version
    return found


def extras() -> frozenset[str]:
    """The optional packages that matter for the way."""
    return frozenset(name for name in _EXTRAS if _version(name) is not None)


def _version(distribution: str) -> str | None:
    if not distribution:
        return ".".join(map(str, sys.version_info[:3]))
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _mac() -> Mac | None:
    if sys.platform != "darwin":
        return None
    import _scproxy  # type: ignore[import-not-found,unused-ignore]

    proxies: dict[str, str] = _scproxy._get_proxies()
    held: dict[str, Any] = _scproxy._get_proxy_settings()
    named = {scheme: url.rpartition("//")[2] for scheme, url in proxies.items() if scheme in ("http", "https", "socks")}
    return Mac(
        **named,
        exclude_simple=bool(held.get("exclude_simple")),
        exceptions=tuple(one for one in held.get("exceptions", ()) if one),
    )
