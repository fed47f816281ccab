"""Rules about clients: how a client handles the new version's answers, compared with the old version's."""

from __future__ import annotations

from collections.abc import Iterator

from ollama_harness.gate.rules.rule import Change, Level, client_rule, quoted
from ollama_harness.matrix.results import Result
from ollama_harness.oracle.verdict import Verdict

__all__: list[str] = []

_DESIGN = "docs/design.md, section The oracle and the verdict"


def _harm(one: Result) -> int:
    return one.verdict.harm or 0


def _by_chance(old: Result, new: Result) -> bool:
    """Whether both were reset (then the results count no records), or the client buffered in both."""
    return old.got is new.got is None or old.verdict is new.verdict is Verdict.BUFFERED


def _change(old: Result, new: Result) -> Change:
    return Change(where=old.scenario, was=old.verdict, now=new.verdict)


@client_rule(
    "The cell was run with the old version and cannot be run with the new one, so nothing is known about it.",
    Level.BREAKING,
    _DESIGN,
    when=lambda _, new: new is None,
)
def cell_missing(old: Result, _: None) -> Iterator[Change]:
    yield Change(where=old.scenario, was=old.verdict, now="not tried")


@client_rule(
    "The client does its user more harm with the new version's answers, in a case that a document decides.",
    Level.BREAKING,
    _DESIGN,
)
def more_harm(old: Result, new: Result) -> Iterator[Change]:
    if new.gating and _harm(new) > _harm(old):
        yield _change(old, new)


@client_rule("The client does its user more harm, in a case that no document decides.", Level.NOTABLE, _DESIGN)
def more_harm_observed(old: Result, new: Result) -> Iterator[Change]:
    if not new.gating and _harm(new) > _harm(old):
        yield _change(old, new)


@client_rule("The client has another defect of the same harm, or it can no longer be tried.", Level.NOTABLE, _DESIGN)
def other_verdict(old: Result, new: Result) -> Iterator[Change]:
    untried = Verdict.UNSUPPORTED in (old.verdict, new.verdict)
    if old.verdict is not new.verdict and (untried or _harm(new) == _harm(old)):
        yield _change(old, new)


@client_rule(
    "The user's `except` catches another type than before, or none.",
    Level.NOTABLE,
    "https://docs.python.org/3/tutorial/errors.html#handling-exceptions",
)
def other_exception(old: Result, new: Result) -> Iterator[Change]:
    if old.raised != new.raised and not _by_chance(old, new):
        yield Change(where=old.scenario, was=old.raised or "no exception", now=new.raised or "no exception")


@client_rule(
    (
        "After an RST the system decides how much a client still reads, and thus which exception it raises. In a "
        "client that buffers, the next bytes decide it, and they may be compressed."
    ),
    Level.NOISE,
    "https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.4",
)
def other_exception_by_chance(old: Result, new: Result) -> Iterator[Change]:
    if old.raised != new.raised and _by_chance(old, new):
        yield Change(where=old.scenario, was=old.raised or "no exception", now=new.raised or "no exception")


@client_rule("The client handles the new version's answers better.", Level.NOISE, _DESIGN)
def less_harm(old: Result, new: Result) -> Iterator[Change]:
    if _harm(new) < _harm(old):
        yield _change(old, new)


@client_rule(
    "The text of an exception is for people.",
    Level.NOISE,
    "https://docs.python.org/3/library/exceptions.html#BaseException.args",
)
def other_message(old: Result, new: Result) -> Iterator[Change]:
    if old.raised == new.raised and old.message != new.message:
        yield Change(where=old.scenario, was=quoted(old.message), now=quoted(new.message))
