"""JSON as text: read strictly, split into lines, and written so that UTF-8 can hold it."""

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

#: How deep a value may be nested. No API comes near it; whatever walks through values takes some frames of Python's
#: stack (1000) for each level.
MAX_DEPTH = 300


class Unreadable(ValueError):
    """A value that the grammar of JSON or TOML allows, and that cannot be used."""


class TooDeep(Unreadable):
    """One that is nested deeper than can be walked through."""

    def __init__(self) -> None:
        super().__init__(f"it is nested deeper than {MAX_DEPTH} levels")


def ndjson_lines(body: bytes) -> Iterator[bytes]:
    """Each line with its LF; the last one without, if the body does not end with LF."""
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
        value = json.loads(data.decode("utf-8"), parse_constant=_refuse_constant)
    except RecursionError:
        raise TooDeep from None
    except ValueError as error:
        if type(error) is ValueError:  # Python's own limit; its advice is for programmers
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
    """JSON text that can be written as UTF-8: half a surrogate pair is legal in JSON as an escape only."""
    return _SURROGATES.sub(lambda match: f"\\u{ord(match[0]):04x}", json_text)


def has_lone_surrogate(value: Any) -> bool:
    """Whether a text in a value of JSON holds half a surrogate pair, which only an escape can say."""
    values = [value]
    while values:  # without recursion: JSON may be nested deeper than Python calls
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
