"""What a rule is, and the list of all rules.

A rule compares one exchange with two versions of Ollama, or how one client handled it, and yields each change of its
kind. A decorator adds the function to the list, with its level, the reason why it matters, and a source.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any, Generic, Protocol, TypeVar

from ollama_harness.gate.shapes import RecordKind, RecordShape, Shape, VersionShapes

__all__ = [
    "RULES",
    "Change",
    "Level",
    "ResponseKind",
    "Rule",
    "VersionExchange",
    "alike",
    "client_rule",
    "common",
    "library_rule",
    "listed",
    "quoted",
    "rule",
    "rules_about",
]


class Level(IntEnum):
    """How much a change matters to a user who upgrades."""

    NOISE = 0  # no client can depend on it
    NOTABLE = 1  # a client that is written with care does not notice it
    BREAKING = 2  # a client that did as documented may fail

    def __str__(self) -> str:
        return self.name.lower()


class ResponseKind(StrEnum):
    """What kind of response it was."""

    NO_ROUTE = "no route"
    REDIRECTED = "redirected"
    REFUSED = "refused"  # with an error status
    FAILED = "failed at status 200"  # the first record of a stream is an error
    ANSWERED = "answered"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change. `where` names what has changed. `was` and `now` are short, and the same in each recording.

    `old_line` and `new_line` are the numbers, from 1, of the records that show it; 0 is the head.
    """

    where: str
    was: str
    now: str
    old_line: int = 0
    new_line: int = 0


@dataclass(frozen=True, slots=True)
class VersionExchange:
    """The shape of one exchange, and all shapes of its version, which some rules need as well."""

    shape: Shape
    version: VersionShapes

    @property
    def answer(self) -> ResponseKind:
        shape = self.shape
        if shape.status == 405 or (shape.status == 404 and shape.recording.body.startswith(b"404 page not found")):
            return ResponseKind.NO_ROUTE
        if 300 <= shape.status < 400:
            return ResponseKind.REDIRECTED
        if shape.status >= 400:
            return ResponseKind.REFUSED
        return (
            ResponseKind.FAILED
            if shape.stream and next(iter(shape.records), "") == RecordKind.ERROR
            else ResponseKind.ANSWERED
        )

    @property
    def status(self) -> str:
        return f"{self.shape.status}, failed" if self.answer is ResponseKind.FAILED else str(self.shape.status)


def alike(old: VersionExchange, new: VersionExchange) -> bool:
    """Whether both are responses of the same kind, so that their details can be compared."""
    return old.answer is new.answer


def common(old: VersionExchange, new: VersionExchange) -> Iterator[tuple[RecordShape, RecordShape]]:
    """The records of each kind that both have."""
    for kind, record in old.shape.records.items():
        if kind in new.shape.records:
            yield record, new.shape.records[kind]


T = TypeVar("T", contravariant=True)


class Compare(Protocol[T]):
    """A function from two of a kind to the changes between them."""

    __name__: str

    def __call__(self, old: T, new: T, /) -> Iterator[Change]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule(Generic[T]):
    """One rule. `why` says what a change of this kind does; `source` is a document, or a case where it happened.

    `about` is what it compares: exchanges (`wire`), or how a client handled them (`clients`); and of two versions of a
    client, what else they did (`libraries`).
    """

    id: str
    level: Level
    why: str
    source: str
    about: str
    compare: Compare[T]
    when: Callable[[T, T], bool]

    def __call__(self, old: T, new: T) -> Iterator[Change]:
        """The changes of this kind from one to the other."""
        if self.when(old, new):
            yield from self.compare(old, new)


#: Every rule, by id.
RULES: dict[str, Rule[Any]] = {}


def rule(
    why: str, level: Level, source: str, *, when: Callable[[Any, Any], bool] = alike
) -> Callable[[Compare[VersionExchange]], Compare[VersionExchange]]:
    """Register a function of two exchanges as a rule; its name is the rule's id.

    It is called only for pairs for which `when` is true.
    """
    return lambda function: _register(function, why, level, source, "wire", when)


def client_rule(
    why: str, level: Level, source: str, *, when: Callable[[Any, Any], bool] = lambda _, new: new is not None
) -> Callable[[Compare[Any]], Compare[Any]]:
    """Register a function of two results of a cell as a rule; the new one is None if the cell is missing."""
    return lambda function: _register(function, why, level, source, "clients", when)


def library_rule(why: str, level: Level, source: str) -> Callable[[Compare[Any]], Compare[Any]]:
    """Register a function of how two versions of a client handled the same cell (`Handled`)."""
    return lambda function: _register(function, why, level, source, "libraries", lambda *_: True)


def _register(
    function: Compare[T], why: str, level: Level, source: str, about: str, when: Callable[[Any, Any], bool]
) -> Compare[T]:
    id_ = function.__name__.replace("_", "-")
    assert id_ not in RULES, f"there are two rules called {id_}"
    RULES[id_] = Rule(id=id_, level=level, why=why, source=source, about=about, compare=function, when=when)
    return function


def rules_about(about: str) -> list[Rule[Any]]:
    """The rules about `wire`, `clients` or `libraries`, in the order of the modules."""
    return [one for one in RULES.values() if one.about == about]


def listed(names: object) -> str:
    """Names in one line; "nothing" for none."""
    return ", ".join(map(str, names)) or "nothing"  # type: ignore[call-overload]


def quoted(text: str | None, limit: int = 160) -> str:
    """A text for a report, cut if it is long."""
    if text is None:
        return "none"
    return text if len(text) <= limit else text[: limit - 1] + "…"
