"""How long a server takes to start and to stop.

Start: from before the constructor until a client has seen that its connection was accepted: it connects, sends a FIN
at once, and waits for the server's own. Both servers do that only once they have accepted and read. Also until the
first answer, which for the fake server includes reading all recordings of a version from disk. Modules are imported
already. For `serve` the time begins before its process does, so everything counts. Stop: `stop()` while a stream
stalls, when the client has read all that will come.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from pytest_httpserver import HTTPServer

from benchmarks import server_process, workload
from benchmarks.client import connect
from benchmarks.figures import Aim, Section, spread
from ollama_harness import FakeOllama, RecordingStore, Script
from ollama_harness.script.script import ConnectionEnd, ScriptEnd

__all__ = ["AIM_MORE_MS", "AIM_READY_MS", "measure"]

AIM_MORE_MS = 20.0
#: From the start of the process of `serve` to its first answer.
AIM_READY_MS = 300.0
#: Processes that do a part of what `serve` does before it listens.
_IMPORTS = {
    "only Python": "pass",
    "Python, and the libraries of serve": "import click, jmespath, pytest_httpserver",
    "Python, and all modules of serve": "import ollama_harness.cli.serve",
}


def measure(store: RecordingStore, *, rounds: int) -> Section:
    """Start and stop servers, the two kinds alternately."""
    section = Section(
        "startup",
        "Starting and stopping, in milliseconds",
        f"{rounds} times each, in turn, in one process with the client; the processes {_processes(rounds)} times. "
        "“only Python” is a process that does nothing; the two others import, and do nothing.",
        ("server", "what", "min", "median", "max"),
    )
    fake: list[float] = []
    plain: list[float] = []
    servers: list[HTTPServer] = []
    for _ in range(rounds):
        for kind, times in ((FakeOllama, fake), (HTTPServer, plain)):
            server, seconds = _start(kind, _until_accepted)
            times.append(seconds * 1000)
            servers.append(server)
    with ThreadPoolExecutor(len(servers)) as pool:  # HTTPServer.stop takes up to half a second
        list(pool.map(lambda server: server.stop(), servers))
    answered = [_start_answer_stop() * 1000 for _ in range(rounds)]
    stalled = _stalled(store)
    stopped = [_stop(stalled, len(workload.segments(stalled)[0])) * 1000 for _ in range(rounds)]
    section.rows.append(("FakeOllama", "start to first accepted connection", *spread(fake)))
    section.rows.append(("pytest_httpserver.HTTPServer", "start to first accepted connection", *spread(plain)))
    section.rows.append(("FakeOllama", "start to first answer from a recording", *spread(answered)))
    section.rows.append(("FakeOllama", "stop with a stalled stream", *spread(stopped)))
    for name, code in _IMPORTS.items():
        section.rows.append((name, "start to end", *spread([_python(code) * 1000 for _ in range(_processes(rounds))])))
    accepted, ready = zip(*(_ready() for _ in range(_processes(rounds))), strict=True)
    section.rows.append(("serve", "start to first accepted connection", *spread(accepted)))
    section.rows.append(("serve", "start to first answer", *spread(ready)))
    more = spread(fake)[1] - spread(plain)[1]
    section.aims.append(Aim("median start, more than HTTPServer, ms", more, AIM_MORE_MS))
    section.aims.append(Aim("median start of serve to its first answer, ms", spread(ready)[1], AIM_READY_MS))
    return section


def _processes(rounds: int) -> int:
    """A process takes a hundred times as long as a server in this one."""
    return max(1, rounds // 3)


def _python(code: str) -> float:
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], env=server_process.environment(), check=True)
    return time.perf_counter() - begin


def _ready() -> tuple[float, float]:
    """Milliseconds from the start of `serve` to an accepted connection, and to an answer."""
    begin = time.perf_counter()
    with server_process.serve() as server:
        _until_accepted(server.port)
        accepted = time.perf_counter() - begin
        _until_answered(server.port)
        return accepted * 1000, (time.perf_counter() - begin) * 1000


def _start(kind: type[HTTPServer], use: Callable[[int], None]) -> tuple[HTTPServer, float]:
    """Make a server, start it and use it; returns the running server, and the seconds."""
    begin = time.perf_counter()
    server = kind(host="127.0.0.1", port=0)
    server.start()
    use(server.port)
    return server, time.perf_counter() - begin


def _until_accepted(port: int) -> None:
    with connect(port) as sock:
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(65536):
            pass


def _until_answered(port: int) -> None:
    with connect(port) as sock:
        sock.sendall(b"GET /api/version HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        if not sock.recv(65536).startswith(b"HTTP/1.1 200"):
            raise ConnectionError("the version was not answered")


def _start_answer_stop() -> float:
    server, seconds = _start(FakeOllama, _until_answered)
    server.stop()
    return seconds


def _stalled(store: RecordingStore) -> Script:
    """A stream that is silent after its first segment."""
    script = workload.script(store)
    return replace(script, segments=script.segments[:1], ending=ScriptEnd(how=ConnectionEnd.HOLD, at_s=0.0))


def _stop(script: Script, size: int) -> float:
    """The seconds that `stop()` needs after the client has read the first segment."""
    server = FakeOllama(version=None)
    server.play(script, path=workload.PATH)
    server.start()
    with connect(server.port) as sock:
        sock.sendall(b"POST /api/generate HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n")
        while size > 0:
            size -= len(sock.recv(65536))
        begin = time.perf_counter()
        server.stop()
        return time.perf_counter() - begin
