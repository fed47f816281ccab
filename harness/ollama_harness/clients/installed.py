"""The clients that can run here, and the optional packages that change what they can do."""

from __future__ import annotations

import sys
from importlib import metadata

from ollama_harness.clients import Client, client, clients

__all__ = ["installed", "installed_extras", "left_out", "missing", "runnable"]

#: Packages that let a client use SOCKS.
_EXTRAS = ("PySocks", "socksio")


def installed() -> dict[str, str]:
    """The clients in Python whose library is installed here, with its version. urllib always is."""
    return {name: version for name, version in _versions().items() if version is not None}


def missing() -> dict[str, str]:
    """The clients in Python whose library is not installed here, with the package that pip installs."""
    return {name: client(name).distribution for name, version in _versions().items() if version is None}


def runnable() -> list[str]:
    """The clients of packages, in any language, that can run here."""
    return [*installed(), *(one.name for one, why in _programs() if why is None)]


def left_out() -> list[str]:
    """A line for each group of clients of packages that cannot run here: the clients, and what installs them."""
    lines = []
    if absent := missing():
        packages = " ".join(sorted(set(absent.values())))
        lines.append(f"not installed, and left out: {', '.join(absent)} (python -m pip install {packages})")
    groups: dict[str, list[str]] = {}
    for one, why in _programs():
        if why is not None:
            groups.setdefault(why, []).append(one.name)
    return [*lines, *(f"left out: {', '.join(names)} ({why})" for why, names in groups.items())]


def _programs() -> list[tuple[Client, str | None]]:
    """The clients of packages that are programs, and why each cannot run here."""
    return [(one, one.command.missing) for one in clients().values() if one.command is not None and not one.option]


def _versions() -> dict[str, str | None]:
    return {
        one.name: _version(one.distribution)
        for one in clients().values()
        if one.exchange is not None and not one.is_canary and not one.option
    }


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
