"""The edge at which files are read: bytes, text, JSON, NDJSON and TOML.

Whatever is wrong with a file, the error that the caller names is raised (`HarnessError.about`). It names the file, the
place in it and the fix. So no content of a file ends in a traceback: not invalid UTF-8, not a number with more digits
than Python reads, not arrays nested deeper than its stack, not half a file.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ollama_harness.errors import HarnessError
from ollama_harness.files.json_text import TooDeep, Unreadable, is_too_deep, ndjson_lines

__all__ = ["parse_json_text", "parse_toml", "read_bytes", "read_json", "read_ndjson", "read_text", "read_toml"]

Error = type[HarnessError]

_READABLE = "give a file that can be read"
_THERE = "fix it there"
_AT = re.compile(r" \(at (?:(?P<place>line \d+, column \d+)|end of document)\)$")
#: TOML's integers have 64 bits; Python's writers refuse those with thousands of digits.
_LARGEST = 2**63


def read_bytes(path: Path, error: Error, *, fix: str = _READABLE) -> bytes:
    """The content of a file. `fix` is the error's advice if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as cause:
        raise error.about(path, "", f"cannot be read: {cause.strerror or cause}", fix) from None


def read_text(path: Path, error: Error, *, fix: str = _READABLE) -> str:
    """The text of a file in UTF-8, with LF at the ends of its lines."""
    return _decoded(read_bytes(path, error, fix=fix), path, error).replace("\r\n", "\n")


def read_json(path: Path, error: Error, *, fix: str = _READABLE, repair: str = _THERE) -> Any:
    """The JSON value in a file; `repair` is the error's advice if it is no JSON. No object may have a key twice."""
    return _json(read_bytes(path, error, fix=fix), path, error, repair)


def parse_json_text(text: str, path: Path, error: Error) -> Any:
    """The JSON value in the text of a file. No object may have a key twice."""
    return _json_value(text, path, error, _THERE)


def read_ndjson(path: Path, error: Error, *, fix: str = _READABLE, repair: str = _THERE) -> list[Any]:
    """The JSON values of a file, one a line; `repair` is the error's advice for a line that is no JSON."""
    lines = ndjson_lines(read_bytes(path, error, fix=fix))
    return [_json(line, path, error, repair, line=number) for number, line in enumerate(lines, 1)]


def read_toml(path: Path, error: Error, *, fix: str = _READABLE) -> dict[str, Any]:
    """The TOML table in a file."""
    return parse_toml(read_text(path, error, fix=fix), path, error)


def parse_toml(text: str, path: Path, error: Error) -> dict[str, Any]:
    """The TOML table in the text of a file."""
    try:
        table = tomllib.loads(text)
        if is_too_deep(table):
            raise TooDeep
        if not _all_small(table):
            raise _too_many_digits()
    except (ValueError, RecursionError) as cause:
        place, problem = _explained(cause, "TOML")
        raise error.about(path, place, problem, _THERE) from None
    return table


def _json(data: bytes, path: Path, error: Error, repair: str, *, line: int = 0) -> Any:
    """A JSON value; `line` is its line in a file of several values."""
    return _json_value(_decoded(data, path, error, line=line), path, error, repair, line=line)


def _json_value(text: str, path: Path, error: Error, repair: str, *, line: int = 0) -> Any:
    try:
        value = json.loads(text, object_pairs_hook=_unique)
        if is_too_deep(value):
            raise TooDeep
    except (ValueError, RecursionError) as cause:
        place, problem = _explained(cause, "JSON", line=line)
        raise error.about(path, place, problem, repair) from None
    return value


def _decoded(data: bytes, path: Path, error: Error, *, line: int = 0) -> str:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as cause:
        place = f"line {line}, byte {cause.start}" if line else f"byte {cause.start}"
        raise error.about(path, place, "is no UTF-8", "save the file as UTF-8") from None
    if text.startswith("\ufeff"):
        raise error.about(path, "", "begins with a byte order mark", "save the file as UTF-8 without one")
    return text


def _explained(cause: ValueError | RecursionError, kind: str, *, line: int = 0) -> tuple[str, str]:
    """The place of the defect, and the problem."""
    match cause:
        case json.JSONDecodeError():
            place = f"line {line or cause.lineno}, column {cause.colno}"
            return place, f"is no JSON: {cause.msg}"
        case tomllib.TOMLDecodeError():
            at = _AT.search(str(cause))
            return (at["place"] or "" if at else ""), f"is no TOML: {_AT.sub('', str(cause))}"
        case RecursionError():
            cause = TooDeep()
        case Unreadable():
            pass
        case _:  # Python's limit of digits; its message is advice for programmers
            cause = _too_many_digits()
    return (f"line {line}" if line else ""), f"is no {kind} that can be used: {cause}"


def _too_many_digits() -> Unreadable:
    return Unreadable("a number has too many digits")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys differ: of two values for one key, some JSON parsers use the first and some the last."""
    value = dict(pairs)
    if len(value) < len(pairs):
        keys = [key for key, _ in pairs]
        raise Unreadable(f"an object has the key {next(key for key in keys if keys.count(key) > 1)!r} twice")
    return value


def _all_small(value: Any) -> bool:
    """Whether every integer fits into 64 bits."""
    level = [value]
    while level:
        if any(isinstance(one, int) and not -_LARGEST <= one < _LARGEST for one in level):
            return False
        level = [
            inner
            for one in level
            if isinstance(one, list | Mapping)
            for inner in (one.values() if isinstance(one, Mapping) else one)
        ]
    return True
