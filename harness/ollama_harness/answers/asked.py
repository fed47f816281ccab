"""A request as it came over the wire, and what the steps read from it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from urllib.parse import unquote

from ollama_harness.recordings.recording import Headers
from ollama_harness.script.http1 import RequestHead

__all__ = ["Asked"]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request. `target` is as it was sent; `body` without transfer coding."""

    method: str
    target: str
    version: str = "HTTP/1.1"
    headers: Headers = ()
    body: bytes = b""

    @classmethod
    def of(cls, head: RequestHead, body: bytes) -> Asked:
        return cls(method=head.method, target=head.target, version=head.version, headers=head.headers, body=body)

    def header(self, name: str) -> str | None:
        """The first value of a header, its name compared without case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

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
