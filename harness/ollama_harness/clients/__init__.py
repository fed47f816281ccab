"""The clients under test. Each module of this room that has a list `CLIENTS` adds its clients; no other list names
them.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil

from ollama_harness.clients.adapter import Client
from ollama_harness.errors import UnknownName

__all__ = ["Client", "client", "clients"]


@functools.cache
def clients() -> dict[str, Client]:
    """All clients by name: first the real ones, then the canaries, both sorted."""
    modules = [importlib.import_module(f"{__name__}.{info.name}") for info in pkgutil.iter_modules(__path__)]
    found = [one for module in modules for one in getattr(module, "CLIENTS", ())]
    return {one.name: one for one in sorted(found, key=lambda one: (one.is_canary, one.name))}


def client(name: str) -> Client:
    """One client.

    Raises: UnknownName.
    """
    if name not in clients():
        raise UnknownName("client", name, clients())
    return clients()[name]
