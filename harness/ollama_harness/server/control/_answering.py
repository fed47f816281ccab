"""What the calls of the control API share: an answer, an error, and the parameters of a query, read strictly."""

from __future__ import annotations

import http
import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from ollama_harness.recordings.recording import Headers
from ollama_harness.script.message_parts import Head, Raw
from ollama_harness.script.script import ConnectionEnd, Script, ScriptEnd, Segment

__all__ = ["ControlAnswer", "ControlError", "Query"]

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class ControlAnswer:
    """A status and a JSON value; the status 204 has none."""

    status: int
    value: Any = None
    headers: Headers = ()

    def script(self, method: str) -> Script:
        """What is played; an answer to HEAD has no body."""
        body, is_sent = b"", method != "HEAD"
        headers: Headers = (*self.headers, ("Cache-Control", "no-store"), ("Date", ""))
        if self.status != http.HTTPStatus.NO_CONTENT:
            body = json.dumps(self.value, allow_nan=False).encode("ascii") + b"\n"
            headers = (("Content-Type", "application/json"), *headers, ("Content-Length", str(len(body))))
        parts = (
            Head(self.status, http.HTTPStatus(self.status).phrase, headers),
            Raw(body if is_sent else b""),
        )
        end = ScriptEnd(how=ConnectionEnd.KEEP_OPEN, at_s=0.0)
        return Script(method="GET", segments=(Segment(0.0, parts),), ending=end)


class ControlError(Exception):
    """A call that cannot be answered. The message says what to do."""

    def __init__(self, status: int, message: str, *headers: tuple[str, str]) -> None:
        self.answer = ControlAnswer(status, {"error": message}, headers)
        super().__init__(message)


class Query:
    """The parameters of a call. Each is checked as it is taken, and one that is not taken is an error."""

    def __init__(self, text: str) -> None:
        self._left: dict[str, str] = {}
        self._known: list[str] = []
        for name, value in parse_qsl(text, keep_blank_values=True):
            if name in self._left:
                raise ControlError(400, f"{name} is there twice; give it once")
            self._left[name] = value

    def text(self, name: str) -> str | None:
        self._known.append(name)
        return self._left.pop(name, None)

    def number(self, name: str, *, least: int = 0) -> int | None:
        return self._read(name, lambda text: _whole(text, least), f"a whole number, {least} or more")

    def seconds(self, name: str, *, most: float) -> float | None:
        return self._read(name, lambda text: _seconds(text, most), f"seconds from 0 to {most:g}")

    def flag(self, name: str) -> bool | None:
        return self._read(name, {"true": True, "false": False}.__getitem__, "true or false")

    def choice(self, name: str, choices: Iterable[str]) -> str | None:
        known = tuple(choices)
        return self._read(name, lambda text: known[known.index(text)], " or ".join(known))

    def no_more(self) -> None:
        """Refuse what is left.

        Raises: ControlError.
        """
        if self._left:
            known = f"the parameters are {', '.join(self._known)}" if self._known else "it has none"
            raise ControlError(400, f"{next(iter(self._left))[:60]!r} is no parameter of this call; {known}")

    def _read(self, name: str, read: Callable[[str], _T], kind: str) -> _T | None:
        if (text := self.text(name)) is None:
            return None
        try:
            return read(text)
        except (ValueError, KeyError):
            raise ControlError(400, f"{name} is {text[:60]!r}; make it {kind}") from None


def _whole(text: str, least: int) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 15 and int(text) >= least):
        raise ValueError
    return int(text)


def _seconds(text: str, most: float) -> float:
    number = float(text)
    if not (math.isfinite(number) and 0 <= number <= most):
        raise ValueError
    return number
