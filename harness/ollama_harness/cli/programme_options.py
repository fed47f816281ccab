"""The short forms of a programme on the command line: `--on`, and the answers and faults that follow it.

click gathers the values of each option by itself, so what stands after what is lost. Its parser knows the order: a
command of the class `InOrder` parses once more, and keeps its repeatable options in the order of the command line.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import click

from ollama_harness.answers.own_answers import OwnReply
from ollama_harness.faults import Fault
from ollama_harness.faults.notation import parse_fault
from ollama_harness.server.programme import (
    OwnError,
    OwnVectors,
    Play,
    Programme,
    ProgrammeRule,
    When,
    own_reply,
)
from ollama_harness.server.programme_notation import parse_fail, parse_on

__all__ = ["InOrder", "Short", "in_turn", "short_forms", "summary"]

#: How many characters of the user's own words the first lines show.
_MOST_SAID = 40

_KEY = "ollama_harness.in_order"


class InOrder(click.Command):
    """A command that keeps the values of its repeatable options as they stand on the command line."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        values, _, order = self.make_parser(ctx).parse_args(args=list(args))
        left = {one.name: iter(values[one.name]) for one in order if one.name and getattr(one, "multiple", False)}
        ctx.meta[_KEY] = [(one.name, next(left[one.name])) for one in order if one.name in left]
        return super().parse_args(ctx, args)


@dataclass(frozen=True, slots=True)
class Short:
    """What the short forms say: rules, the faults of all answers, and whether there are replies without `--on`."""

    rules: tuple[ProgrammeRule, ...]
    faults: tuple[Fault, ...]
    has_replies: bool


@dataclass(slots=True)
class _On:
    """One `--on`, with what follows it."""

    text: str
    when: When
    nth: tuple[int, ...]
    answer: Any = None
    option: str = ""
    faults: list[Fault] = field(default_factory=list)

    def take(self, option: str, answer: Any) -> None:
        if self.option:
            problem = f"--on {self.text!r} has two answers, --{self.option} and --{option}"
            raise click.UsageError(f"{problem}; repeat --on before the second")
        self.answer, self.option = answer, option

    def rule(self) -> ProgrammeRule:
        source = f'--on "{self.text}"'
        if not self.option and not self.faults:
            raise click.UsageError(
                f"{source} is followed by no answer; put --fault, --play, --fail or --reply after it"
            )
        return _rule(source, when=self.when, nth=self.nth, answer=self.answer, faults=tuple(self.faults))


def short_forms(ctx: click.Context) -> Short:
    """The rules and faults on the command line of an `InOrder` command, in its order.

    Raises: click.UsageError; BadFault, UnknownName, for a text that is no fault.
    """
    rules: list[Callable[[], ProgrammeRule]] = []
    faults: list[Fault] = []
    plays: list[str] = []
    replies: list[dict[str, Any]] = []
    on: _On | None = None
    for option, text in ctx.meta[_KEY]:
        match option:
            case "on_texts":
                on = _on(text)
                rules.append(on.rule)
            case "fault_texts":
                (faults if on is None else on.faults).append(parse_fault(text))
            case "plays" if on is not None:
                on.take("play", Play((text,)))
            case "plays":
                if not plays:
                    rules.append(lambda: _rule("--play", answer=Play(tuple(plays))))
                plays.append(text)
            case "fails" if on is not None:
                on.take("fail", _fail(text))
            case "fails":
                rules.append(functools.partial(_rule, "--fail", answer=_fail(text)))
            case "texts" if on is not None:
                on.take("reply", own_reply(text=text))
            case "texts":
                replies.append({"text": text})
    made = (*(make() for make in rules), *in_turn(replies, "--reply"))
    return Short(made, tuple(faults), has_replies=bool(replies))


def in_turn(replies: Sequence[dict[str, Any]], source: str) -> Iterable[ProgrammeRule]:
    """Rules that say these one after the other, and then always the last."""
    for index, fields in enumerate(replies, start=1):
        yield ProgrammeRule(answer=own_reply(**fields), times=1 if index < len(replies) else None, source=source)


def summary(programme: Programme) -> Iterable[str]:
    """A line for people for each rule: which requests get what."""
    for rule in programme.rules:
        parts = []
        match rule.answer:
            case Play():
                parts.append(f"play {', '.join(rule.answer.recordings)}")
            case OwnError():
                parts.append(f"fail with {rule.answer.status} {rule.answer.message}")
            case OwnReply():
                parts.append(f"say {_cut(rule.answer.text)}")
            case OwnVectors():
                parts.append("give your vectors")
        if rule.faults:
            parts.append(f"strike with {', '.join(map(str, rule.faults))}")
        yield f"{rule.source or 'rule'}: {_requests(rule)}: {', '.join(parts)}"


def _cut(text: str | tuple[str, ...]) -> str:
    said = text if isinstance(text, str) else "".join(text)
    return repr(said if len(said) <= _MOST_SAID else f"{said[:_MOST_SAID]}…")


def _requests(rule: ProgrammeRule) -> str:
    """Which requests a rule is for, in words."""
    when, words = rule.when, []
    if when.method or when.paths:
        words.append(" ".join(filter(None, (when.method, " or ".join(when.paths)))))
    if not when.is_for_all_bodies or when.headers:
        words.append("as `when` says")
    if rule.nth:
        words.append(f"#{','.join(map(str, rule.nth))}")
    if rule.every is not None:
        words.append(f"each {rule.every}th")
    if rule.probability is not None:
        words.append(f"with probability {rule.probability}")
    if rule.times is not None:
        words.append("once" if rule.times == 1 else f"{rule.times} times")
    return " ".join(words) or "every request that it can answer"


def _on(text: str) -> _On:
    when, nth = _usage(parse_on, text)
    return _On(text, when, nth)


def _fail(text: str) -> OwnError:
    try:
        return parse_fail(text)
    except ValueError as error:
        raise click.UsageError(f"--fail: {error}") from None


def _rule(source: str, **fields: Any) -> ProgrammeRule:
    rule: ProgrammeRule = _usage(ProgrammeRule, source=source, **fields)
    return rule


def _usage(make: Callable[..., Any], *arguments: Any, **fields: Any) -> Any:
    """What this makes; its ValueError becomes the error of the command line."""
    try:
        return make(*arguments, **fields)
    except ValueError as error:
        source = f"{fields['source']}: " if "source" in fields else ""
        raise click.UsageError(f"{source}{error}") from None
