"""What the short texts of a programme mean, on the command line and in a header: `POST /api/chat #2`, `503: busy`."""

from __future__ import annotations

import re
from http import HTTPStatus

from ollama_harness.answers.own_answers import OwnError
from ollama_harness.server._when import When

__all__ = ["own_error", "parse_fail", "parse_on"]

_ON = re.compile(r"(?:(?P<method>[A-Za-z]+)(?:\s+|$))?(?P<path>[/*][^\s#]*)?\s*(?:#(?P<nth>\d{1,9}(?:,\d{1,9})*))?")


def parse_on(text: str) -> tuple[When, tuple[int, ...]]:
    """Which requests `[METHOD] [PATH] [#N[,N]]` means, and the numbers of those that are meant.

    Raises: ValueError.
    """
    found = _ON.fullmatch(text.strip())
    if not text.strip() or found is None:
        raise ValueError(f"{text!r} names no requests; give METHOD PATH #N, each of them or not: POST /api/chat #2")
    method, path, nth = found["method"], found["path"], found["nth"]
    numbers = tuple(map(int, nth.split(","))) if nth else ()
    if 0 in numbers:
        raise ValueError(f"{text!r}: the first request is #1; give 1 or more")
    return When(method=method and method.upper(), path=path), numbers


def parse_fail(text: str) -> OwnError:
    """The error that `503` or `503: busy` means.

    Raises: ValueError.
    """
    status, _, message = text.partition(":")
    if not status.strip().isdecimal() or not status.isascii():
        raise ValueError(f"{text[:60]!r} is no status; give one from 400 to 599, or 503: and your message")
    return own_error(int(status[:9]), message.strip() or None)


def own_error(status: int, message: str | None = None) -> OwnError:
    """An error with a message, or with the status' own name.

    Raises: ValueError.
    """
    known = {one.value: one.phrase for one in HTTPStatus}
    return OwnError.of(status, known.get(status, "error") if message is None else message)
