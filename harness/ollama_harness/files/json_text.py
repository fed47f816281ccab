"""JSON as text: read strictly, split into lines, and written so that it can be encoded as UTF-8."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

__all__ = [
    "MAX_DEPTH",
    "TooDeep",
    "Unreadable",
    "escape_surrogates",
    "has_lone_surrogate",
    "is_too_deep",
    "ndjson_lines",
    "parse_json",
]

_SURROGATES = re.compile("[\ud800-\udfff]")

#: How deep a value may be nested. No API comes near it. A recursive function needs a few frames of Python's stack
#: (1000) for each level.
MAX_DEPTH = 300


class Unreadable(ValueError):
    """A value that the grammar of JSON or TOML allows but that Python cannot use."""


class TooDeep(Unreadable):
    """A value that is nested deeper than `MAX_DEPTH`."""

    def __init__(self) -> None:
        super().__init__(f"it is nested deeper than {MAX_DEPTH} levels")


def ndjson_lines(body: bytes) -> Iterator[bytes]:
    """Each line with its LF; the last line without one if the body does not end with LF."""
    start = 0
    while start < len(body):
        end = body.find(b"\n", start) + 1 or len(body)
        yield body[start:end]
        start = end


def parse_json(data: bytes) -> Any:
    """One JSON value, strictly: UTF-8, no NaN or Infinity, not deeper than `MAX_DEPTH`.

    Raises: ValueError.
    """
    try:
        value = _DECODER.decode(data.decode("utf-8"))
    except RecursionError:
        raise TooDeep from None
    except ValueError as error:
        if type(error) is ValueError:  # Python's limit of digits; its message is advice for programmers
            raise Unreadable("a number has too many digits") from None
        raise
    if data.count(b"[") + data.count(b"{") > MAX_DEPTH and is_too_deep(value):
        raise TooDeep
    return value


def is_too_deep(value: Any) -> bool:
    """Whether arrays and objects are nested deeper than `MAX_DEPTH` levels."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        inner = (one.values() if isinstance(one, Mapping) else one for one in level if isinstance(one, list | Mapping))
        level = [value for values in inner for value in values]
        if not level:
            return False
    return True


def escape_surrogates(json_text: str) -> str:
    """The same JSON with each half of a surrogate pair as an escape, because UTF-8 cannot encode it."""
    return _SURROGATES.sub(lambda match: f"\\u{ord(match[0]):04x}", json_text)


def has_lone_surrogate(value: Any) -> bool:
    """Whether a string anywhere in a JSON value has half a surrogate pair; only an escape can write one."""
    values = [value]
    while values:  # without recursion, because the value may be nested deeper than Python's stack
        match values.pop():
            case str(text) if _SURROGATES.search(text):
                return True
            case list(items):
                values += items
            case dict(fields):
                values += [*fields, *fields.values()]
    return False


def _refuse_constant(text: str) -> NoReturn:
    raise Unreadable(f"{text} is no JSON")


#: Made once: `json.loads` makes a decoder for each call that says what a constant is.
_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
