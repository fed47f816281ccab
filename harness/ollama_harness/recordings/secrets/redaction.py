"""Secrets: found in recordings, and blanked before they reach a disk.

A secret is replaced by as many asterisks as it has bytes, so that Content-Length, chunk sizes and frame sizes stay
true. In a number each digit becomes 1 (0 in the exponent), so that JSON stays JSON. These are found:

* the values of headers that carry credentials;
* the value of a secret's name (api_key, token, password, …) in JSON, in YAML and after an equals sign;
* keys of a known form anywhere (sk-…, ghp_…, AKIA…, a JWT, Bearer …, Basic …);
* parameters of a query, and user names and passwords in URLs.

A line of JSON is parsed, and so are several lines that are JSON together. Each string is searched without its escapes,
and again as JSON if it is JSON. So a blank never extends beyond the string with the secret, and no spelling of a name
hides it. Other lines are searched as they are, and once more for each layer of escapes.

These are not found: a secret that a model spells over several records, or that is printed over several lines that are
no JSON, because each line is searched alone; and a secret in a body with a Content-Encoding (the recorder asks for
none).
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from ollama_harness.recordings.recording import Headers, Recording, Request
from ollama_harness.recordings.secrets.in_json import Leaf, end_of_value, leaves, unescaped
from ollama_harness.recordings.secrets.names import Secrecy, secrecy
from ollama_harness.recordings.secrets.patterns import (
    NUMBERS_IN_JSON,
    PATTERNS,
    STRINGS_IN_JSON,
    SecretPattern,
    home_pattern,
    name_pattern,
)

__all__ = [
    "PATTERNS",
    "Redactor",
    "SecretPattern",
    "find",
    "home_pattern",
    "name_pattern",
    "redact",
    "redact_headers",
    "redact_request",
    "secrets_in",
]

#: A line longer than this is searched in pieces of this size. Each piece begins with the end of the one before it.
MAX_LINE_BYTES = 1024 * 1024
OVERLAP_BYTES = 64 * 1024
#: How much of the overlap is for the name before a secret.
_KEY_BYTES = 1024

#: The limit of JSON in a string of JSON in a string of JSON …
_DEEPEST = 8

#: Headers that carry credentials, besides those with a secret's name (X-Api-Key, Private-Token, …).
_SECRET_HEADERS = frozenset(
    {
        *("authentication-info", "proxy-authentication-info", "cookie2", "set-cookie2", "x-goog-iap-jwt-assertion"),
        *("cf-access-jwt-assertion", "cf-access-client-id", "x-forwarded-client-cert", "x-jwt", "dpop"),
        *("x-key", "x-mashape-key", "x-sid", "x-ms-authorization-auxiliary"),
    }
)

_SSE = re.compile(rb"data:[ ]?")


def find(data: bytes, patterns: Sequence[SecretPattern] = PATTERNS) -> Iterator[tuple[str, int, int]]:
    """Each secret in `data`: its kind, and where it begins and ends. A blanked one is none."""
    return ((pattern.kind, start, end) for pattern, start, end in _finder(tuple(patterns)).find(data))


@functools.cache
def _finder(patterns: tuple[SecretPattern, ...]) -> _Finder:
    return _Finder(patterns)


#: A pattern, and where a secret of it begins and ends.
_Found = tuple[SecretPattern, int, int]


class _Finder:
    """Finds the secrets of all patterns."""

    def __init__(self, patterns: tuple[SecretPattern, ...]) -> None:
        self._patterns = patterns
        hints = {hint for pattern in patterns for hint in pattern.hints}
        self._hints = sorted(hints | {b"\\u"})  # an escape may hide any hint
        self._shapes = {pattern.shape for pattern in patterns if pattern.shape}
        self._in_json = STRINGS_IN_JSON in patterns
        self._short_may = functools.lru_cache(maxsize=4096)(self._may_hold_any)  # names repeat in each record

    def find(self, data: bytes) -> Iterator[_Found]:
        if not self._may_hold_any(data):
            return
        for at, end_of_unit, _ in _units(data):
            line = data[at:end_of_unit]
            if self._may_hold_any(line):
                skipped = match.end() if (match := _SSE.match(line)) else 0
                places = range(skipped, len(line) + 1)
                for pattern, start, end in self._in_text(line[skipped:], places, _DEEPEST):
                    if line[start:end] != pattern.blank(line[start:end]):
                        yield pattern, at + start, at + end

    def _may_hold_any(self, text: bytes) -> bool:
        lowered = text.lower()
        for hint in self._hints:
            if hint in lowered:
                return True
        return any(shape.search(text) for shape in self._shapes)

    def _in_text(self, text: bytes, places: Sequence[int], layers: int) -> Iterator[_Found]:
        """The secrets of a text. `places` has the place in the line of each of its bytes, and of its end."""
        found = leaves(text) if text.lstrip()[:1] in (b"{", b"[", b'"') else None
        if found is not None:
            yield from self._in_leaves(text, found, places, layers)
            return
        lowered = text.lower()
        for pattern in self._patterns:
            if pattern.shape or any(hint in lowered for hint in pattern.hints):
                for start, end in pattern.spans(text):
                    yield pattern, places[start], places[end]
        if layers and b"\\" in text:
            inner, inner_places = unescaped(text, places)
            if len(inner) < len(text):
                yield from self._in_text(inner, inner_places, layers - 1)

    def _in_leaves(self, text: bytes, found: list[Leaf], places: Sequence[int], layers: int) -> Iterator[_Found]:
        for leaf in found:
            if leaf.is_secret and self._in_json:
                pattern = NUMBERS_IN_JSON if leaf.is_number else STRINGS_IN_JSON
                yield pattern, places[leaf.start], places[leaf.end]
            elif layers:
                inner = text[leaf.start : leaf.end]
                if self._short_may(inner) if len(inner) < 40 else self._may_hold_any(inner):
                    inner, inner_places = unescaped(inner, places[leaf.start : leaf.end + 1])
                    yield from self._in_text(inner, inner_places, layers - 1)


_OPENS = (b"{", b"[")


def _units(data: bytes) -> Iterator[tuple[int, int, bool]]:
    """What is looked at by itself: where a line begins and ends, or JSON that is printed over several lines.

    The third is False for the first line of JSON that the data ends in.
    """
    at, read = 0, 0
    while at <= len(data):
        end, is_whole = _line_end(data, at), True
        if end < len(data) and at >= read and (line := data[at:end].strip())[:1] in _OPENS and line[-1:] not in b"}]":
            read, is_json = end_of_value(data, at)
            end = _line_end(data, read) if is_json else end
            is_whole = is_json is not None
        yield at, end, is_whole
        at = end + 1


def _line_end(data: bytes, at: int) -> int:
    end = data.find(b"\n", at)
    return len(data) if end < 0 else end


def redact(data: bytes, patterns: Sequence[SecretPattern] = PATTERNS) -> bytes:
    """The same bytes with every secret blanked; the length stays."""
    return _redact(data, patterns)[0]


def _redact(data: bytes, patterns: Sequence[SecretPattern]) -> tuple[bytes, int]:
    """`data` blanked, and the start of a secret that extends to the end of `data` (else the length of `data`)."""
    unended = len(data)
    while found := list(_finder(tuple(patterns)).find(data)):
        edited = bytearray(data)
        for pattern, start, end in found:
            edited[start:end] = pattern.blank(data[start:end])
            if end == len(data):
                unended = min(unended, start)
        data = bytes(edited)  # and search again, because a blank may have uncovered another secret
    return data, unended


class Redactor:
    """Blanks a body while it arrives: all bytes that are fed are returned, blanked and a little later.

    Each line is kept until it is whole, and so is JSON over several lines. A line longer than `MAX_LINE_BYTES` is
    searched in overlapping pieces. If one secret is longer than the overlap, the rest of its line is blanked. Longer
    JSON is searched line by line.
    """

    def __init__(self, patterns: Sequence[SecretPattern] = PATTERNS) -> None:
        self._patterns = patterns
        self._held = bytearray()
        self._look_again_bytes = 0  # JSON that is held is looked at again when it has doubled
        self._blanking = False

    def feed(self, data: bytes) -> bytes:
        """Add bytes; returns those that can be written now."""
        end = data.rfind(b"\n") + 1
        ready = b""
        if end:
            text = bytes(self._held) + data[:end]
            whole = self._whole_bytes(text)
            ready = self._lines(text[:whole])
            self._held[:] = text[whole:]
        self._held += data[end:]
        while len(self._held) > MAX_LINE_BYTES:
            if lines := self._held.rfind(b"\n") + 1:
                ready += self._lines(bytes(self._held[:lines]))
                del self._held[:lines]
            else:
                ready += self._part_of_line()
        return ready

    def _whole_bytes(self, lines: bytes) -> int:
        """How much of these lines comes before JSON that goes on after them."""
        if len(lines) < self._look_again_bytes:
            return 0
        starts = (start for start, _, is_whole in _units(lines) if not is_whole)
        start = len(lines) if self._blanking else next(starts, len(lines))
        self._look_again_bytes = 2 * (len(lines) - start)
        return start

    def finish(self) -> bytes:
        """The bytes that are still kept, when no more arrive."""
        rest = self._lines(bytes(self._held))
        self._held.clear()
        return rest

    def _lines(self, data: bytes) -> bytes:
        """Whole lines blanked; the first one wholly, if it is the rest of a line that is being blanked."""
        if not self._blanking:
            return redact(data, self._patterns)
        size = data.find(b"\n") if b"\n" in data else len(data)
        self._blanking = size == len(data)
        return b"*" * size + redact(data[size:], self._patterns)

    def _part_of_line(self) -> bytes:
        """A piece of a long line, blanked; its end is kept for the next piece."""
        if self._blanking:
            ready = b"*" * len(self._held)
            self._held.clear()
            return ready
        original = bytes(self._held[:MAX_LINE_BYTES])
        data, unended = _redact(original, self._patterns)
        self._blanking = unended < len(data) - OVERLAP_BYTES + _KEY_BYTES
        kept = len(data) if self._blanking else len(data) - OVERLAP_BYTES
        self._held[: len(data)] = (
            data[kept:unended] + original[max(kept, unended) :]
        )  # the next piece finds it again, and whole
        return data[:kept]


# ------------------------------------------------------------------------------------------ requests and recordings


def redact_headers(headers: Headers, patterns: Sequence[SecretPattern] = PATTERNS) -> Headers:
    """The same headers with their secrets blanked."""
    return tuple(
        (name, "*" * len(value) if _is_secret_header(name) else _redact_text(value, patterns, "latin-1"))
        for name, value in headers
    )


def _is_secret_header(name: str) -> bool:
    """Whether every value of this header is a secret."""
    lowered = name.lower()
    if lowered.startswith("access-control-"):  # Access-Control-Allow-Credentials
        return False
    if lowered in _SECRET_HEADERS or re.search("signature(-[0-9]+)?$", lowered):  # X-Hub-Signature-256
        return True
    return secrecy(name.encode("latin-1")) is not Secrecy.NONE


def redact_request(request: Request, patterns: Sequence[SecretPattern] = PATTERNS) -> Request:
    """The same request with its secrets blanked."""
    return replace(
        request,
        path=_redact_text(request.path, patterns),
        headers=redact_headers(request.headers, patterns),
        json=None if request.json is None else json.loads(_redact_text(json.dumps(request.json), patterns)),
        body=None if request.body is None else _redact_text(request.body, patterns),
    )


def redact_meta(recording: Recording, patterns: Sequence[SecretPattern] = PATTERNS) -> Recording:
    """The same recording with the secrets blanked in all that its meta file has. The body is for a `Redactor`."""
    response = recording.response
    return replace(
        recording,
        request=redact_request(recording.request, patterns),
        response=replace(
            response,
            reason=_redact_text(response.reason, patterns, "latin-1"),
            headers=redact_headers(response.headers, patterns),
        ),
        intervention=None if recording.intervention is None else _redact_text(recording.intervention, patterns),
        note=None if recording.note is None else _redact_text(recording.note, patterns),
    )


def secrets_in(recording: Recording) -> Iterator[tuple[str, str]]:
    """The place (a field of the meta file, or a line of the body) and the kind of each secret in a recording."""
    for where, headers in (("request", recording.request.headers), ("response", recording.response.headers)):
        for name, value in headers:
            if _is_secret_header(name) and value.strip("*"):
                yield f"{where}.headers.{name}", "credentials"
            for kind, _, _ in find(value.encode("latin-1")):
                yield f"{where}.headers.{name}", kind
    texts: dict[str, Any] = {
        "request.path": recording.request.path,
        "request.json": None if recording.request.json is None else json.dumps(recording.request.json),
        "request.body": recording.request.body,
        "response.reason": recording.response.reason,
        "intervention": recording.intervention,
        "note": recording.note,
    }
    for field, text in texts.items():
        for kind, _, _ in find((text or "").encode("utf-8", "surrogatepass")):
            yield field, kind
    body = recording.body
    for kind, start, _ in find(body):
        line = body.count(b"\n", 0, start) + 1
        yield f"body, line {line}", kind


def _redact_text(text: str, patterns: Sequence[SecretPattern], encoding: str = "utf-8") -> str:
    errors = "surrogatepass" if encoding == "utf-8" else "strict"
    return redact(text.encode(encoding, errors), patterns).decode(encoding, errors)
