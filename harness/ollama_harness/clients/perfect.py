"""The perfect client: a plain socket and its own few lines of parsing. It shares no code with the reference.

If the two disagree, one of them is wrong.
"""

from __future__ import annotations

import itertools
import json
import re
import socket
import zlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from ollama_harness.clients.adapter import Client, Contract, Job
from ollama_harness.oracle.reference import Layer
from ollama_harness.oracle.verdict import Verdict


class BadAnswer(Exception):
    """The answer is not what Ollama promises."""


def exchange(job: Job, _: None = None) -> Iterator[Any]:
    address = urlsplit(job.url)
    assert address.hostname is not None
    assert address.port is not None
    with socket.create_connection((address.hostname, address.port), job.read_timeout_s) as sock:
        sock.sendall(_request(job, address.netloc))
        with sock.makefile("rb") as file:
            status, headers = _head(file)
            pieces = _unpacked(_pieces(file, status, headers, job.request.method), headers)
            if status >= 300:
                raise BadAnswer(f"status {status}: {b''.join(pieces)[:200]!r}")
            kind = headers.get("content-type", "").partition(";")[0]
            if kind == "application/json":
                body = b"".join(pieces)
                if body:
                    yield _record(body)
            elif job.request.streams:
                yield from _stream(pieces)
            else:
                list(pieces)


def _request(job: Job, host: str) -> bytes:
    request, body = job.request, job.request.content
    headers = {"Host": host, **({} if body is None else {"Content-Length": str(len(body))}), **job.headers}
    lines = [f"{request.method} {request.path} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items()), "", ""]
    return "\r\n".join(lines).encode() + (body or b"")


def _head(file: Any) -> tuple[int, dict[str, str]]:
    """The status and the headers of the final response; informational responses are skipped."""
    status = re.fullmatch(rb"HTTP/1\.[01] ([1-9][0-9]{2}) .*", _line(file))
    if status is None:
        raise BadAnswer("no status line")
    headers: dict[str, str] = {}
    while line := _line(file):
        name, _, value = line.decode("latin-1").partition(":")
        if headers.setdefault(name.lower(), value.strip()) != value.strip():
            raise BadAnswer(f"two values for {name}")
    return _head(file) if int(status[1]) < 200 else (int(status[1]), headers)


def _pieces(file: Any, status: int, headers: dict[str, str], method: str) -> Iterator[bytes]:
    if method == "HEAD" or status in (204, 304):
        return
    if headers.get("transfer-encoding") == "chunked":
        while size := _chunk_size(_line(file)):
            yield _exactly(file, size)
            if _line(file):
                raise BadAnswer("chunk data without its end")
        while _line(file):
            pass  # a trailer field
    elif "content-length" in headers:
        missing = int(headers["content-length"])
        while missing:
            piece = file.read1(missing)
            missing -= len(piece)
            if not piece:
                raise BadAnswer("the connection was closed inside the message")
            yield piece
    else:
        while piece := file.read1():
            yield piece


def _chunk_size(line: bytes) -> int:
    size = re.fullmatch(rb"([0-9A-Fa-f]+)(;.*)?", line)
    if size is None:
        raise BadAnswer(f"no chunk size: {line!r}")
    return int(size[1], 16)


def _unpacked(pieces: Iterator[bytes], headers: dict[str, str]) -> Iterator[bytes]:
    if headers.get("content-encoding") != "gzip":
        yield from pieces
        return
    unpacker = zlib.decompressobj(wbits=31)
    try:
        for piece in pieces:
            yield unpacker.decompress(piece)
    except zlib.error as error:
        raise BadAnswer(f"no gzip: {error}") from None
    if not unpacker.eof:
        raise BadAnswer("the gzip stream is not whole")


def _stream(pieces: Iterator[bytes]) -> Iterator[Any]:
    pending, finished = b"", False
    for piece in itertools.chain(pieces, [None]):
        *lines, pending = [*pending.split(b"\n"), b""] if piece is None else (pending + piece).split(b"\n")
        for line in filter(bytes.strip, lines):
            if finished:
                raise BadAnswer("a record after the terminal record")
            record = _record(line)
            finished = record.get("done") is True or record.get("status") == "success"
            yield record
    if not finished:
        raise BadAnswer("the stream ended without a terminal record")


def _record(data: bytes) -> Any:
    try:
        record = json.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise BadAnswer(f"no JSON: {error}") from None
    if not isinstance(record, dict):
        raise BadAnswer("a record that is no object")
    if record.get("error") is not None:
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
        paths=("/api/*",),
        earns={None: Verdict.PASS},
    )
]
