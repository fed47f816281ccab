"""What a request chooses for itself: by the header X-Ollama-Harness, or by a prefix of its path.

Both are for programs that can set no more than a header or a base URL. They have one notation, `fault=CALL; play=NAME`
and so on. A choice becomes rules, checked as those of a programme, which stand before the programme's for this request
only: the header's, then the prefix's. Ollama sees the request without the two.

A choice is kept by its text, with the counts of its rules. So the exchanges of a scenario come one after the other for
all requests with the same prefix, whatever connection they come over.
"""

from __future__ import annotations

import json
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote_to_bytes

from ollama_harness.answers import Asked
from ollama_harness.errors import HarnessError, ProgrammeError, UnknownName
from ollama_harness.faults.notation import parse_fault
from ollama_harness.server._running_programme import RunningProgramme
from ollama_harness.server._running_rule import RunningRule
from ollama_harness.server.programme import Play, ProgrammeRule, Scenarios, own_reply
from ollama_harness.server.programme_notation import parse_fail

__all__ = ["HEADER", "Choice", "Choices"]

HEADER = "X-Ollama-Harness"

_PREFIX = "/_/"
_KEYS = ("scenario", "fault", "play", "speed", "reply", "fail")
_ANSWERS = ("play", "reply", "fail")

#: How many choices a server keeps: a client may send any text.
_MOST_KEPT = 1024
#: How long a choice may be: long enough for words, and short enough to be read at once.
_MOST_TEXT = 8192

_TARGET = re.compile(r"(?P<host>https?://[^/?]*)?/_/(?P<text>[^/?]*)(?P<rest>.*)", re.IGNORECASE | re.DOTALL)
_KEY = re.compile(r"\s*(?P<key>[A-Za-z_]+)\s*=\s*")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_TO_NEXT_KEY = re.compile(r".*?(?=\s*[;,]\s*[A-Za-z_]+\s*=|\s*;?\s*\Z)", re.DOTALL)
_NAME = re.compile(r"[^;,]*")
_IN_FAULTS = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[([{]|[)\]}]|[;,]|[^'"()\[\]{};,]+|.""", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Choice:
    """A request as Ollama sees it, and the rules that it chose, or the problem with its choice.

    `door` says in words where it chose, and `prefix` is that of its path, as it was sent.
    """

    asked: Asked
    rules: tuple[RunningRule, ...] = ()
    problem: str = ""
    door: str = ""
    prefix: str = ""


class Choices:
    """The choices of all requests to a server. `scenarios` gives those that it can play; None if it knows none."""

    def __init__(self, programme: RunningProgramme, scenarios: Callable[[], Scenarios | None]) -> None:
        self._programme, self._scenarios = programme, scenarios
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, str], tuple[RunningRule, ...] | str] = OrderedDict()

    def of(self, asked: Asked) -> Choice:
        """What a request chooses. A preflight chooses nothing: a browser, and not its page, asks it."""
        given = asked.header(HEADER)
        found = _TARGET.fullmatch(asked.target) if _PREFIX in asked.target else None
        if given is None and found is None:
            return Choice(asked)
        doors = []
        if given is not None:
            values = [value for name, value in asked.headers if name.lower() == HEADER.lower()]
            doors.append((HEADER, "header", _text("; ".join(values).encode("latin-1", "replace"))))
            asked = replace(asked, headers=tuple(one for one in asked.headers if one[0].lower() != HEADER.lower()))
        prefix = ""
        if found is not None:
            prefix, rest = f"{_PREFIX}{found['text']}", found["rest"]
            text = _text(unquote_to_bytes(found["text"]))
            doors.append((f"{_PREFIX}{text}", f"prefix {_PREFIX}{text}", text))
            asked = replace(asked, target=f"{found['host'] or ''}{'' if rest.startswith('/') else '/'}{rest}")
        if asked.method == "OPTIONS":
            return Choice(asked, prefix=prefix)
        rules: tuple[RunningRule, ...] = ()
        for where, source, text in doors:
            chosen = self._chosen(source, text)
            if isinstance(chosen, str):
                return Choice(asked, problem=f"{where}: {chosen}", prefix=prefix)
            rules += chosen
        return Choice(asked, rules, door=" and ".join(source for _, source, _ in doors), prefix=prefix)

    def clear(self) -> None:
        """Begin all counts again."""
        with self._lock:
            self._kept.clear()

    def _chosen(self, source: str, text: str) -> tuple[RunningRule, ...] | str:
        """The rules that a text chooses, or what is wrong with it; the same objects for the same text."""
        with self._lock:
            if (source, text) not in self._kept:
                try:
                    made: tuple[RunningRule, ...] | str = self._made(source, text)
                except (HarnessError, ValueError) as error:
                    made = str(error)
                self._kept[source, text] = made
                if len(self._kept) > _MOST_KEPT:
                    self._kept.popitem(last=False)
            self._kept.move_to_end((source, text))
            return self._kept[source, text]

    def _made(self, source: str, text: str) -> tuple[RunningRule, ...]:
        parts = _Parts(text)
        rules = [] if parts.is_scenario_alone else [ProgrammeRule(answer=parts.answer, faults=parts.faults)]
        rules = [replace(rule, source=source) for rule in rules]
        if parts.scenario:
            rules += self._of_scenario(source, parts.scenario, has_answer=parts.answer is not None)
        try:
            return self._programme.checked_apart(rules)
        except ProgrammeError as error:
            raise HarnessError(str(error).removeprefix(f"{source}: ")) from None

    def _of_scenario(self, source: str, name: str, *, has_answer: bool) -> Iterator[ProgrammeRule]:
        scenarios = self._scenarios()
        if scenarios is None:
            raise HarnessError(
                "this server was made without scenarios; give FakeOllama scenarios=ServedScenarios, or choose faults"
            )
        found = scenarios.rules(name)
        if found.on_accept:
            raise HarnessError(
                f"{name} strikes before a request is read, so no request can choose it; "
                f"start a server with it: `ollama-harness serve --scenario {name}`"
            )
        for rule in found.programme.rules:
            if has_answer and rule.answer is not None:
                raise ValueError(f"scenario={name} has an answer of its own; remove the other answer")
            yield replace(rule, source=f"{source}: {rule.source}")


