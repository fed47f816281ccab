"""Heads that pass a proxy: headers for one hop only are removed (RFC 9110 section 7.6)."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from ollama_harness.recordings.recording import Headers
from ollama_harness.script.http1 import RequestHead, ResponseHead, members
from ollama_harness.script.message_parts import Head

__all__ = ["HOP_BY_HOP", "accepts_gzip", "compressed", "request_onward", "stripped", "without"]

#: RFC 9110 section 7.6.1, and the credentials for the proxy itself (section 11.7.2).
HOP_BY_HOP = {
    "connection",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
}


def request_onward(head: RequestHead, body: bytes, *, absolute: bool) -> bytes:
    """The request for the server: in origin form, with the Host of the target, and with a Content-Length.

    Expect is removed, because the proxy has answered it. Sources: RFC 9112 section 3.2.2, RFC 9110 sections 7.6.1 and
    7.6.3.
    """
    path, host = head.target, next(iter(members(head.headers, "host")), "")
    if absolute:
        url = urlsplit(head.target)
        path = (url.path or ("*" if head.method == "OPTIONS" else "/")) + (f"?{url.query}" if url.query else "")
        host = url.netloc.rpartition("@")[2]
    framed = members(head.headers, "content-length") or members(head.headers, "transfer-encoding")
    headers = [
        ("Host", host),
        *without(head.headers, HOP_BY_HOP | {"host", "expect", "content-length"}),
        ("Via", f"{head.version.partition('/')[2]} ollama-harness"),
        *([("Content-Length", str(len(body)))] if framed else []),
    ]
    lines = [f"{head.method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


def stripped(head: ResponseHead, version: str) -> Head:
    """The head of an answer without hop-by-hop headers, except the framing of the body."""
    headers = without(head.headers, HOP_BY_HOP - {"transfer-encoding"})
    return Head(head.status, head.reason, tuple(headers), version)


def accepts_gzip(request: RequestHead) -> bool:
    accepted = [member.lower().replace(" ", "") for member in members(request.headers, "accept-encoding")]
    codings = [member.partition(";q=") for member in accepted]
    return any(coding == "gzip" and not re.fullmatch(r"0(\.0*)?", weight) for coding, _, weight in codings)


def compressed(head: ResponseHead) -> bool:
    """Whether the body is compressed already, or must not be compressed."""
    return bool(head.header("content-encoding")) or "no-transform" in head.header("cache-control").lower()


def without(headers: Headers, names: set[str]) -> list[tuple[str, str]]:
    """The headers without these, and without those that the Connection header names."""
    dropped = names | {option.lower() for option in members(headers, "connection")}
    return [(name, value) for name, value in headers if name.lower() not in dropped]
