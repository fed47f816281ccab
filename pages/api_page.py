"""docs/api.md: the stable names, with their signatures and docstrings, printed from the code.

python -m pages api
"""

from __future__ import annotations

import enum
import functools
import inspect
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath
from textwrap import indent
from typing import Any

import ollama_harness
from ollama_harness import errors, faults, recorder
from ollama_harness.server import programme, proxy
from pages.page import Page

__all__ = ["STABLE", "api"]

#: Public to pytest-httpserver, which calls it.
_INTERNAL = {"respond_nohandler"}


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the page: names with their values, and the module from which a user imports them."""

    title: str
    module: str
    about: str
    names: dict[str, Any]


def _named(module: types.ModuleType, *names: str) -> dict[str, Any]:
    return {name: getattr(module, name) for name in names}


STABLE = (
    Part(
        "The servers",
        "ollama_harness",
        "The servers that a test uses.",
        _named(ollama_harness, "FakeOllama", "FakeProxy"),
    ),
    Part(
        "Programmes",
        "ollama_harness.server.programme",
        "Which request gets which answer; [serve.md](serve.md) shows the same in files and on the command line.",
        _named(programme, "Programme", "ProgrammeRule", "When", "Play", "own_reply", "OwnError", "OwnVectors"),
    ),
    Part(
        "Recordings",
        "ollama_harness",
        "What a real Ollama sent, and the store of recordings.",
        _named(ollama_harness, "Recording", "RecordingStore"),
    ),
    Part(
        "Recording a server",
        "ollama_harness.recorder",
        "The function behind `ollama-harness record`.",
        _named(recorder, "record"),
    ),
    Part(
        "What a proxy does",
        "ollama_harness.server.proxy",
        f"`MODES` holds them by name: {', '.join(f'`{name}`' for name in proxy.MODES)}.",
        _named(proxy, "Forward"),
    ),
    Part(
        "Faults and places",
        "ollama_harness.faults",
        "[faults.md](faults.md) describes each. Call a fault to make it, and pass it to `FakeOllama.play`.",
        {name: kind.make for kinds in (faults.FAULTS, faults.PLACES) for name, kind in kinds.items()},
    ),
    Part(
        "Errors",
        "ollama_harness.errors",
        "All errors except `ProtocolError` are a `HarnessError`: something cannot be done, and the message says why.",
        {
            name: value
            for name, value in vars(errors).items()
            if inspect.isclass(value) and value.__module__ == errors.__name__
        },
    ),
)

_HEAD = """\
# What is stable

The names on this page keep their names, arguments and meaning until the next major version. Everything else in the
package may change at any time. The page is printed from the code by `python -m pages api`; a test keeps it current.
"""


def api() -> str:
    """The whole page, in Markdown."""
    lines = [_HEAD]
    for part in STABLE:
        lines += [f"## {part.title}", "", f"`from {part.module} import {_imports(part)}`", "", part.about, ""]
        for name, value in part.names.items():
            lines += _entry(name, value, brief=len(part.names) > 8)
        lines.append("")
    return "\n".join(lines).rstrip("\n") + "\n"


def _imports(part: Part) -> str:
    names = list(part.names)
    return ", ".join(names if len(names) <= 8 else [*names[:2], "…"])


def _entry(name: str, value: Any, *, brief: bool) -> Iterator[str]:
    if brief:
        yield f"- `{_signature(name, value)}`: {_first(value)}"
        return
    yield from (f"### `{_signature(name, value)}`", "", inspect.getdoc(value) or "", "")
    if inspect.isclass(value):
        yield from (f"- {_member(value, key)}" for key in _members(value))
        yield ""


class _Text(str):
    """A text that a signature shows without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _signature(name: str, value: Any) -> str:
    """The call as it is written in Python, without `self` and without a result of None."""
    if inspect.isclass(value) and issubclass(value, Exception | enum.Enum):
        return name
    signature = inspect.signature(value)
    parameters = [_shown(one) for key, one in signature.parameters.items() if key not in ("self", "cls")]
    result = signature.return_annotation
    returns = inspect.Signature.empty if result in (None, "None", inspect.Signature.empty) else _Text(result)
    return name + str(inspect.Signature(parameters, return_annotation=returns))


def _shown(one: inspect.Parameter) -> inspect.Parameter:
    default = one.default
    if isinstance(default, PurePath):
        default = _Text(f"Path({default.as_posix()!r})")
    elif inspect.isfunction(default):
        default = _Text("…")
    annotation = _Text(one.annotation) if isinstance(one.annotation, str) else one.annotation
    return one.replace(default=default, annotation=annotation)


def _members(value: type) -> list[str]:
    """The public methods and properties that a class or its bases in this package define."""
    own = (base for base in value.__mro__ if base.__module__.startswith(ollama_harness.__name__))
    names = dict.fromkeys(key for base in own for key in vars(base) if not key.startswith("_") and key not in _INTERNAL)
    kinds = (property, functools.cached_property, classmethod, staticmethod, types.FunctionType)
    return [key for key in names if isinstance(inspect.getattr_static(value, key), kinds)]


def _member(value: type, key: str) -> str:
    found = inspect.getattr_static(value, key)
    function = getattr(found, "__func__", found)
    says, more = _first(found), _rest(found)
    if inspect.isfunction(function):
        key = _signature(key, function)
    return f"`{key}`" + (f": {says}" if says else "") + (f"\n\n{indent(more, '  ')}\n" if more else "")


def _first(value: Any) -> str:
    """The first paragraph of a docstring, on one line."""
    return " ".join((inspect.getdoc(value) or "").partition("\n\n")[0].split())


def _rest(value: Any) -> str:
    """The other paragraphs of a docstring."""
    return (inspect.getdoc(value) or "").partition("\n\n")[2]


PAGE = Page(name="api", make=lambda _: api())
