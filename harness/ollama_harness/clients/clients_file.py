"""Reads a clients.toml: clients that are programs, in any language. docs/client-protocol.md describes the format.

The clients of the package that are programs stand in such files, too (`programs/<language>/clients.toml`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

from ollama_harness.clients.adapter import Client, Command, Contract, Layer, Yields
from ollama_harness.clients.places import ClientPlace, Library
from ollama_harness.errors import ClientError
from ollama_harness.files.fields import Fields, is_count, is_one_line
from ollama_harness.files.reading import read_toml

__all__ = ["read"]

#: Files beside the programs that no program is made of.
_ABOUT = ("clients.toml", "known_issues.toml")

_YIELDS = {one.name.lower(): one for one in Yields}
#: The Python that runs the harness, for adapters that are written in Python.
_PYTHON = {"{python}": sys.executable}
_ARGUMENTS = 'a list of arguments, ["node", "my.mjs"]'


@dataclass(frozen=True, slots=True, kw_only=True)
class _Install:
    """The table [install]: a `toolchain` on PATH, how to `get` it, and `steps`, which make what they `make`.

    `registry` is where its libraries are, and `version_steps` make what the steps make, with another version of one.
    """

    toolchain: str
    get: str
    steps: tuple[tuple[str, ...], ...] = ()
    makes: str = ""
    registry: str = ""
    version_steps: tuple[tuple[str, ...], ...] = ()


def read(path: Path, *, of_package: bool = False) -> tuple[Client, ...]:
    """The clients of a file. Their programs start in its folder; those of the package in a place of their own, if they
    must be built.

    Raises: ClientError, which names the file and the key.
    """
    path = path.resolve()
    top = Fields(path, read_toml(path, ClientError, fix="give a file of clients"), "", ClientError)
    needs = top.take("install", _is_table, "a table", optional=True)
    entries = top.take("client", _is_tables, "one table [[client]] for each client")
    top.no_more()
    install = None if needs is None else _install(Fields(path, needs, "install.", ClientError))
    tables = (Fields(path, entry, f"client[{number}].", ClientError) for number, entry in enumerate(entries, 1))
    found = [_client(path, table, install) for table in tables]
    if not of_package or install is None or not install.steps:
        return tuple(found)
    place = _place(path.parent, install, [one.command for one in found if one.command is not None])
    return tuple(replace(one, command=one.command and replace(one.command, place=place)) for one in found)


def _place(folder: Path, install: _Install, commands: Sequence[Command]) -> ClientPlace:
    """The place for programs: all files of their folder, but for what is said about them, and what the steps make if
    they are run there.
    """
    programs = [one.arguments[0] for one in commands if len(PurePath(one.arguments[0]).parts) > 1]
    makes = tuple(dict.fromkeys(one for one in (install.makes, *programs) if one))
    left_out = {*_ABOUT, *(PurePath(one).parts[0] for one in makes)}
    files: dict[str, Path] = {}
    for where, folders, names in os.walk(folder):
        if Path(where) == folder:
            folders[:] = set(folders) - left_out  # a build may be at work there
            names = sorted(set(names) - left_out)
        files |= {(path := Path(where, name)).relative_to(folder).as_posix(): path for name in names}
    return ClientPlace(
        name=folder.name,
        files=files,
        steps=install.steps,
        makes=makes,
        toolchain=install.toolchain,
        get=install.get,
        depends_on=install.steps,
    )


def _client(path: Path, fields: Fields, install: _Install | None) -> Client:
    name = fields.take("name", is_one_line, "a name")
    layer = fields.take("layer", _one_of(Layer), f'"{Layer.OLLAMA}" or "{Layer.HTTP}"', optional=True)
    needs = fields.take("needs", _are_lines, "a list of programs", optional=True) or ()
    library = fields.take("library", is_one_line, "the name of a library in the registry", optional=True)
    if library and not (install and install.registry and install.version_steps):
        fix = "give both in [install], or leave it out"
        raise ClientError.about(path, f"client {name}: library", "needs a registry and version_steps", fix)
    command = Command(
        arguments=tuple(_PYTHON.get(one, one) for one in fields.take("command", _are_arguments, _ARGUMENTS)),
        folder=path.parent,
        file=path,
        needs=tuple(needs),
        get=install.get if install else "",
        steps=install.steps if install else (),
        makes=install.makes if install else "",
        library=Library(install.registry, library, install.version_steps) if install and library else None,
    )
    warms_up = _flag(fields, "warms_up", default=False)
    yields = fields.take("yields", lambda v: v in _YIELDS, f"one of {', '.join(_YIELDS)}", optional=True)
    drops_thinking = _flag(fields, "drops_thinking", default=False)
    paths = fields.take("paths", _are_paths, 'a list of patterns of paths, ["/v1/*"]', optional=True)
    seen_in = fields.take("seen_in", _are_lines, 'a list of versions, ["7.88"]', optional=True)
    contract = fields.take("contract", _is_table, "a table [client.contract]", optional=True)
    place = f"client {name}: contract."
    fields.no_more()
    return Client(
        name=name,
        layer=Layer.OLLAMA if layer is None else Layer(layer),
        contract=_contract(Fields(path, contract or {}, place, ClientError)),
        yields=_YIELDS[yields or "records"],
        drops_thinking=drops_thinking,
        warms_up=warms_up,
        paths=tuple(paths or ["*"]),
        optional=True,
        command=command,
        seen_in=tuple(seen_in or ()),
    )


def _contract(fields: Fields) -> Contract:
    def line(name: str) -> Any:
        return fields.take(name, is_one_line, "a text in one line", optional=True)

    def names(name: str) -> frozenset[str] | None:
        found = fields.take(name, _are_lines, "a list of names", optional=True)
        return None if found is None else frozenset(found)

    contract = Contract(
        exceptions=names("exceptions"),
        timeouts=names("timeouts") or frozenset(),
        source=line("source") or "",
        read_timeout=line("read_timeout"),
        default_timeout=line("default_timeout") or "",
        retries=fields.take("retries", is_count, "a number, 0 or more", optional=True) or 0,
        streams=_flag(fields, "streams", default=True),
        unknown_fields=names("unknown_fields") or frozenset(),
        zero_values=_flag(fields, "zero_values", default=False),
        variables=names("variables"),
        reads_through=line("reads_through") or "",
        proxy_rules=line("proxy_rules") or "",
        ignores_settings=line("ignores_settings") or "",
    )
    fields.no_more()
    return contract


def _install(fields: Fields) -> _Install:
    steps = fields.take("steps", _are_steps, f"a list, each item {_ARGUMENTS}", optional=True)
    version_steps = fields.take("version_steps", _are_steps, f"a list, each item {_ARGUMENTS}", optional=True)
    install = _Install(
        toolchain=fields.take("toolchain", is_one_line, "the name of a program"),
        get=fields.take("get", is_one_line, "where to get the toolchain, in one line"),
        steps=tuple(map(tuple, steps or ())),
        makes=fields.take("makes", is_one_line, "a path that the steps make", optional=True) or "",
        registry=fields.take("registry", is_one_line, "the name of a registry", optional=True) or "",
        version_steps=tuple(map(tuple, version_steps or ())),
    )
    fields.no_more()
    return install


def _flag(fields: Fields, name: str, *, default: bool) -> bool:
    found = fields.take(name, lambda v: isinstance(v, bool), "true or false", optional=True)
    return default if found is None else found


def _is_table(value: Any) -> bool:
    return isinstance(value, dict)


def _is_tables(value: Any) -> bool:
    return isinstance(value, list) and value != [] and all(map(_is_table, value))


def _are_lines(value: Any) -> bool:
    return isinstance(value, list) and all(map(is_one_line, value))


def _are_paths(value: Any) -> bool:
    return value != [] and _are_lines(value)


def _are_arguments(value: Any) -> bool:
    return isinstance(value, list) and value != [] and all(isinstance(one, str) and "\0" not in one for one in value)


def _are_steps(value: Any) -> bool:
    return isinstance(value, list) and all(map(_are_arguments, value))


def _one_of(kind: type[Layer]) -> Callable[[Any], bool]:
    return lambda value: value in list(kind)
