"""The clients that can run here."""

from __future__ import annotations

import platform

from ollama_harness.clients import Client, clients
from ollama_harness.clients.adapter import version_here

__all__ = ["brought", "installed", "left_out", "not_installed", "of_packages", "runnable"]


#: The command that installs what is left out.
_ALL = "ollama-harness install --all"


def of_packages() -> list[Client]:
    """The clients of this package and of others, in any language, without the canaries and the user's own."""
    return [one for one in clients().values() if not one.is_canary and not one.option]


def brought() -> list[Client]:
    """The clients in Python whose library this package brings, or Python itself."""
    return [one for one in of_packages() if one.command is None and not one.optional and one.is_here]


def installed() -> dict[str, str]:
    """The clients in Python whose library this Python has, with its version. urllib always is."""
    here = [one for one in of_packages() if one.command is None and one.is_here]
    return {
        one.name: (version_here(one.distribution) if one.distribution else None) or platform.python_version()
        for one in here
    }


def runnable() -> list[str]:
    """The clients of packages, in any language, that can run here."""
    return [one.name for one in of_packages() if one.missing is None]


def not_installed() -> list[str]:
    """The clients of packages that are not installed, and that `ollama-harness install` can install here."""
    return [one.name for one in of_packages() if one.missing is not None and _can_be_installed(one)]


def left_out() -> list[str]:
    """A line for each group of clients of packages that cannot run here: the clients, and what changes that."""
    groups: dict[str, list[str]] = {}
    for one in of_packages():
        if (why := one.missing) is not None:
            groups.setdefault(_remedy(one) or why, []).append(one.name)
    return [f"not installed, and left out: {', '.join(names)} ({why})" for why, names in groups.items()]


def _remedy(one: Client) -> str | None:
    """What installs a client together with all others; None if nothing does here."""
    if one.place is None or not _can_be_installed(one):
        return None
    return f"{one.place.defect}; {_ALL}" if one.place.defect else _ALL


def _can_be_installed(one: Client) -> bool:
    return one.place is not None and one.place.lacks is None and (one.command is None or one.command.lacks is None)
