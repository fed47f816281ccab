"""Where in the bytes of a JSON text a field is, so that a fault can change it and leave every other byte as it is.

A path is the names and numbers on the way to a value, joined by dots: `message.tool_calls.0.function.arguments`. A name
may have dots itself, as `model_info` has them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from json.decoder import scanstring  # type: ignore[attr-defined]

__all__ = ["FieldSpan", "find", "find_text", "paths_to"]

#: The texts of a model, and the progress of a pull. The first that is there and is not empty is the text of a record.
_TEXTS = (
    "response",
    "message.content",
    "thinking",
    "message.thinking",
    "choices.0.delta.content",
    "choices.0.delta.reasoning",
    "choices.0.text",
    "choices.0.message.content",
    "delta.text",
    "delta.thinking",
    "delta.partial_json",
    "delta",
    "content.0.text",
    "output.0.content.0.text",
    "status",
)

_BLANK = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder(strict=False)


@dataclass(frozen=True, slots=True)
class FieldSpan:
    """A field of an object, or an item of an array: its value is from `start` to `end`, its name before it."""

    name: str
    name_start: int
    start: int
    end: int


def find(data: bytes, path: str) -> FieldSpan | None:
    """Where the field at a path is, None if it is not there; "" is the whole value.

    Raises: ValueError, if it is no JSON.
    """
    text = data.decode("latin-1")  # a character for each byte
    start = _blank(text, 0)
    _end(text, start)
    return _walk(text, start, path.split(".") if path else [])


def find_text(data: bytes) -> tuple[int, int] | None:
    """Where the text of a record begins and ends, inside its quotes; None if it has none."""
    try:
        spans = [span for path in _TEXTS if (span := find(data, path))]
    except ValueError:
        return None
    texts = ((span.start + 1, span.end - 1) for span in spans if data[span.start : span.start + 1] == b'"')
    return next(((start, end) for start, end in texts if start < end), None)


def paths_to(data: bytes, name: str) -> Iterator[str]:
    """The paths of all fields of this name."""
    text = data.decode("latin-1")

    def below(start: int, path: str) -> Iterator[str]:
        for one in _members(text, start):
            if one.name == name:
                yield path + one.name
            yield from below(one.start, f"{path}{one.name}.")

    yield from below(_blank(text, 0), "")


def _walk(text: str, start: int, steps: Sequence[str]) -> FieldSpan | None:
    if not steps:
        return FieldSpan("", start, start, _end(text, start))
    for one in _members(text, start):
        for size in range(len(steps), 0, -1):
            if one.name == ".".join(steps[:size]):
                if size == len(steps):
                    return one
                if found := _walk(text, one.start, steps[size:]):
                    return found
    return None


def _members(text: str, start: int) -> Iterator[FieldSpan]:
    """What is in the object or array that begins at `start`; nothing if another value does."""
    opening = text[start : start + 1]
    if opening not in ("{", "["):
        return
    at, number = _blank(text, start + 1), 0
    while text[at : at + 1] not in ("}", "]"):
        name_start, name = at, str(number)
        if opening == "{":
            raw, at = scanstring(text, at + 1, False)
            name = raw.encode("latin-1", "replace").decode("utf-8", "replace")
            at = _blank(text, _blank(text, at) + 1)
        end = _end(text, at)
        yield FieldSpan(name, name_start, at, end)
        number += 1
        at = _blank(text, end)
        if text[at : at + 1] == ",":
            at = _blank(text, at + 1)
        elif text[at : at + 1] not in ("}", "]"):
            raise ValueError(f"no JSON at {at}")


def _end(text: str, start: int) -> int:
    """Where the value that begins at `start` ends.

    Raises: ValueError.
    """
    try:
        return _DECODER.raw_decode(text, start)[1]
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _blank(text: str, at: int) -> int:
    found = _BLANK.match(text, at)
    assert found is not None
    return found.end()
