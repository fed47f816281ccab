"""What a fault is, and the list of all of them.

A fault is a pure function from script to script. Decorating it with `@fault` turns it into a maker: calling
`cut_after_record(3)` gives a `Fault` that can be applied, compared, printed and composed.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Concatenate, ParamSpec

from harness.errors import FaultDoesNotApply
from harness.script import Script

__all__ = ["REGISTRY", "Fault", "FaultKind", "apply", "fault", "record_span", "split_after_record"]

P = ParamSpec("P")


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultKind:
    """One entry of the registry. `example` holds arguments with which the fault strikes any plain stream."""

    name: str
    where: str
    what: str
    summary: str
    parameters: str
    example: Mapping[str, Any]
    make: Callable[..., Fault]


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault with its arguments, ready to strike."""

    name: str
    arguments: Mapping[str, Any]
    strike: Callable[[Script], Script] = field(compare=False, repr=False)

    def __call__(self, script: Script) -> Script:
        """The script with the fault in it.

        Raises: FaultDoesNotApply, if it has no place to strike, or would change nothing.
        """
        struck = self.strike(script)
        if struck == script:
            raise FaultDoesNotApply(f"{self} changes nothing in this script")
        return struck

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{key}={value!r}' for key, value in self.arguments.items())})"


REGISTRY: dict[str, FaultKind] = {}


def fault(
    *, where: str, what: str, **example: Any
) -> Callable[[Callable[Concatenate[Script, P], Script]], Callable[P, Fault]]:
    """Register a function `(script, **arguments) -> script` as a fault that does `what` at `where`."""

    def register(function: Callable[Concatenate[Script, P], Script]) -> Callable[P, Fault]:
        signature = inspect.signature(function)
        parameters = list(signature.parameters.values())[1:]
        own = signature.replace(parameters=parameters)

        @functools.wraps(function)
        def make(*args: P.args, **kwargs: P.kwargs) -> Fault:
            bound = own.bind(*args, **kwargs)
            bound.apply_defaults()
            return Fault(function.__name__, bound.arguments, lambda script: function(script, *args, **kwargs))

        make.__signature__ = own  # type: ignore[attr-defined]
        REGISTRY[function.__name__] = FaultKind(
            name=function.__name__,
            where=where,
            what=what,
            summary=(inspect.getdoc(function) or "").partition("\n")[0],
            parameters=", ".join(parameter.name for parameter in parameters),
            example=example,
            make=make,
        )
        return make

    return register


def apply(script: Script, faults: Iterable[Fault]) -> Script:
    """The script with all the faults in it, applied in order.

    Raises: FaultDoesNotApply.
    """
    return functools.reduce(lambda struck, one: one(struck), faults, script)


def record_span(script: Script, n: int) -> tuple[int, int]:
    """Where in the body record `n` (the first is 1) begins and ends.

    Raises: FaultDoesNotApply, if there is no such record.
    """
    ends = script.record_ends()
    if not 1 <= n <= len(ends):
        raise FaultDoesNotApply(f"there is no record {n}: this script sends {len(ends)}")
    return (ends[n - 2] if n > 1 else 0), ends[n - 1]


def split_after_record(script: Script, n: int) -> tuple[Script, int]:
    """The script with a segment boundary after record `n`, and the index of the send there.

    Raises: FaultDoesNotApply, if there is no such record, or if the message is whole after it.
    """
    _, end = record_span(script, n)
    counted = script.head is not None and not script.head.chunked and script.head.header("content-length") is not None
    if counted and end == len(script.body):
        raise FaultDoesNotApply(f"the message is whole after record {n}: nothing is left that could go wrong")
    return script.split_at(end)
