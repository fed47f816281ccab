"""A JSON object, read field by field: every value is checked, and an unknown field is an error."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from ollama_harness.errors import HarnessError, RecordingError

__all__ = ["Fields", "is_count", "is_head_text", "is_one_line", "is_seconds"]


class Fields:
    """One JSON object of a file: returns its fields checked; `no_more` refuses those that were not read.

    `error` is raised for the first wrong field. `fix` is one advice for every field, for files that people do not
    write by hand.
    """

    def __init__(
        self, path: Path, value: Any, prefix: str, error: type[HarnessError] = RecordingError, *, fix: str = ""
    ) -> None:
        self._path, self._prefix, self._error, self._fix, self._seen = path, prefix, error, fix, set[str]()
        if not isinstance(value, dict):
            self._refuse("", value, "a JSON object")
        self._fields: dict[str, Any] = value

    def fail(self, field: str, problem: str, fix: str) -> NoReturn:
        raise self._error.about(self._path, (self._prefix + field).rstrip(".: "), problem, self._fix or fix)

    def _refuse(self, field: str, value: Any, kind: str) -> NoReturn:
        """Raise the error for a value that is not of this kind."""
        if self._fix:
            self.fail(field, f"is {_shown(value)}, not {kind}", self._fix)
        self.fail(field, f"is {_shown(value)}", f"make it {kind}")

    def take(self, field: str, check: Callable[[Any], bool], kind: str, *, optional: bool = False) -> Any:
        self._seen.add(field)
        if field not in self._fields:
            if optional:
                return None
            self.fail(field, "is missing", f"add it ({kind})")
        value = self._fields[field]
        if not check(value):
            self._refuse(field, value, kind)
        return value

    def text(self, field: str, *, optional: bool = False) -> Any:
        return self.take(field, lambda v: isinstance(v, str), "a string", optional=optional)

    def seconds(self, field: str) -> float:
        return float(self.take(field, is_seconds, "a number of seconds, 0 or more"))

    def object(self, field: str) -> Fields:
        value = self.take(field, lambda v: isinstance(v, dict), "a JSON object")
        return Fields(self._path, value, f"{self._prefix}{field}.", self._error, fix=self._fix)

    def objects(self, field: str) -> list[Fields]:
        """The objects of a list, which is not empty."""
        values = self.take(field, lambda v: isinstance(v, list) and v != [], "a list of JSON objects")
        return [
            Fields(self._path, value, f"{self._prefix}{field}[{number}].", self._error, fix=self._fix)
            for number, value in enumerate(values)
        ]

    def headers(self, field: str, *, optional: bool = False) -> tuple[tuple[str, str], ...]:
        kind = "a list of [name, value] pairs, each one line of Latin-1"
        pairs = self.take(field, _is_header_list, kind, optional=optional)
        return tuple((name, value) for name, value in pairs or ())

    def no_more(self) -> None:
        for field in self._fields:
            if field not in self._seen:
                self.fail(
                    field, "is not a field of the format", f"remove it; the fields are {', '.join(sorted(self._seen))}"
                )


def is_one_line(value: Any) -> bool:
    """Whether a value is a string that fits into a line of a report: not empty, and all of it printable."""
    return isinstance(value, str) and value != "" and value.isprintable()


def is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def is_seconds(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and value >= 0


def is_head_text(value: Any) -> bool:
    """Whether a value can stand in a head: a string of Latin-1 without line ends (RFC 9110 section 5.5)."""
    return isinstance(value, str) and all(ord(char) < 256 and char not in "\r\n\0" for char in value)


def _is_header_list(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(pair, list) and len(pair) == 2 and all(map(is_head_text, pair)) for pair in value
    )


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)[:60]  # TOML has dates, JSON has none
