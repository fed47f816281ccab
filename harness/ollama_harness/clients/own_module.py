"""Clients in Python that are not of this package: a user's own file, and the entry points of other packages."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

from ollama_harness.clients.adapter import Client
from ollama_harness.errors import ClientError

__all__ = ["ENTRY_POINT", "from_entry_points", "load"]

#: The group of entry points. Each names a module that has a list `CLIENTS`, or such a list.
ENTRY_POINT = "ollama_harness.clients"

#: The modules that were loaded from files, by name.
_loaded: dict[str, ModuleType] = {}


def load(path: Path) -> list[Client]:
    """The clients of a file, which is imported. Its folder comes last on `sys.path`, so it hides no other module.

    Raises: ClientError.
    """
    path = path.resolve()
    name = path.stem
    if not path.is_file():
        raise ClientError(f"{path} is no file; give a Python file that has a list CLIENTS")
    if not name.isidentifier() or (name in sys.modules and name not in _loaded):
        raise ClientError(f"{path}: {name!r} cannot be the name of its module; rename the file")
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ClientError(f"{path} is no Python file; its name must end in .py")
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = _loaded[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ClientError(f"{path} cannot be imported: {_explained(error)}") from error
    return [replace(one, file=path) for one in _clients_in(module, str(path))]


def from_entry_points() -> Iterator[tuple[Client, str]]:
    """The clients of other packages that are installed, each with its origin in words.

    Raises: ClientError, if an entry point cannot be loaded or brings no clients.
    """
    for point in metadata.entry_points(group=ENTRY_POINT):
        origin = f"the entry point {point.name} = {point.value} ({ENTRY_POINT})"
        try:
            value = point.load()
        except Exception as error:
            raise ClientError(f"{origin} cannot be loaded: {_explained(error)}; fix or uninstall it") from error
        for one in _clients_in(value, origin):
            yield one, origin


def _clients_in(value: Any, origin: str) -> list[Client]:
    found = getattr(value, "CLIENTS", value)
    if not isinstance(found, list | tuple) or not found or not all(isinstance(one, Client) for one in found):
        raise ClientError(f"{origin} has no list CLIENTS of ollama_harness.clients.Client")
    return list(found)


def _explained(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
