"""The client of all measurements: raw sockets, no HTTP library, in its own process.

It shares no GIL with the servers, and it does the same to each of them. Jobs come as lines of JSON on stdin, answers
go as lines of JSON to stdout. Only the standard library is imported.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time
from collections.abc import Sequence

LAST_CHUNK = b"0\r\n\r\n"
_TIMEOUT_S = 30.0
#: From the last connection to the first request: the time to accept is not measured.
_SETTLE_S = 0.1


def connect(port: int) -> socket.socket:
    """A connection to a server on this machine."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def read_answer(sock: socket.socket) -> int:
    """Read up to the last chunk; returns the number of bytes. (In NDJSON no other chunk ends like the last one.)"""
    total, tail = 0, b""
    while tail != LAST_CHUNK:
        data = sock.recv(65536)
        if not data:
            raise ConnectionError(f"the server closed the connection after {total} bytes")
        total += len(data)
        tail = (tail + data)[-len(LAST_CHUNK) :]
    return total


def streams(port: int, request: bytes, *, count: int, size: int) -> float:
    """Make `count` requests in turn on one connection; returns the seconds. Answers have `size` bytes."""
    with connect(port) as sock:
        begin = time.perf_counter()
        for _ in range(count):
            sock.sendall(request)
            got = read_answer(sock)
            if got != size:
                raise ConnectionError(f"an answer of {got} bytes, not {size}")
        return time.perf_counter() - begin


def arrivals(port: int, request: bytes, *, count: int, ends: Sequence[int]) -> list[list[float]]:
    """Make `count` requests at once, each on a connection of its own: when each segment was whole, in seconds since
    its request was sent. `ends` are the offsets in the answer at which segments end.
    """
    socks = [connect(port) for _ in range(count)]
    time.sleep(_SETTLE_S)
    with selectors.DefaultSelector() as selector:
        since, total = [0.0] * count, [0] * count
        times: list[list[float]] = [[] for _ in range(count)]
        for index, sock in enumerate(socks):
            selector.register(sock, selectors.EVENT_READ, index)
        for index, sock in enumerate(socks):
            since[index] = time.perf_counter()
            sock.sendall(request)
        while selector.get_map():
            for key, _ in selector.select(_TIMEOUT_S):
                index, sock = key.data, socks[key.data]
                data = sock.recv(65536)
                now = time.perf_counter()
                total[index] += len(data)
                while len(times[index]) < len(ends) and total[index] >= ends[len(times[index])]:
                    times[index].append(now - since[index])
                if not data or total[index] == ends[-1]:
                    selector.unregister(sock)
                    sock.close()
    return times


def main() -> None:
    """Do jobs until stdin ends."""
    for line in sys.stdin:
        job = json.loads(line)
        request = job["request"].encode()
        if job["do"] == "streams":
            answer: object = streams(job["port"], request, count=job["count"], size=job["size"])
        else:
            answer = arrivals(job["port"], request, count=job["count"], ends=job["ends"])
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
