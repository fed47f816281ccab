"""The client libraries that are installed here, and the optional packages that change what they can do."""

from __future__ import annotations

import sys
from importlib import metadata

from ollama_harness.clients import Client, client, clients

__all__ = ["installed", "installed_extras", "missing"]

#: Packages that let a client use SOCKS.
_EXTRAS = ("PySocks", "socksio")


def installed() -> dict[str, str]:
    """The clients whose library is installed here, with its version. urllib always is."""
    return {name: version for name, version in _versions().items() if version is not None}


def missing() -> dict[str, str]:
    """The clients that are not installed here, with the package that pip installs; "" for a program."""
    return {name: client(name).distribution for name, version in _versions().items() if version is None}


def _versions() -> dict[str, str | None]:
    return {one.name: _version_of(one) for one in clients().values() if not one.is_canary}


def _version_of(one: Client) -> str | None:
    """The version of a client's library; None if it is not here. A program says its version when it starts: ""."""
    if one.command is not None:
        return "" if one.command.is_there else None
    return _version(one.distribution)


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
