"""The address of the server to record. The URL is read as the Python client reads OLLAMA_HOST."""

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

        Raises: RecorderError, for https, credentials, a path, and anything that is not a URL.
        """
        try:
            parts = urllib.parse.urlsplit(ollama_url(url))
            given = urllib.parse.urlsplit(url if "://" in url else f"http://{url}")
            host, port = parts.hostname or "", parts.port or 0
        except ValueError:
            raise RecorderError("--host is not a URL; write it as http://127.0.0.1:11434") from None
        if "@" in given.netloc:
            raise RecorderError(
                "--host holds a user name; give the URL without it, and what a proxy needs as headers of the probes"
            )
        if parts.scheme != "http":
            problem = f"{parts.scheme}://{parts.netloc} cannot be recorded: only plain HTTP shows the frames"
            raise RecorderError(
                f"{problem}; give the http:// URL of the server itself, and not of a proxy in front of it"
            )
        if given.path.strip("/") or given.query or given.fragment:
            raise RecorderError(f"--host has more than a host and a port; write http://{parts.netloc}")
        return cls(host, port)

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.authority}"
