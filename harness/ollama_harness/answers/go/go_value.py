"""The first JSON value of a body, as Go's scanner reads it: objects as Members, numbers as int or Number.

`value_of` reads with Python's own parser, which is fast; where that one objects, `scanner_error` goes over the bytes
again, as Go's scanner does, to find the words. What follows the first value is never read.

Sources: Go 1.26, encoding/json: scanner.go, stream.go.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from ollama_harness.answers.go._go_scanner import scanner_error
from ollama_harness.answers.go.go_types import ErrorKind, GoError, Members, Number
from ollama_harness.recordings.versions import order

__all__ = ["go_kind", "has_v2_words", "json_pointer", "raw_text", "value_of"]

#: The first version whose recordings have the words of json/v2 (its go.mod asks for Go 1.26).
_V2_SINCE = "0.23.1"


@cache
def has_v2_words(version: str) -> bool:
    """Whether the builds of this version decode with json/v2 underneath."""
    return order(version) >= order(_V2_SINCE)


def value_of(body: bytes, version: str) -> tuple[Any, str] | GoError:
    """The first JSON value of a body as `any`, and its text; or the scanner's error."""
    try:
        text = body.decode()
    except UnicodeDecodeError:  # Go puts one U+FFFD in the place of each byte
        text = _LONE.sub("�", body.decode("utf-8", "surrogateescape"))
    start = _BLANK.match(text).end()  # type: ignore[union-attr]  # it matches the empty text
    try:
        value, end = _PARSER.scan_once(text, start)
        if text[end : end + 1] in _GOES_ON and text[end - 1].isdigit():
            raise ValueError("Python stops before a fraction that is none")
    except (StopIteration, ValueError, RecursionError):
        # An older Python has a lower limit of depth than Go.
        words = scanner_error(body, v2=has_v2_words(version)) or "exceeded max depth"
        return GoError(words, ErrorKind.EMPTY if words == "EOF" else ErrorKind.SYNTAX)
    if "\\u" in text:
        value = _without_lone_surrogates(value, text)
    return value, text[start:end]


def _integer(text: str) -> int | Number:
    return int(text) if len(text) < 19 and text != "-0" else Number(text)


def _no_constant(text: str) -> Any:
    raise ValueError(text)


_GOES_ON = frozenset(".eE")
_BLANK = re.compile(r"[ \t\r\n]*")
_PARSER: Any = json.JSONDecoder(
    object_pairs_hook=Members, parse_int=_integer, parse_float=Number, parse_constant=_no_constant
)
_LONE = re.compile("[\ud800-\udfff]")
_LONE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")


def _without_lone_surrogates(value: Any, text: str) -> Any:
    """Go puts U+FFFD in the place of half a pair."""
    try:
        return _mapped(value) if _LONE_ESCAPE.search(text) else value
    except RecursionError:
        return value


def _mapped(value: Any) -> Any:
    match value:
        case str():
            return _LONE.sub("�", value)
        case Members():
            return Members([(_LONE.sub("�", key), _mapped(one)) for key, one in value.pairs])
        case list():
            return [_mapped(one) for one in value]
        case _:
            return value


def go_kind(value: Any) -> str:
    """What Go's errors call a JSON value."""
    match value:
        case None:
            return "null"
        case bool():
            return "bool"
        case str():
            return "string"
        case list():
            return "array"
        case dict():
            return "object"
        case _:
            return "number"


def json_pointer(key: str) -> str:
    """A key as a JSON pointer has it."""
    return key.replace("~", "~0").replace("/", "~1") if "~" in key or "/" in key else key


def raw_text(text: str, path: Sequence[str]) -> str:
    """The text of the value at a path; of a key that came twice the last one."""
    start = _BLANK.match(text).end()  # type: ignore[union-attr]
    end = len(text)
    for step in path:
        found = [(at, to) for key, at, to in _entries(text, start) if json_pointer(key) == step]
        if not found:
            break
        start, end = found[-1]
    return text[start:end]


def _entries(text: str, start: int) -> Iterator[tuple[str, int, int]]:
    """Key (or index), start and end of each value in the object or list that begins here. The text is valid JSON."""
    blank = _BLANK.match
    is_object = text[start] == "{"
    at = blank(text, start + 1).end()  # type: ignore[union-attr]
    index = 0
    while text[at] not in "]}":
        key = str(index)
        if is_object:
            key, at = json.decoder.scanstring(text, at + 1, True)  # type: ignore[attr-defined]
            at = blank(text, blank(text, at).end() + 1).end()  # type: ignore[union-attr]
        _, end = _PARSER.scan_once(text, at)
        yield key, at, end
        at = blank(text, end).end()  # type: ignore[union-attr]
        if text[at] == ",":
            at = blank(text, at + 1).end()  # type: ignore[union-attr]
        index += 1
