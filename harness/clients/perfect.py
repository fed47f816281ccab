"""The perfect client: a plain socket and a few lines of its own, so that it shares nothing with the reference.

It knows only what Ollama sends, and refuses everything else. Where it and the reference disagree, one is wrong.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from harness.clients.base import Client, Contract, Job
from harness.reference import Layer
from harness.verdict import Verdict


class BadAnswer(Exception):
    """The answer is not what Ollama promises."""


def exchange(job: Job) -> Iterator[Any]:
    address = urlsplit(job.url)
    assert address.hostname is not None
    assert address.port is not None
    with socket.create_connection((address.hostname, address.port), job.read_timeout_s) as sock:
        sock.sendall(_request(job, address.netloc))
        with sock.makefile("rb") as file:
            status, headers = _head(file)
            pieces = _pieces(file, status, headers, job.request.method)
            if status >= 300:
                raise BadAnswer(f"status {status}: {b''.join(pieces)[:200]!r}")
            kind = headers.get("content-type", "")
            if kind == "application/x-ndjson":
                yield from _stream(pieces)
            else:
                body = b"".join(pieces)
                if body and kind.startswith("application/json"):
                    yield _checked(json.loads(body))


def _request(job: Job, host: str) -> bytes:
    request, body = job.request, job.request.content
    headers = {"Host": host, **({} if body is None else {"Content-Length": str(len(body))}), **job.headers}
    lines = [f"{request.method} {request.path} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items()), "", ""]
    return "\r\n".join(lines).encode() + (body or b"")


def _head(file: Any) -> tuple[int, dict[str, str]]:
    status_line = _line(file).split(b" ")
    headers = {}
    while line := _line(file):
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    return int(status_line[1]), headers


def _pieces(file: Any, status: int, headers: dict[str, str], method: str) -> Iterator[bytes]:
    if method == "HEAD" or status in (204, 304):
        return
    if headers.get("transfer-encoding") == "chunked":
        while size := int(_line(file), 16):
            yield _exactly(file, size)
            _exactly(file, 2)
        _exactly(file, 2)
    else:
        yield _exactly(file, int(headers["content-length"]))


def _stream(pieces: Iterator[bytes]) -> Iterator[Any]:
    pending, finished = b"", False
    for piece in pieces:
        *lines, pending = (pending + piece).split(b"\n")
        for line in lines:
            if finished:
                raise BadAnswer("a record after the terminal record")
            record = _checked(json.loads(line))
            finished = record.get("done") is True or record.get("status") == "success"
            yield record
    if pending or not finished:
        raise BadAnswer("the stream ended without a terminal record")


def _checked(record: Any) -> Any:
    if "error" in record:
        raise BadAnswer(f"error in the stream: {record['error']}")
    return record


def _line(file: Any) -> bytes:
    line: bytes = file.readline()
    if not line.endswith(b"\r\n"):
        raise BadAnswer("the connection was closed inside the message")
    return line[:-2]


def _exactly(file: Any, size: int) -> bytes:
    data: bytes = file.read(size)
    if len(data) < size:
        raise BadAnswer("the connection was closed inside the message")
    return data


CLIENTS = [
    Client(
        name="canary-perfect",
        distribution="",
        layer=Layer.OLLAMA,
        contract=Contract(
            exceptions=frozenset({f"{__name__}.BadAnswer", "builtins.OSError"}),
            source="this module",
            read_timeout="the socket's timeout",
        ),
        exchange=exchange,
        earns={None: Verdict.PASS},
    )
]
