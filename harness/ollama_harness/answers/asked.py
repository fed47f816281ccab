"""A request as it came over the wire, and what the steps read from it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from urllib.parse import unquote

from ollama_harness.answers.go.go_request import Flaw
from ollama_harness.answers.go.go_url import GoUrl, parse_target
from ollama_harness.recordings.recording import Headers
from ollama_harness.script.http1 import RequestHead, members

__all__ = ["Asked"]

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request. `target` is as it was sent; `body` without transfer coding.

    `flaw` is what Go's server finds wrong with the head; then the rest is empty, or says less than it seems to.
    `body_error` is the error that a handler gets in place of the rest of the body. `at` is when it came: models that
    are loaded expire. Requests are equal whenever they came.
    """

    method: str
    target: str
    version: str = "HTTP/1.1"
    headers: Headers = ()
    body: bytes = b""
    flaw: Flaw | None = None
    body_error: str = ""
    at: datetime = field(default=_NEVER, compare=False)

    @classmethod
    def of(
        cls, head: RequestHead, body: bytes, *, flaw: Flaw | None = None, body_error: str = "", at: datetime = _NEVER
    ) -> Asked:
        return cls(
            method=head.method,
            target=head.target,
            version=head.version,
            headers=head.headers,
            body=body,
            flaw=flaw,
            body_error=body_error,
            at=at,
        )

    def header(self, name: str) -> str | None:
        """The first value of a header, its name compared without case."""
        return self._first_values.get(name.lower())

    @cached_property
    def _first_values(self) -> dict[str, str]:
        return {name.lower(): value for name, value in reversed(self.headers)}

    def has_token(self, name: str, token: str) -> bool:
        """Whether a list header has this member, in lower case."""
        found = name.lower() in self._first_values
        return found and token in (member.lower() for member in members(self.headers, name.lower()))

    @cached_property
    def url(self) -> GoUrl:
        """The target as Go reads it. Its text is latin-1: one character, one byte."""
        if self.method == "CONNECT" and not self.target.startswith("/"):
            return replace(parse_target(f"http://{self.target}") or GoUrl(), scheme="")
        return parse_target(self.target) or GoUrl()

    @property
    def host(self) -> str:
        """The host of a target in absolute form, else the Host header."""
        return self.url.host or self.header("Host") or ""

    @cached_property
    def raw_path(self) -> str:
        """The path as it was sent, without query; of a target in absolute form the part after the host."""
        target = self.target
        if target.lower().startswith(("http://", "https://")):
            target = "/" + target.split("://", 1)[1].partition("/")[2]
        return target.partition("?")[0]

    @cached_property
    def path(self) -> str:
        """The path with its escapes undone, as Go's url.URL.Path has it."""
        return unquote(self.raw_path)

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]
