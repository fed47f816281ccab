"""The perfect client: a plain socket and its own few lines of parsing. It shares no code with the reference.

If the two disagree, one of them is wrong. `exchange` yields the records. `values` yields all that an answer says as
JSON, with the events that end a stream, which are no records.
"""

from __future__ import annotations

import codecs
import itertools
import json
import re
import socket
import zlib
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

from ollama_harness.clients.adapter import Client, Contract, Job
from ollama_harness.oracle.words import Layer, Verdict

#: Fields that say how to read the body, and so have one value.
_ONE_VALUE = ("content-length", "content-type", "content-encoding", "transfer-encoding")


class BadAnswer(Exception):
    """The answer is not what Ollama promises."""


class NoJson(BadAnswer):
    """A record is no JSON."""


class NoEnd(BadAnswer):
    """The stream ends well, and nothing in it says that the answer is whole."""


def exchange(job: Job, _: None = None) -> Iterator[Any]:
    for value in values(job):
        if not _is_end(value):
            yield value


def record(data: bytes) -> Any:
    """The object that these bytes say.

    Raises: NoJson; BadAnswer (no object, or an error).
    """
    try:
        found = json.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise NoJson(str(error)) from None
    if not isinstance(found, dict):
        raise BadAnswer("a record that is no object")
    if found.get("error") is not None or found.get("type") in ("error", "response.failed"):
        raise BadAnswer(f"an error in the answer: {found}")
    return found


def values(job: Job, parse: Callable[[bytes], Any] = record) -> Iterator[Any]:
    """All that the answer says. `parse` reads each record; None is nothing."""
    address = urlsplit(job.url)
    assert address.hostname is not None
    assert address.port is not None
    with socket.create_connection((address.hostname, address.port), job.read_timeout_s) as sock:
        sock.sendall(_request(job, address.netloc))
        with sock.makefile("rb") as file:
            status, headers = _head(file)
            parts = _unpacked(_parts(file, status, headers, job.request.method), headers)
            if status >= 300:
                raise BadAnswer(f"status {status}: {b''.join(parts)[:200]!r}")
            kind = headers.get("content-type", "").partition(";")[0]
            if kind == "application/json":
                body = b"".join(parts)
                if body:
                    yield parse(body)
            elif job.request.streams:
                yield from _stream(_data(parts) if kind == "text/event-stream" else _lines(parts), parse)
            else:
                list(parts)


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
        if headers.setdefault(name.lower(), value.strip()) != value.strip() and name.lower() in _ONE_VALUE:
            raise BadAnswer(f"two values for {name}")
    return _head(file) if int(status[1]) < 200 else (int(status[1]), headers)


def _parts(file: Any, status: int, headers: dict[str, str], method: str) -> Iterator[bytes]:
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
            part = file.read1(missing)
            missing -= len(part)
            if not part:
                raise BadAnswer("the connection was closed inside the message")
            yield part
    else:
        while part := file.read1():
            yield part


def _chunk_size(line: bytes) -> int:
    size = re.fullmatch(rb"([0-9A-Fa-f]+)(;.*)?", line)
    if size is None:
        raise BadAnswer(f"no chunk size: {line!r}")
    return int(size[1], 16)


def _unpacked(parts: Iterator[bytes], headers: dict[str, str]) -> Iterator[bytes]:
    if headers.get("content-encoding") != "gzip":
        yield from parts
        return
    unpacker = zlib.decompressobj(wbits=31)
    try:
        for part in parts:
            yield unpacker.decompress(part)
    except zlib.error as error:
        raise BadAnswer(f"no gzip: {error}") from None
    if not unpacker.eof:
        raise BadAnswer("the gzip stream is not whole")


def _lines(parts: Iterator[bytes]) -> Iterator[bytes]:
    """The lines that are not blank. Only LF ends a line of NDJSON."""
    pending = b""
    for part in itertools.chain(parts, [None]):
        *lines, pending = [*pending.split(b"\n"), b""] if part is None else (pending + part).split(b"\n")
        yield from filter(bytes.strip, lines)


def _data(parts: Iterator[bytes]) -> Iterator[bytes]:
    """The data of each event. CR, LF or CRLF ends a line, and a blank line an event; one without it is none."""
    pending, data, first, after_cr = b"", list[bytes](), True, False
    for part in filter(None, parts):
        pending += part[1:] if after_cr and part.startswith(b"\n") else part
        after_cr = part.endswith(b"\r")
        *lines, pending = re.split(rb"\r\n|\r|\n", pending)
        for each in lines:
            line, first = each.removeprefix(codecs.BOM_UTF8) if first else each, False
            if line == b"data" or line.startswith(b"data:"):
                data.append(line[5:].removeprefix(b" "))
            elif not line and data:
                yield b"\n".join(data)
                data = []


def _stream(lines: Iterator[bytes], parse: Callable[[bytes], Any]) -> Iterator[Any]:
    is_whole = finished = False
    for line in lines:
        if finished:
            raise BadAnswer("something after the end")
        if line == b"[DONE]":
            is_whole = finished = True
            continue
        value = parse(line)
        if value is not None:
            finished = value.get("done") is True or value.get("status") == "success" or _is_end(value)
            is_whole = is_whole or finished or _tells_reason(value)
            yield value
    if not is_whole:
        raise NoEnd("the stream ended, and nothing said that the answer is whole")


def _is_end(value: dict[str, Any]) -> bool:
    return value.get("type") in ("response.completed", "response.incomplete", "message_stop")


def _tells_reason(value: dict[str, Any]) -> bool:
    try:
        told = value["delta"]["stop_reason"] if "delta" in value else value["choices"][0]["finish_reason"]
    except (LookupError, TypeError):
        return False
    return told is not None


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
