"""Faults and places as values, and the lists of all of them.

A fault is a pure function from script to script. A place finds where in a script a fault strikes. The decorators
`fault` and `place` replace such a function by a maker: a function with the same parameters except the script, which
returns a value. So `close_at(after_record(3))` computes nothing yet. It is a `Fault` that can be compared, that prints
as the call that makes it (`faults.notation` parses that text), and that is applied when it is called with a script. The
decorators also add the maker to `FAULTS` or `PLACES`, from which scenarios, docs/faults.md and the command line read.

The summary is an argument of the decorator and becomes the maker's docstring. It is no docstring in the source, because
`python -OO` removes those, and the lists need the text. The maker also gets a signature of its own, so that
`inspect.signature` and `help` show what a caller may write.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from ollama_harness.errors import FaultDoesNotApply
from ollama_harness.script.script import Script

__all__ = ["FAULTS", "PLACES", "Fault", "FaultKind", "Place", "apply", "fault", "place"]

P = ParamSpec("P")
Made = TypeVar("Made", "Fault", "Place")


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultKind(Generic[Made]):
    """One entry of a list. `example` are arguments with which it applies to a plain stream, or to recording `plays`.

    `group` is the name of its module, and `parameters` its parameters in Python's notation.
    """

    name: str
    group: str
    summary: str
    parameters: str
    example: tuple[Any, ...]
    plays: str
    make: Callable[..., Made]


@dataclass(frozen=True, slots=True)
class _Call:
    """A name with arguments; prints as the call that makes it, without defaults."""

    name: str
    arguments: Mapping[str, Any]
    text: str = field(compare=False)

    def __repr__(self) -> str:
        return self.text

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True, repr=False)
class Place(_Call):
    """A place in a script. `split(script)` returns the script with a segment boundary at the place, and the index of
    the segment after it.

    Raises: FaultDoesNotApply, from `split`, if the script has no such place.
    """

    split: Callable[[Script], tuple[Script, int]] = field(compare=False)


@dataclass(frozen=True, slots=True, repr=False)
class Fault(_Call):
    """A fault with its arguments; call it with a script to apply it."""

    strike: Callable[[Script], Script] = field(compare=False)

    def __call__(self, script: Script) -> Script:
        """The script with the fault in it.

        Raises: FaultDoesNotApply, if it has no place to strike, or would change nothing.
        """
        script = replace(script, segments=tuple(script.segments))  # a fault reads them more than once
        struck = self.strike(script)
        if struck == script:
            raise FaultDoesNotApply(f"{self} changes nothing in this script")
        return replace(struck, struck_by=(*script.struck_by, str(self)))


FAULTS: dict[str, FaultKind[Fault]] = {}
PLACES: dict[str, FaultKind[Place]] = {}


def fault(
    summary: str, *example: Any, plays: str = ""
) -> Callable[[Callable[Concatenate[Script, P], Script]], Callable[P, Fault]]:
    """Register a function `(script, *arguments) -> script` as a fault.

    `summary` is one sentence about what it does. `example` are arguments with which it strikes a plain stream. If it
    needs another recording, `plays` names that.
    """
    return lambda function: _register(FAULTS, Fault, function, summary, example, plays)


def place(
    summary: str, *example: Any, plays: str = ""
) -> Callable[[Callable[Concatenate[Script, P], tuple[Script, int]]], Callable[P, Place]]:
    """Register a function `(script, *arguments) -> (script, index)` as a place; `summary` describes where it is."""
    return lambda function: _register(PLACES, Place, function, summary, example, plays)


def apply(script: Script, faults: Iterable[Fault]) -> Script:
    """The script with all these faults in it, applied in order.

    Raises: FaultDoesNotApply, if one has no place to strike; TypeError, if one is no fault.
    """
    for one in faults:
        if not isinstance(one, Fault):
            raise TypeError(f"{one!r} is no fault; give one like close_at(after_record(3))")
        script = one(script)
    return script


def _register(
    kinds: dict[str, FaultKind[Made]],
    made: type[Made],
    function: Callable[Concatenate[Script, P], Any],
    summary: str,
    example: tuple[Any, ...],
    plays: str,
) -> Callable[P, Made]:
    signature = inspect.signature(function)
    own = signature.replace(parameters=list(signature.parameters.values())[1:], return_annotation=made.__name__)
    bare = [one.replace(annotation=inspect.Parameter.empty) for one in own.parameters.values()]

    @functools.wraps(function)
    def make(*args: P.args, **kwargs: P.kwargs) -> Made:
        bound = own.bind(*args, **kwargs)
        bound.apply_defaults()
        text = _written(function.__name__, own, bound.arguments)
        return made(function.__name__, bound.arguments, text, lambda script: function(script, *args, **kwargs))

    make.__signature__ = own  # type: ignore[attr-defined]
    make.__doc__ = summary
    kinds[function.__name__] = FaultKind(
        name=function.__name__,
        group=function.__module__.rpartition(".")[2],
        summary=summary,
        parameters=str(own.replace(parameters=bare, return_annotation=inspect.Signature.empty))[1:-1],
        example=example,
        plays=plays,
        make=make,
    )
    return make


def _written(name: str, signature: inspect.Signature, arguments: Mapping[str, Any]) -> str:
    """The call in Python: arguments without a default by position, the others by name if they differ from it."""
    parts = []
    for key, value in arguments.items():
        default = signature.parameters[key].default
        if default is inspect.Parameter.empty:
            parts.append(repr(value))
        elif value != default:
            parts.append(f"{key}={value!r}")
    return f"{name}({', '.join(parts)})"
