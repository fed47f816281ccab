"""The messages between the harness and a client's process: one JSON object a line, both ways.

docs/client-protocol.md describes them for people who write such a process, and docs/client-protocol.schema.json for
tools. Jobs go in (`adapter.Job`). What comes out is parsed here: `parse` turns a line into a message, or says what is
wrong with it and how to fix it. What is wrong with the order of messages is found by `worker_process`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ollama_harness.clients.adapter import PROTOCOL
from ollama_harness.files.fields import is_count, is_one_line, is_seconds
from ollama_harness.oracle.client_end import ClientEnd, Failed, Finished, Hung, Raised, Stopped, Unsupported
from ollama_harness.oracle.pieces import Yields, problem_of_piece

__all__ = ["PROTOCOL", "BadMessage", "End", "Log", "Meanwhile", "Message", "Ready", "Yielded", "parse", "shown"]

_SHOWN_CHARACTERS = 60


class BadMessage(Exception):
    """A process does not keep to the protocol: `problem` says how, and `fix` what to change. It is no verdict."""

    def __init__(self, problem: str, fix: str) -> None:
        self.problem, self.fix = problem, fix
        super().__init__(f"protocol: {problem}; {fix}")


@dataclass(frozen=True, slots=True)
class Ready:
    """The first message. `versions` are those of the libraries, by client; `missing` says why a client cannot be used.

    A process of one client gives a text instead, which stands here under the name "".
    """

    protocol: int
    versions: Mapping[str, str]
    missing: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Yielded:
    """The client has yielded something. `at_s` counts from the start of the job."""

    kind: Yields
    value: Any
    at_s: float | None


@dataclass(frozen=True, slots=True)
class Meanwhile:
    """The job waits until the next job is done."""


@dataclass(frozen=True, slots=True)
class Log:
    """A line for the person who looks for a defect in the process."""

    text: str


@dataclass(frozen=True, slots=True)
class End:
    """The end of the job with this id.

    `tried` holds each (host, port) that the process connected to, or tried to; None if it does not report that.
    `written` holds each of its writes to a socket as (port of the peer, bytes).
    """

    id: int
    ending: ClientEnd
    tried: tuple[tuple[str, int], ...] | None
    written: tuple[tuple[int, int], ...]


Message = Ready | Yielded | Meanwhile | Log | End


def parse(line: bytes) -> Message:
    """The message in a line.

    Raises: BadMessage.
    """
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        raise BadMessage(
            f"a line on stdout is no JSON: {shown(line)}",
            "stdout is for messages only: print everything else to stderr, and write each message on one line",
        ) from None
    if not isinstance(value, dict):
        raise _unknown(line)
    match [kind for kind in _KINDS if kind in value]:
        case [kind]:
            return _KINDS[kind](_Fields(value, kind, line))
        case _:
            raise _unknown(line)


def shown(line: bytes) -> str:
    """The beginning of a line, for a sentence."""
    text = line.decode(errors="replace").strip()
    return repr(text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…")


def _unknown(line: bytes) -> BadMessage:
    kinds = ", ".join(f'"{kind}"' for kind in _KINDS)
    return BadMessage(f"{shown(line)} is no message", f"a message is an object with exactly one of the keys {kinds}")


class _Fields:
    """The fields of one message, each checked when it is read. Fields that are not read are unknown."""

    def __init__(self, value: dict[str, Any], kind: str, line: bytes) -> None:
        self._left, self._kind, self._line = dict(value), kind, line

    def take(self, name: str, check: Callable[[Any], bool], what: str, *default: Any) -> Any:
        """The value of a field, which may be left out only if there is a default."""
        if name not in self._left:
            if default:
                return default[0]
            raise self._bad(f"has no {name}", f"add {name}: {what}")
        value = self._left.pop(name)
        if not check(value):
            raise self._bad(f"has a wrong {name}", f"make {name} {what}")
        return value

    def text(self, name: str, *default: str) -> str:
        found: str = self.take(name, lambda v: isinstance(v, str), "a text", *default)
        return found

    def done(self, message: Message) -> Message:
        """The message, if all of its fields are known."""
        for name in self._left:
            raise self._bad(f"has an unknown field {name[:_SHOWN_CHARACTERS]!r}", "remove it, or correct its name")
        return message

    def _bad(self, problem: str, fix: str) -> BadMessage:
        return BadMessage(f'the message "{self._kind}" {problem}: {shown(self._line)}', fix)


def _ready(fields: _Fields) -> Message:
    protocol = fields.take("protocol", is_count, "the version of the protocol")
    missing = fields.take("missing", _are_texts, "why the client cannot be used, in one line", {})
    versions = fields.take("ready", _are_texts, "the version of the library, in one line", *([{}] if missing else []))
    return fields.done(Ready(protocol, _by_client(versions), _by_client(missing)))


def _yielded(kind: Yields) -> Callable[[_Fields], Message]:
    def parsed(fields: _Fields) -> Message:
        value = fields.take(kind, lambda _: True, "any value")
        if kind is Yields.PIECES and (problem := problem_of_piece(value)) is not None:
            raise BadMessage(problem, "yield one of these kinds")
        at_s = fields.take("at_s", is_seconds, "seconds since the job was read", None)
        return fields.done(Yielded(kind, value, at_s))

    return parsed


def _meanwhile(fields: _Fields) -> Message:
    fields.take("meanwhile", lambda v: v is True, "true")
    return fields.done(Meanwhile())


def _log(fields: _Fields) -> Message:
    return fields.done(Log(fields.text("log")))


def _end(fields: _Fields) -> Message:
    how = fields.take("end", lambda v: isinstance(v, str) and v in _ENDINGS, f"one of {', '.join(_ENDINGS)}")
    id_ = fields.take("id", is_count, "the id of the job")
    tried = fields.take("tried", _are_pairs(str, int), "a list of [host, port]", None)
    written = fields.take("written", _are_pairs(int, int), "a list of [port, bytes]", [])
    ending = _ENDINGS[how](fields)
    pairs = None if tried is None else tuple((host, port) for host, port in tried)
    return fields.done(End(id_, ending, pairs, tuple((port, size) for port, size in written)))


def _raised(fields: _Fields) -> ClientEnd:
    return Raised(
        tuple(fields.take("types", _is_chain, "a list of names of the exception, the most special first")),
        fields.text("message"),
        made=fields.take("made", lambda v: type(v) is bool, "true or false", True),
        where=fields.text("where", ""),
    )


_KINDS: Mapping[str, Callable[[_Fields], Message]] = {
    "protocol": _ready,
    **{kind.value: _yielded(kind) for kind in Yields},
    "meanwhile": _meanwhile,
    "log": _log,
    "end": _end,
}

_ENDINGS: Mapping[str, Callable[[_Fields], ClientEnd]] = {
    "ended": lambda _: Finished(),
    "stopped": lambda _: Stopped(),
    "raised": _raised,
    "unsupported": lambda fields: Unsupported(fields.text("reason")),
    "hung": lambda _: Hung(0.0),  # the reader of the message knows the deadline
    "failed": lambda fields: Failed(fields.text("reason")),
}


def _by_client(value: str | dict[str, str]) -> dict[str, str]:
    return {"": value} if isinstance(value, str) else value


def _are_texts(value: Any) -> bool:
    return is_one_line(value) or (isinstance(value, dict) and all(isinstance(one, str) for one in value.values()))


def _is_chain(value: Any) -> bool:
    return isinstance(value, list) and value != [] and all(map(is_one_line, value))


def _are_pairs(first: type, second: type) -> Callable[[Any], bool]:
    return lambda value: (
        isinstance(value, list)
        and all(isinstance(one, list) and [type(each) for each in one] == [first, second] for one in value)
    )
