"""Which server is recorded: its address from a URL, read as the Python client reads OLLAMA_HOST."""

from __future__ import annotations

import urllib.parse
from dataclasses import dataclass

from ollama_harness.errors import RecorderError
from ollama_harness.network.ollama_host import ollama_url

__all__ = ["Address"]


@dataclass(frozen=True, slots=True)
class Address:
    """A host (a name or an address, an IPv6 address without brackets) and a port."""

    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Address:
        """The address in `http://host:port`, `host:port` or `host`.

        Raises: RecorderError, for https, credentials, a path, and what is no URL.
        """
        try:
            parts = urllib.parse.urlsplit(ollama_url(url))
            given = urllib.parse.urlsplit(url if "://" in url else f"http://{url}")
            host, port = parts.hostname or "", parts.port or 0
        except ValueError:
            raise RecorderError("--host is no URL; write it as http://127.0.0.1:11434") from None
        if "@" in given.netloc:
            raise RecorderError(
                "--host holds a user name; give the URL without it, and what a proxy wants as headers of the probes"
            )
        if parts.scheme != "http":
            problem = f"{parts.scheme}://{parts.netloc} cannot be recorded: frames are seen on plain HTTP only"
            raise RecorderError(f"{problem}; give the http:// URL of the server itself, not of a proxy before it")
        if given.path.strip("/") or given.query or given.fragment:
            raise RecorderError(f"--host has more than a host and a port; write http://{parts.netloc}")
        return cls(host, port)

    @property
    def authority(self) -> str:
        """What stands in the header Host."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.authority}"
