"""Files of programmes: what `serve --programme` reads, TOML, or JSON in a `.json`. docs/programme.schema.json describes
them, and docs/serve.md shows them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

from ollama_harness.errors import FaultDoesNotApply, HarnessError, ProgrammeError
from ollama_harness.faults import Fault
from ollama_harness.faults.notation import parse_fault
from ollama_harness.files.reading import parse_json_text, parse_toml, read_text
from ollama_harness.server._lines import Keys, Lines
from ollama_harness.server.programme import (
    Forwarded,
    OwnError,
    OwnVectors,
    Play,
    Programme,
    ProgrammeRule,
    When,
    own_reply,
)
from ollama_harness.server.programme_notation import own_error
from ollama_harness.server.reply_file import reply_fields

__all__ = ["RulePlace", "parse_rule", "read_programme"]

_ANSWERS = ("play", "reply", "embed", "fail", "forward")
_EXAMPLE = "give one, like [[rules]] with fail = 503"


def read_programme(path: Path) -> Programme:
    """The programme in a file.

    Raises: ProgrammeError, which names the file, the line, the rule, its key, and the fix; ReplyError, for words in it.
    """
    text, is_json = read_text(path, ProgrammeError), path.suffix.lower() == ".json"
    value = parse_json_text(text, path, ProgrammeError) if is_json else parse_toml(text, path, ProgrammeError)
    if not isinstance(value, dict):
        raise ProgrammeError.about(path, "", "is no JSON object", 'give {"rules": […]}')
    rules = value.get("rules")
    lines = Lines(text, is_json=is_json, rules=len(rules) if isinstance(rules, list) else 0)
    for key in value:
        if key not in ("rules", "$schema"):
            place = RulePlace(path, key, (key,), lines)
            raise ProgrammeError.about(path, place.text, "is no key of a programme", "the key is rules")
    if not isinstance(rules, list) or not rules:
        place = RulePlace(path, "rules", ("rules",), lines)
        raise ProgrammeError.about(path, place.text, "is no list of rules, or has none", _EXAMPLE)
    places = [RulePlace(path, f"rule {number + 1}", ("rules", number), lines) for number in range(len(rules))]
    return Programme(tuple(map(parse_rule, places, rules)))


def parse_rule(place: RulePlace, value: Any) -> ProgrammeRule:
    """The rule that a table says; errors name the place.

    Raises: ProgrammeError, ReplyError.
    """
    return _Table(place, value).rule()


@dataclass(frozen=True, slots=True)
class RulePlace:
    """A rule or a key in a file, in words, and its line if `lines` knows that of `keys`."""

    path: Path
    words: str
    keys: Keys = ()
    lines: Lines | None = None

    @property
    def text(self) -> str:
        line = None if self.lines is None else self.lines.of(self.keys)
        return self.words if line is None else f"line {line}, {self.words}"

    def inner(self, key: str) -> RulePlace:
        """The place of a key in this."""
        return replace(self, words=f"{self.words}, {key}", keys=(*self.keys, key))

    def named(self, message: str) -> str:
        """A message that begins with a dotted key, after the place of that."""
        key = message.partition(":")[0]
        at = replace(self, keys=(*self.keys, *key.split(".")))
        return f"{self.path}: {at.text}, {message}"


class _Table:
    """A rule, or a table in it: each key is checked as it is taken, and a key that is not taken is an error."""

    def __init__(self, place: RulePlace, value: Any) -> None:
        self._place = place
        if not isinstance(value, dict):
            raise ProgrammeError.about(place.path, place.text, f"is {_shown(value)}, not a table", "give its keys")
        self._left = dict(value)

    def rule(self) -> ProgrammeRule:
        given = [key for key in _ANSWERS if key in self._left]
        if len(given) > 1:
            self._fail(
                given[1], f"there is {given[0]}, too, and a rule has one answer", "remove one, or make two rules"
            )
        try:
            rule = ProgrammeRule(
                when=self._when(),
                answer=self._answer(given[0]) if given else None,
                faults=tuple(self._faults()),
                nth=self._many("nth", _is_number, "a number, or a list of numbers"),
                every=self._take("every", _is_number, "a number"),
                times=self._take("times", _is_number, "a number"),
                probability=self._take("probability", _is_real, "a number"),
                seed=self._take("seed", _is_number, "a number") or 0,
                before_guard=self._take("before_guard", _is_flag, "true or false") or False,
                name=self._take("name", _is_text, "a text") or "",
                source=f"{self._place.path.name}: {self._place.text}",
            )
        except (ValueError, FaultDoesNotApply) as error:
            raise ProgrammeError(self._place.named(str(error))) from None
        self._no_more(
            "a rule",
            "name, when, nth, every, times, probability, seed, play, speed, reply, embed, fail, forward, faults, "
            "before_guard",
        )
        return rule

    def _answer(self, key: str) -> Any:
        match key:
            case "play":
                names = self._many("play", _is_text, "a recording, or a list of them")
                return Play(names, speed=self._take("speed", _is_real, "a number, 0 or more"))
            case "reply":
                said = self._left.pop("reply")
                fields = {"text": said} if isinstance(said, str) else said
                place = self._place.inner("reply")
                return own_reply(**reply_fields(place.path, place.text, fields))
            case "embed":
                vectors = self._left.pop("embed")
                try:
                    return OwnVectors.of(vectors)
                except (ValueError, TypeError) as error:
                    self._fail("embed", str(error), "give a list of lists of numbers")
            case "forward":
                if self._left.pop("forward") is not True:
                    self._fail("forward", "is not true", "make it true, or remove it")
                return Forwarded()
        status = self._left.pop("fail")
        if not isinstance(status, dict):
            return self._own_error(status, None)
        table = _Table(self._place.inner("fail"), status)
        own = self._own_error(table._left.pop("status", None), table._take("message", _is_text, "a text"))
        table._no_more("fail", "status and message")
        return own

    def _own_error(self, status: Any, message: str | None) -> OwnError:
        try:
            return own_error(status, message)
        except (ValueError, TypeError):
            self._fail("fail", f"{_shown(status)} is no status of an error", "give one from 400 to 599")

    def _when(self) -> When:
        if "when" not in self._left:
            return When()
        table = _Table(self._place.inner("when"), self._left.pop("when"))
        when = When(
            method=table._take("method", _is_text, "a text"),
            path=table._many("path", _is_text, "a path, or a list of paths") or None,
            headers=table._take("headers", _is_headers, "a table of texts"),
            json=table._take("json", _is_json, "a JSON value that is not null"),
            jmespath=table._take("jmespath", _is_text, "a text"),
            stream=table._take("stream", _is_flag, "true or false"),
            model=table._take("model", _is_text, "a text"),
        )
        table._no_more("when", "method, path, headers, json, jmespath, stream, model")
        return when

    def _faults(self) -> list[Fault]:
        faults = []
        for text in self._many("faults", _is_text, 'a fault in quotes, like "close_at(after_record(3))", or a list'):
            try:
                faults.append(parse_fault(text))
            except HarnessError as error:
                raise ProgrammeError(self._place.named(f"faults: {error}")) from None
        return faults

    def _many(self, key: str, check: Callable[[Any], bool], kind: str) -> tuple[Any, ...]:
        """One value or a list of them; a list that is given is not empty."""
        value = self._take(key, lambda v: check(v) or (isinstance(v, list) and bool(v) and all(map(check, v))), kind)
        if value is None:
            return ()
        return tuple(value) if isinstance(value, list) else (value,)

    def _take(self, key: str, check: Callable[[Any], bool], kind: str) -> Any:
        """The value of a key, checked; None if it is not there."""
        if key not in self._left:
            return None
        value = self._left.pop(key)
        if not check(value):
            self._fail(key, f"is {_shown(value)}", f"make it {kind}")
        return value

    def _no_more(self, what: str, keys: str) -> None:
        if not self._left:
            return
        key = next(iter(self._left))
        if key == "speed":
            self._fail(key, "is there without play", "remove it, or give play")
        self._fail(key, f"is no key of {what}", f"the keys are {keys}")

    def _fail(self, key: str, problem: str, fix: str) -> NoReturn:
        raise ProgrammeError.about(self._place.path, self._place.inner(key).text, problem, fix)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_real(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0


def _is_headers(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(one, str) for one in value.values())


def _is_json(value: Any) -> bool:
    """Whether it has only what JSON has; TOML also has dates, and numbers that are none."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return value is not None


def _shown(value: Any) -> str:
    return repr(value)[:60]
