"""The client of all measurements: raw sockets, no HTTP library, in its own process.

It shares no GIL with the servers, and it does the same to each of them. One loop over a selector reads all streams, so
that a thousand of them cost it a fraction of a core; `arrivals` reports that fraction. Jobs come as lines of JSON on
stdin, answers go as lines of JSON to stdout. Only the standard library is imported.

A record ends with `}` and a line feed. That is nowhere else in an answer: heads and chunk sizes end with CRLF, and the
records have no line feeds inside.
"""

from __future__ import annotations

import gc
import json
import selectors
import socket
import ssl
import sys
import time
from typing import Any

LAST_CHUNK = b"0\r\n\r\n"
_TIMEOUT_S = 30.0
#: From the last connection to the first request, for each connection: the time to accept is not measured.
_SETTLE_S = 0.1
_SETTLE_EACH_S = 0.001

#: Connections that are open between two jobs.
_held: list[socket.socket] = []


def connect(port: int, trust: str | None = None) -> socket.socket:
    """A connection to a server on this machine; with TLS, if there is a file with the certificate to trust."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if trust is None:
        return sock
    return ssl.create_default_context(cafile=trust).wrap_socket(sock, server_hostname="127.0.0.1")


def records_in(data: bytes, before: bytes) -> int:
    """How many records end in these bytes; `before` is what came before them, at least its last byte."""
    return data.count(b"}\n") + (before.endswith(b"}") and data.startswith(b"\n"))


def read_answer(sock: socket.socket) -> int:
    """Read up to the last chunk; returns the number of records. (In NDJSON no other chunk ends like the last one.)"""
    records, tail = 0, b""
    while tail != LAST_CHUNK:
        data = sock.recv(65536)
        if not data:
            raise ConnectionError(f"the server closed the connection after {records} records")
        records += records_in(data, tail)
        tail = (tail + data)[-len(LAST_CHUNK) :]
    return records


def streams(port: int, request: bytes, *, count: int, records: int) -> float:
    """Make `count` requests in turn on one connection; returns the seconds. Answers have so many records."""
    with connect(port) as sock:
        begin = time.perf_counter()
        for _ in range(count):
            sock.sendall(request)
            got = read_answer(sock)
            if got != records:
                raise ConnectionError(f"an answer of {got} records, not {records}")
        return time.perf_counter() - begin


def arrivals(port: int, request: bytes, *, count: int, records: int, trust: str | None = None) -> dict[str, Any]:
    """Make `count` requests at once, each on a connection of its own.

    `since`: when each request was sent, by `time.perf_counter`. `times`: when each record of each stream had arrived,
    in seconds since then. A stream that broke has fewer of them. `busy`: the share of a core that this client used.
    """
    socks = [connect(port, trust) for _ in range(count)]
    time.sleep(_SETTLE_S + count * _SETTLE_EACH_S)
    since, last = [0.0] * count, [b""] * count
    times: list[list[float]] = [[] for _ in range(count)]
    gc.disable()
    begin, cpu = time.perf_counter(), time.process_time()
    with selectors.DefaultSelector() as selector:
        for index, sock in enumerate(socks):
            selector.register(sock, selectors.EVENT_READ, index)
        for index, sock in enumerate(socks):
            since[index] = time.perf_counter()
            sock.sendall(request)
            sock.setblocking(False)
        while selector.get_map():
            ready = selector.select(_TIMEOUT_S)
            for key, _ in ready:
                index = key.data
                if (data := _received(socks[index])) is None:
                    continue
                at_s = time.perf_counter() - since[index]
                times[index] += [at_s] * records_in(data, last[index])
                last[index] = data[-1:]
                if not data or len(times[index]) >= records:
                    selector.unregister(socks[index])
            if not ready:
                break
    busy = (time.process_time() - cpu) / (time.perf_counter() - begin)
    gc.enable()
    for sock in socks:
        sock.close()
    return {"times": times, "since": since, "busy": busy}


def _received(sock: socket.socket) -> bytes | None:
    """What has arrived; None if that was nothing of the answer, but a message of TLS itself."""
    try:
        data = sock.recv(65536)
        while isinstance(sock, ssl.SSLSocket) and sock.pending():
            data += sock.recv(65536)
    except ssl.SSLWantReadError:
        return None
    except ConnectionError:
        return b""
    return data


def upload(port: int, request: bytes, *, size_bytes: int, chunk_bytes: int, records: int) -> float:
    """POST a chunked body of so many bytes; returns the seconds until its answer has arrived. `request` is the head
    without `Transfer-Encoding`, and without the empty line.
    """
    begin, end = b'{"model":"llama3.2:1b","prompt":"', b'"}'
    body = begin + b"x" * (size_bytes - len(begin) - len(end)) + end
    pieces = [body[at : at + chunk_bytes] for at in range(0, len(body), chunk_bytes)]
    chunked = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + LAST_CHUNK
    with connect(port) as sock:
        since = time.perf_counter()
        sock.sendall(request + b"Transfer-Encoding: chunked\r\n\r\n" + chunked)
        if (got := read_answer(sock)) != records:
            raise ConnectionError(f"an answer of {got} records, not {records}")
        return time.perf_counter() - since


def hold(port: int, request: bytes, *, count: int) -> int:
    """Open so many connections, get one answer with a Content-Length over each, and keep them open until `release`.

    Returns how many are open: fewer, if the system or the server allows no more.
    """
    try:
        for _ in range(count):
            sock = connect(port)
            _held.append(sock)
            sock.sendall(request)
            answer = b""
            while not answer.partition(b"\r\n\r\n")[2].endswith(b"}"):
                if not (data := sock.recv(65536)):
                    raise ConnectionError("the server closed the connection")
                answer += data
    except OSError:
        _held.pop().close()
    return len(_held)


def release() -> None:
    """Close the connections that `hold` has opened."""
    while _held:
        _held.pop().close()


JOBS = {"streams": streams, "arrivals": arrivals, "upload": upload, "hold": hold, "release": release}


def main() -> None:
    """Do jobs until stdin ends."""
    for line in sys.stdin:
        job = json.loads(line)
        if "request" in job:
            job["request"] = job["request"].encode()
        answer = JOBS[job.pop("do")](**job)  # type: ignore[operator]
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
