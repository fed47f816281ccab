"""Secrets: found in recordings, and blanked before they reach a disk.

A secret is blanked with as many asterisks as it has bytes, so that Content-Length, chunk sizes and frame sizes stay
true. Known are: the values of headers that carry credentials; strings in JSON whose key says so (api_key, token,
password, …; in JSON within a string of JSON too); what looks like a key wherever it stands (sk-…, ghp_…, AKIA…, a JWT,
Bearer …); parameters of a query; user names and passwords in URLs.

A secret that a model spells over several records is not seen: each line is looked at by itself. Nor is one in a body
with a Content-Encoding (the recorder asks for none).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ollama_harness.recordings.recording import Headers, Recording, Request

__all__ = [
    "Redactor",
    "SecretPattern",
    "find",
    "home_pattern",
    "name_pattern",
    "redact",
    "redact_request",
    "secrets_in",
]

BLANK = b"*"

#: A line longer than this is looked at in pieces of this size, each with the end of the one before it.
MAX_LINE_BYTES = 1024 * 1024
OVERLAP_BYTES = 64 * 1024
#: How much of the overlap is for what stands before a secret and tells that it is one.
_KEY_BYTES = 1024

#: Headers whose values are credentials, whatever they look like.
SECRET_HEADERS = frozenset(
    {
        "authorization",
        "proxy-authorization",
        "cookie",
        "set-cookie",
        "api-key",
        "x-api-key",
        "x-auth-token",
        "x-amz-security-token",
        "x-goog-api-key",
    }
)

_KEYS = (
    rb"(?:[a-z0-9_.-]{0,80}[_.-])?(?:api[_-]?keys?|password|passwd|passphrase|secret|secret[_-]?(?:access[_-]?)?key"
    rb"|client[_-]?secret|access[_-]?key|private[_-]?key|authorization|credentials?|cookie)"
    rb"|(?:access|refresh|id|auth|session|bearer|api|csrf|hf)[_-]?token|token"
)
#: A string of JSON up to its end or the line's; and one within a string of JSON, where every quote has a backslash.
_STRING = rb'(?:[^"\\\r\n]|\\[^\r\n])*+'
_INNER = rb'(?:[^"\\\r\n]|\\\\(?:\\[^\r\n])?|\\[^"\\\r\n])*+'


@dataclass(frozen=True, slots=True)
class SecretPattern:
    """What one kind of secret looks like: group 1 is the secret. None of `hints`, in lower case: it cannot be there."""

    kind: str
    regex: re.Pattern[bytes]
    hints: tuple[bytes, ...]


def _pattern(kind: str, regex: bytes, *hints: bytes) -> SecretPattern:
    return SecretPattern(kind, re.compile(regex, re.IGNORECASE), hints)


_KEY_HINTS = (b"key", b"token", b"pass", b"secret", b"authorization", b"credential", b"cookie")
_QUERY = rb"api[_-]?key|access[_-]?token|token|password|secret|client[_-]?secret"
#: `token` is also what Ollama calls a piece of text where it gives its probability: then `logprob` comes next.
PATTERNS = (
    _pattern(
        "a value in JSON",
        rb'"(?:' + _KEYS + rb')"[ \t]*:[ \t]*"(' + _STRING + rb')(?!",[ \t]*"logprob)',
        *_KEY_HINTS,
    ),
    _pattern(
        "a value in JSON in a string",
        rb'\\"(?:' + _KEYS + rb')\\"[ \t]*:[ \t]*\\"(' + _INNER + rb')(?!\\",[ \t]*\\"logprob)',
        *_KEY_HINTS,
    ),
    _pattern("a key (sk-…)", rb"(?<![a-z0-9_-])(sk-[a-z0-9_-]{8,})", b"sk-"),
    _pattern("a GitHub token", rb"(?<![a-z0-9_])(gh[pousr]_[a-z0-9]{16,}|github_pat_[a-z0-9_]{16,})", b"gh"),
    _pattern("a Hugging Face token", rb"(?<![a-z0-9_])(hf_[a-z0-9]{16,})", b"hf_"),
    _pattern("a Slack token", rb"(?<![a-z0-9_])(xox[abprs]-[a-z0-9-]{10,})", b"xox"),
    _pattern("an AWS key", rb"(?<![a-z0-9_])((?-i:AKIA|ASIA)[0-9A-Z]{16})", b"akia", b"asia"),
    _pattern("a JWT", rb"(?<![a-z0-9_-])((?-i:eyJ)[a-z0-9_-]{8,}\.[a-z0-9_-]{4,}(?:\.[a-z0-9_-]*)?)", b"eyj"),
    _pattern("a bearer token", rb'"bearer +([^"\\\r\n ]++)"', b"bearer"),
    _pattern(
        "a bearer token", rb"\bbearer +((?=[a-z._~+/=-]*[0-9])[a-z0-9._~+/=-]{8,}|[a-z0-9._~+/=-]{24,})", b"bearer"
    ),
    _pattern("a secret in a query", rb"[?&](?:" + _QUERY + rb")=([^&\s\"'\\#<>]++)", b"="),
    _pattern("a user in a URL", rb":(?:\\?/){2}([^\s/@\"'\\?#<>]{1,512}+)@", b"@"),
    _pattern("a private key", rb"-----BEGIN [A-Z ]*PRIVATE KEY-----([^-\r\n]++)", b"private key-----"),
)


def find(data: bytes, patterns: Iterable[SecretPattern] = PATTERNS) -> Iterator[tuple[str, int, int]]:
    """What looks like a secret: its kind, and where it begins and ends. What is blank already is none."""
    lowered = data.lower()
    for pattern in patterns:
        if any(hint in lowered for hint in pattern.hints):
            for match in pattern.regex.finditer(data):
                if match[1].strip(BLANK):
                    yield pattern.kind, match.start(1), match.end(1)


def redact(data: bytes, patterns: Sequence[SecretPattern] = PATTERNS) -> bytes:
    """The same with every secret blanked; as long as it was."""
    return _redact(data, patterns)[0]


def _redact(data: bytes, patterns: Sequence[SecretPattern]) -> tuple[bytes, int]:
    """`data` blanked, and where the secret begins that goes on to its end (its length, without one)."""
    unended = len(data)
    while found := list(find(data, patterns)):
        edited = bytearray(data)
        for _, start, end in found:
            edited[start:end] = BLANK * (end - start)
            if end == len(data):
                unended = min(unended, start)
        data = bytes(edited)  # and again: blanks may have parted what hid another
    return data, unended


class Redactor:
    """Blanks a body as it comes: what is fed comes back in the same bytes and as many, but later and blanked.

    Each line is held until it is whole. A line beyond `MAX_LINE_BYTES` is looked at in overlapping pieces; where one
    secret alone is longer than their overlap, the rest of its line is blanked.
    """

    def __init__(self, patterns: Sequence[SecretPattern] = PATTERNS) -> None:
        self._patterns = patterns
        self._held = bytearray()
        self._blanking = False

    def feed(self, data: bytes) -> bytes:
        """What can be written now."""
        end = data.rfind(b"\n") + 1
        ready = b""
        if end:
            ready = self._lines(bytes(self._held) + data[:end])
            self._held.clear()
        self._held += data[end:]
        while len(self._held) > MAX_LINE_BYTES:
            ready += self._part_of_line()
        return ready

    def finish(self) -> bytes:
        """What is still held, once nothing more comes."""
        rest = self._lines(bytes(self._held))
        self._held.clear()
        return rest

    def _lines(self, data: bytes) -> bytes:
        """Blank whole lines: the secrets in them, and all that is left of a line that is one."""
        if not self._blanking:
            return redact(data, self._patterns)
        size = data.find(b"\n") if b"\n" in data else len(data)
        self._blanking = size == len(data)
        return BLANK * size + redact(data[size:], self._patterns)

    def _part_of_line(self) -> bytes:
        """Let go of a piece of a line but for its end."""
        if self._blanking:
            ready = BLANK * len(self._held)
            self._held.clear()
            return ready
        data, unended = _redact(bytes(self._held[:MAX_LINE_BYTES]), self._patterns)
        self._blanking = unended < len(data) - OVERLAP_BYTES + _KEY_BYTES
        kept = len(data) if self._blanking else len(data) - OVERLAP_BYTES
        self._held[: len(data)] = data[kept:]
        return data[:kept]


# ------------------------------------------------------------------------------------------ on request: this machine

_UNIX_HOME = rb"(?:/home|/Users)/([^/\\\"'\s:;,<>|*?]++)"
_WINDOWS_HOME = rb"[a-z]:[\\/]{1,4}Users[\\/]{1,4}([^/\\\":*?<>|\r\n]++(?=[\\/])|[^/\\\"'\s:;,*?<>|]++)"


def home_pattern(home: Path) -> tuple[SecretPattern, ...]:
    """What stands for a user in paths: /home/NAME, /Users/NAME, C:\\Users\\NAME, and this one's own home."""
    above = [re.escape(part.encode()) for part in (part.strip("\\/") for part in home.parent.parts) if part]
    own = rb"[\\/]{1,2}".join([*above, b"(" + re.escape(home.name.encode()) + rb")(?![a-z0-9_-])"])
    return (
        _pattern("a home", _UNIX_HOME, b"/home", b"/users"),
        _pattern("a home", _WINDOWS_HOME, b"users"),
        *((_pattern("a home", own, home.name.lower().encode()),) if home.name else ()),
    )