class _Parts:
    """The parts of a choice, read.

    Raises: ValueError, BadFault, UnknownName.
    """

    def __init__(self, text: str) -> None:
        self._values: dict[str, list[str]] = {}
        if len(text) > _MOST_TEXT:
            raise ValueError(f"it has more than {_MOST_TEXT} characters; put long words into a programme")
        for key, value in _split(text):
            if key not in _KEYS:
                raise UnknownName("choice", key, _KEYS)
            if not value and key != "reply":
                raise ValueError(f"{key}= says nothing; give {_EXAMPLES[key]}")
            self._values.setdefault(key, []).append(value)
        if not self._values:
            raise ValueError(f"it chooses nothing; give a scenario, or {_EXAMPLES['fault']}")
        for key in set(self._values) - {"fault", "play"}:
            if len(self._values[key]) > 1:
                raise ValueError(f"{key}= is there twice; give it once")
        given = [key for key in _ANSWERS if key in self._values]
        if len(given) > 1:
            raise ValueError(f"{given[0]}= and {given[1]}= are two answers; give one of them")
        if "speed" in self._values and "play" not in self._values:
            raise ValueError("speed= is there without play=; give play=NAME, too")
        self.faults = tuple(map(parse_fault, self._values.get("fault", ())))
        self.answer = self._answer()
        self.scenario = self._one("scenario")
        self.is_scenario_alone = self.answer is None and not self.faults

    def _one(self, key: str) -> str | None:
        return self._values.get(key, [None])[0]

    def _answer(self) -> Any:
        if "play" in self._values:
            return Play(tuple(self._values["play"]), speed=self._speed())
        if (said := self._one("reply")) is not None:
            return own_reply(text=said)
        error = self._one("fail")
        return None if error is None else parse_fail(error)

    def _speed(self) -> float | None:
        text = self._one("speed")
        if text is None:
            return None
        if not re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text):
            raise ValueError(f"speed={text} is no number; give 0 or more, like speed=10")
        return float(text)


_EXAMPLES = {
    "scenario": "scenario=cut-after-record",
    "fault": "fault=close_at(after_record(3))",
    "play": "play=chat-stream",
    "speed": "speed=10",
    "fail": "fail=503: busy",
}


def _split(text: str) -> Iterator[tuple[str, str]]:
    """Keys and values; a text without a key is a scenario, and after a fault a further fault.

    The value of a fault ends where its brackets do, a name at `;` or `,`, words before the next key. All but a fault
    may be a text in double quotes, which is read as JSON.
    """
    at, key = 0, "scenario"
    while at < len(text):
        if text[at].isspace() or text[at] in ";,":
            at += 1
            continue
        if (found := _KEY.match(text, at)) is not None:
            key, at = found["key"], found.end()
        elif key != "fault" and text.find("(", at) >= 0:
            raise ValueError(f"{text[at:][:60]!r} is no name of a scenario; write a fault as fault={text[at:][:60]}")
        quoted = _QUOTED.match(text, at) if key != "fault" else None
        if quoted is not None:
            at = quoted.end()
            yield key, _unquoted(key, quoted[0])
        else:
            end = _end(key, text, at)
            yield key, text[at:end].strip()
            at = end
        key = key if key == "fault" else "scenario"


def _unquoted(key: str, text: str) -> str:
    try:
        value: str = json.loads(text, strict=False)
    except ValueError:
        raise ValueError(f"{key}={text[:60]} is no text of JSON; write \\\\ for one backslash") from None
    return value


def _end(key: str, text: str, at: int) -> int:
    if key == "fault":
        return _end_of_fault(text, at)
    found = (_TO_NEXT_KEY if key in ("reply", "fail") else _NAME).match(text, at)
    return len(text) if found is None else found.end()


def _end_of_fault(text: str, at: int) -> int:
    depth = 0
    for token in _IN_FAULTS.finditer(text, at):
        match token[0]:
            case "(" | "[" | "{":
                depth += 1
            case ")" | "]" | "}":
                depth -= 1
            case ";" | "," if depth <= 0:
                return token.start()
    return len(text)


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")
