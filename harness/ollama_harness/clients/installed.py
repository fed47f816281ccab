"""The client libraries that are installed here, and the optional packages that change what they can do."""

from __future__ import annotations

import sys
from importlib import metadata

from ollama_harness.clients import clients

__all__ = ["installed", "installed_extras"]

#: Packages that let a client use SOCKS.
_EXTRAS = ("PySocks", "socksio")


def installed() -> dict[str, str]:
    """The client libraries that are installed here, with their versions. urllib always is."""
    found = {}
    for one in clients().values():
        if not one.is_canary and (version := _version(one.distribution)) is not None:
            found[one.name] = version
    return found


def installed_extras() -> frozenset[str]:
    """The installed optional packages that decide which routes a client can use."""
    return frozenset(name for name in _EXTRAS if _version(name) is not None)


def _version(distribution: str) -> str | None:
    if not distribution:
        return ".".join(map(str, sys.version_info[:3]))
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
