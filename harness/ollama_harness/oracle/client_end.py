"""How an exchange ended for a client, as its process reports it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ClientEnd", "Crashed", "Failed", "Finished", "Hung", "Raised", "Stopped", "Unsupported"]


@dataclass(frozen=True, slots=True)
class Finished:
    """The client ended normally."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """The client's user stopped reading, as the scenario wants, and closed the answer."""


@dataclass(frozen=True, slots=True)
class Raised:
    """The client raised. `types` are the qualified names of the exception's classes, most derived first.

    `made` is false if it raised while it was imported or constructed. `where` is the place in the client's code, if its
    process reports it.
    """

    types: tuple[str, ...]
    message: str
    made: bool = True
    where: str = ""


@dataclass(frozen=True, slots=True)
class Hung:
    """The client did not end by the deadline, and its process was killed."""

    deadline_s: float


@dataclass(frozen=True, slots=True)
class Crashed:
    """The client's process died, with this exit code."""

    exit_code: int


@dataclass(frozen=True, slots=True)
class Unsupported:
    """Nothing was tried: the client has no such operation, or is not installed."""

    reason: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The harness itself failed, so nothing is known about the client."""

    reason: str


ClientEnd = Finished | Stopped | Raised | Hung | Crashed | Unsupported | Failed
