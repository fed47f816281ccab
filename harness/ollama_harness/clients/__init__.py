"""The clients under test, and the doors by which they come in.

In the package a client is a module of this room that has a list `CLIENTS`, or an entry of `programs/<language>/
clients.toml`; no other list names them. Other packages bring clients by the entry point `ollama_harness.clients`. A
user's own clients come from a file in Python (`add_file`), a clients.toml (`add_clients_file`), or a command line
(`add_command`), for as long as this process runs.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from ollama_harness.clients import clients_file, own_module
from ollama_harness.clients.adapter import Client, Command, Contract, Layer, Yields
from ollama_harness.clients.places import Library
from ollama_harness.errors import ClientError, UnknownName

__all__ = [
    "Client",
    "Contract",
    "Layer",
    "Yields",
    "add_clients_file",
    "add_command",
    "add_file",
    "client",
    "clients",
    "is_canary",
    "known_issue_files",
    "named",
    "without_version",
]

_PROGRAMS = Path(__file__).parent / "programs"

#: The user's own clients.
_own: dict[str, Client] = {}


@functools.cache
def clients() -> dict[str, Client]:
    """All clients by name: first the real ones, then the canaries, both sorted.

    Raises: ClientError (an entry point brings none).
    """
    found = [*_packaged().values(), *_own.values()]
    return {one.name: one for one in sorted(found, key=lambda one: (one.is_canary, one.name))}


def client(name: str) -> Client:
    """One client. NAME==VERSION is a client of the package with that version of its library.

    Raises: UnknownName, ClientError (it can have no other version, or that is no version).
    """
    plain, pinned, version = name.partition("==")
    if plain not in clients():
        raise UnknownName("client", plain, clients())
    one = clients()[plain]
    if not pinned:
        return one
    if one.library is None or not _is_of_this_package(one):
        fix = f"leave out =={version}; these can: {', '.join(one.name for one, _ in _with_versions())}"
        raise ClientError(f"{name}: {plain} can have no other version; {fix}")
    if not re.fullmatch(r"[0-9][A-Za-z0-9.!+-]*", version):
        raise ClientError(f"{name}: {version!r} is no version of {one.library.name}; write {plain}==1.2.3")
    return one.at(version)


def named(text: str) -> list[Client]:
    """The clients that a user names: NAME, NAME==VERSION, or REGISTRY:PACKAGE@VERSION for all clients of that package.

    Raises: UnknownName, ClientError.
    """
    registry, is_package, rest = text.partition(":")
    if not is_package:
        return [client(text)]
    packages: dict[str, dict[str, list[str]]] = {}
    for one, library in _with_versions():
        packages.setdefault(library.registry, {}).setdefault(library.name, []).append(one.name)
    if registry not in packages:
        raise UnknownName("registry", registry, packages)
    package, _, version = rest.rpartition("@")
    if not (package and version):
        raise ClientError(f"{text}: names no version; write {registry}:{package or rest}@1.2.3")
    if package not in packages[registry]:
        raise UnknownName(f"package of {registry} that is a client", package, packages[registry])
    return [client(f"{name}=={version}") for name in packages[registry][package]]


def _with_versions() -> list[tuple[Client, Library]]:
    """The clients that can have another version, each with its library."""
    found = ((one, one.library) for one in clients().values() if _is_of_this_package(one))
    return [(one, library) for one, library in found if library is not None]


def _is_of_this_package(one: Client) -> bool:
    """Whether the adapter is this package's: another package is not in the environment of a version."""
    return not one.option and (one.exchange is None or one.exchange.__module__.startswith(f"{__name__}."))


def without_version(name: str) -> str:
    """The name of a client whose name may say which version of its library it has."""
    return name.partition("==")[0]


def is_canary(name: str) -> bool:
    """Whether a client of this name is a canary. The results of an earlier run may name clients that are not here."""
    return name in clients() and clients()[name].is_canary


def known_issue_files() -> list[Path]:
    """The lists of known issues that stand beside files of clients."""
    commands = (one.command for one in clients().values() if one.command is not None)
    files = {one.file.with_name("known_issues.toml") for one in commands if one.file is not None}
    return sorted(file for file in files if file.is_file())


def add_file(path: Path) -> list[str]:
    """Add the clients of a file in Python, which has a list `CLIENTS`; returns their names.

    Raises: ClientError.
    """
    return _add(own_module.load(path), f"--client-file {shlex.quote(str(path))}")


def add_clients_file(path: Path) -> list[str]:
    """Add the clients of a clients.toml; returns their names.

    Raises: ClientError.
    """
    return _add(clients_file.read(path), f"--clients-file {shlex.quote(str(path))}")


def add_command(name: str, arguments: Sequence[str], *, yields: Yields = Yields.RECORDS) -> list[str]:
    """Add a program, which starts in the current directory, as a client that promises nothing; returns its name.

    Raises: ClientError.
    """
    option = f"--client-command {shlex.quote(f'{name}={shlex.join(arguments)}')}"
    command = Command(arguments=tuple(arguments), folder=Path.cwd())
    if command.program is None:
        raise ClientError(f"{option}: there is no program {arguments[0]!r}; give its path, or put it on PATH")
    return _add([Client(name=name, contract=Contract(), yields=yields, command=command)], option)


def _add(found: Iterable[Client], option: str) -> list[str]:
    """Add a user's own clients. One of an earlier origin with the same name is replaced."""
    names = []
    for one in found:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", one.name):
            raise ClientError(f"{option}: the name {one.name!r} has other characters than letters, digits and . _ -")
        if one.name in _packaged():
            raise ClientError(f"{option}: the package has a client called {one.name!r}; choose another name")
        if one.name in names:
            raise ClientError(f"{option}: two clients are called {one.name!r}; choose another name for one")
        _own[one.name] = replace(one, option=option)
        names.append(one.name)
    clients.cache_clear()
    return names


@functools.cache
def _packaged() -> dict[str, Client]:
    """The clients of this package, and those of other packages."""
    modules = [importlib.import_module(f"{__name__}.{info.name}") for info in pkgutil.iter_modules(__path__)]
    found = [one for module in modules for one in getattr(module, "CLIENTS", ())]
    for path in sorted(_PROGRAMS.glob("*/clients.toml")):
        found += clients_file.read(path, of_package=True)
    names = {one.name for one in found}
    for one, origin in own_module.from_entry_points():
        if one.name in names:
            raise ClientError(f"{origin}: there is another client called {one.name!r}; one package must rename its own")
        names.add(one.name)
        found.append(one)
    return {one.name: one for one in found}