def name_pattern(names: Iterable[str]) -> tuple[SecretPattern, ...]:
    """These names of hosts, wherever they stand as words of their own."""
    encoded = [(name.encode(), name.lower().encode()) for name in names if name]
    edge = rb"(?<![a-z0-9-])(%b)(?![a-z0-9-])"
    return tuple(_pattern("a host", edge % re.escape(name), lowered) for name, lowered in encoded)


# ------------------------------------------------------------------------------------------ requests and recordings


def redact_headers(headers: Headers, patterns: Sequence[SecretPattern] = PATTERNS) -> Headers:
    """The same headers with their secrets blanked."""
    return tuple(
        (name, "*" * len(value) if name.lower() in SECRET_HEADERS else _redact_text(value, patterns, "latin-1"))
        for name, value in headers
    )


def redact_request(request: Request, patterns: Sequence[SecretPattern] = PATTERNS) -> Request:
    """The request as it may be written down."""
    return Request(
        method=request.method,
        path=_redact_text(request.path, patterns),
        headers=redact_headers(request.headers, patterns),
        json=None if request.json is None else json.loads(_redact_text(json.dumps(request.json), patterns)),
        body=None if request.body is None else _redact_text(request.body, patterns),
    )


def secrets_in(recording: Recording) -> Iterator[tuple[str, str]]:
    """Where a recording holds what looks like a secret (a field of the meta file, or `body`), and of which kind."""
    for where, headers in (("request", recording.request.headers), ("response", recording.response.headers)):
        for name, value in headers:
            if name.lower() in SECRET_HEADERS and value.strip("*"):
                yield f"{where}.headers.{name}", "credentials"
            for kind, _, _ in find(value.encode("latin-1")):
                yield f"{where}.headers.{name}", kind
    texts: dict[str, Any] = {
        "request.path": recording.request.path,
        "request.json": None if recording.request.json is None else json.dumps(recording.request.json),
        "request.body": recording.request.body,
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
