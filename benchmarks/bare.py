"""The server that the fake server is compared with: the least code that sends the same bytes in the same segments.

It prepares nothing, chooses nothing, waits for nothing and writes nothing down. `python -m benchmarks.bare` runs it in
a process of its own until its input ends.
"""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from benchmarks import workload
from ollama_harness import RecordingStore

__all__ = ["BareServer"]


class BareServer:
    """Reads each request to the end of its body, and answers with one `sendall` for each segment. Each connection has a
    thread.
    """

    def __init__(self, segments: Sequence[bytes]) -> None:
        self._segments = tuple(segments)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._closing = True
        socket.create_connection(("127.0.0.1", self.port)).close()  # wakes accept
        self._thread.join()
        self._socket.close()

    _closing = False

    def _accept(self) -> None:
        while True:
            sock, _ = self._socket.accept()
            if self._closing:
                sock.close()
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            buffer = b""
            while True:
                while (missing := _missing(buffer)) is None or missing > 0:
                    data = sock.recv(65536)
                    if not data:
                        return
                    buffer += data
                buffer = buffer[len(buffer) + missing :]
                for segment in self._segments:
                    sock.sendall(segment)


def _missing(buffer: bytes) -> int | None:
    """How many bytes the request still lacks (negative: more has arrived), or None without a complete head."""
    head, end, body = buffer.partition(b"\r\n\r\n")
    if not end:
        return None
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value) - len(body)
    return -len(body)


def main() -> None:
    """Serve the stream of the measurements."""
    with BareServer(workload.segments(workload.script(RecordingStore()))) as server:
        print(f"http://127.0.0.1:{server.port}", flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
