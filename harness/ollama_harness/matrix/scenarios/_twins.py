"""Twins: a scenario that plays a stream of Ollama's own API, on the streams of events over /v1.

A twin is derived. Its recordings are those of the same requests over /v1. Its faults are the same calls, but for three
things. The text begins some events later, so records have later numbers. A line that is a record becomes an event. An
error has the form of the route. Where this is not enough, the scenario says in `over_v1` what its twin has of its own,
or why it can have none.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from ollama_harness.faults import (
    FAULTS,
    PLACES,
    Fault,
    Place,
    error_event_after_record,
    insert_line,
    put_into_text,
)
from ollama_harness.matrix.scenarios.scenario import (
    ERROR_EVENTS,
    ERRORS_IN_STREAM,
    EVENT_STREAM,
    NDJSON,
    NO_TERMINAL_RECORD,
    SHORT_V1,
    STREAMING,
    STREAMING_V1,
    STREAMS,
    STREAMS_V1,
    UNPARSEABLE,
    Layer,
    Scenario,
    Source,
)

__all__ = ["twin", "why_no_twin"]

#: How many events may come before the text: a response is created, its output begins, its content begins.
_LATER = 3

#: How many records each of the short streams over /v1 has at least.
_RECORDS = 8

#: Text of several scripts, which no recording over /v1 has.
_UNICODE = "Ünïcödé, 日本語, العربية, 👩‍💻".encode()

#: What is played over /v1 instead of a recording. A recording that is not named is left out.
_RECORDINGS: dict[str, tuple[str, ...]] = {
    "generate-stream": STREAMS_V1,
    "chat-stream": STREAMS_V1,
    "generate-cold": SHORT_V1,
    "chat-france": SHORT_V1,
    "generate-unicode": SHORT_V1,
    "generate-long": ("v1-chat-stream-usage", "v1-completions-stream"),
    "generate-one-token": ("v1-chat-length",),
    "generate-raw": ("v1-completions-france-stream",),
    "chat-tools-*": ("v1-*-tools-stream",),
    "chat-tools-two-*": ("v1-chat-tools-two-stream",),
    "chat-tools-same-stream": ("v1-chat-tools-same-stream",),
    "chat-tools-stream": ("v1-chat-tools-stream",),
    "chat-tools-think-stream": ("v1-chat-tools-stream",),
    "chat-think-stream": ("v1-chat-think-stream",),
    "chat-think-*": ("v1-*-think-stream",),
    "generate-format-*": ("v1-chat-json-stream", "v1-chat-schema-stream"),
    "generate-logprobs": ("v1-chat-logprobs-stream",),
    "chat-logprobs": ("v1-chat-logprobs-stream",),
    "fault-runner-killed-chat": ("fault-runner-killed-v1-*",),
    "fault-server-killed-chat": ("fault-server-*-v1-*",),
}

#: What a document on Ollama's own API says is said for /v1 in another.
_SOURCES: dict[Source, Source] = {
    NDJSON: EVENT_STREAM,
    UNPARSEABLE: EVENT_STREAM,
    STREAMING: STREAMING_V1,
    NO_TERMINAL_RECORD: STREAMING_V1,
    ERRORS_IN_STREAM: ERROR_EVENTS,
}


def why_no_twin(one: Scenario) -> str:
    """Why a scenario has no twin, in a phrase; "" if it has one."""
    if one.events:
        return "it plays events itself"
    if one.environment is not None:
        return "the settings of a network do not look at the path of a request"
    if isinstance(one.over_v1, str):
        return one.over_v1
    return "" if _recordings(one.recordings) else "it plays no stream of text"


def twin(one: Scenario) -> Scenario:
    """The scenario over /v1. It has one, if `why_no_twin` says nothing."""
    faults = tuple(map(_translated, one.faults))
    then = tuple(tuple(map(_translated, each)) for each in one.then)
    recordings = _recordings(one.recordings)
    if recordings == STREAMS_V1 and any(faults) and max(_numbers(faults, *then), default=0) <= _RECORDS:
        recordings = SHORT_V1
    in_each = set(STREAMS) <= set(one.recordings) and (one.layer is Layer.OLLAMA or not any((faults, *then)))
    made_text = (put_into_text(2 * _LATER, _UNICODE),) if "generate-unicode" in one.recordings else ()
    derived = replace(
        one,
        name=f"{one.name}-v1",
        summary=one.summary.replace("NDJSON", "an event stream"),
        recordings=recordings,
        faults=(*made_text, *faults),
        then=then,
        subject=(),
        source=_SOURCES.get(one.source, one.source) if one.source else None,
        events=True,
        twin_of=one.name,
        in_each=in_each,
        over_v1="it is a twin",
    )
    assert not isinstance(one.over_v1, str)
    return replace(derived, **one.over_v1)


def _recordings(patterns: Iterable[str]) -> tuple[str, ...]:
    """The patterns of the recordings over /v1, each once."""
    return tuple(dict.fromkeys(name for pattern in patterns for name in _RECORDINGS.get(pattern, ())))


def _numbers(*exchanges: Iterable[Fault]) -> Iterator[int]:
    """The numbers of records and chunks in faults."""
    for call in (call for faults in exchanges for fault in faults for call in (fault, *fault.arguments.values())):
        if isinstance(call, Fault | Place) and isinstance(n := call.arguments.get("n"), int):
            yield n


def _translated(fault: Fault) -> Fault:
    """The same fault in a stream of events."""
    match fault.name, dict(fault.arguments):
        case "insert_line", {"n": n, "line": line} if _is_json(line):
            return insert_line(_later(n), f"data: {line}\n")
        case "error_line_after_record", {"n": n, "error": error, "goes_on": goes_on}:
            return error_event_after_record(_later(n), error, goes_on=goes_on)
    return FAULTS[fault.name].make(**_arguments(fault.arguments))


def _arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a fault or a place for a stream of events: later records and chunks, and its own type."""
    return {name: _argument(name, value) for name, value in arguments.items()}


def _argument(name: str, value: Any) -> Any:
    if isinstance(value, Place):
        return PLACES[value.name].make(**_arguments(value.arguments))
    if isinstance(value, str):
        return value.replace("application/x-ndjson", "text/event-stream")
    return _later(value) if name == "n" else value


def _later(n: int) -> int:
    return n + _LATER if n > 0 else n


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
