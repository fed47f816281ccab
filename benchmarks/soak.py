"""Mixed traffic for a long time: does a server come back to where it was? `python -m benchmarks.soak --minutes 20`.

Clients of every kind ask at once: those that read a stream to its end over one connection, leave in its middle, read
slowly, upload much in chunks, send half a head, or meet a reset, a cut, a stall. The first sixth of the time, or more
if that is needed, fills all caches and the journal. After it, and at the end, all clients are gone, and memory,
descriptors and threads of the server are compared. It is measured three times: `serve` in a process of its own; `serve`
behind TLS, with slots and a queue, before another `serve`, to which it sends all requests on; and a FakeOllama in this
process.
"""

from __future__ import annotations

import collections
import contextlib
import itertools
import os
import random
import socket
import ssl
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from benchmarks import server_process
from benchmarks.process_usage import ProcessUsage, can_be_measured, usage_of
from ollama_harness import FakeOllama
from ollama_harness.matrix.served_scenario import ServedScenarios

_CLIENTS = 24
#: Fewer slots than clients, so that some wait.
_PARALLEL = 8
_JOURNAL_SIZE = 200
#: How long a client waits for anything, whatever else this machine does.
_TIMEOUT_S = 60.0
#: What the memory may be more at the end: an allocator does not give all of it back.
MOST_MORE_MB = 24.0
_MB = 1_000_000

_CHAT = b'{"model":"smollm2:135m","messages":[{"role":"user","content":"Why is the sky blue?"}]}'


def _post(body: bytes, *fields: str) -> bytes:
    head = ("POST /api/chat HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}", *fields)
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def _fault(call: str) -> bytes:
    return _post(_CHAT, f"X-Ollama-Harness: fault={call}")


def _read_some(sock: socket.socket, size: int) -> None:
    with contextlib.suppress(ConnectionError):
        while size > 0 and (data := sock.recv(min(size, 65536))):
            size -= len(data)


def _to_the_end(sock: socket.socket) -> None:
    sock.sendall(_post(_CHAT, "Connection: close"))
    _read_some(sock, sys.maxsize)


def _keep_alive(sock: socket.socket) -> None:
    for _ in range(3):
        sock.sendall(_post(_CHAT))
        answer = b""
        while b"\r\n0\r\n\r\n" not in answer and (data := sock.recv(65536)):
            answer += data


def _leaves(sock: socket.socket) -> None:
    sock.sendall(_post(_CHAT))
    _read_some(sock, 700)


def _reads_slowly(sock: socket.socket) -> None:
    sock.sendall(_post(_CHAT, "Connection: close"))
    while sock.recv(64):
        time.sleep(0.002)  # this is the client's pace


def _uploads(sock: socket.socket) -> None:
    text = b'{"model":"smollm2:135m","messages":[{"role":"user","content":"' + b"x" * 1_000_000 + b'"}]}'
    sock.sendall(
        b"POST /api/chat HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    )
    for at in range(0, len(text), 4096):
        chunk = text[at : at + 4096]
        sock.sendall(b"%x\r\n%b\r\n" % (len(chunk), chunk))
    sock.sendall(b"0\r\n\r\n")
    _read_some(sock, sys.maxsize)


def _half_a_head(sock: socket.socket) -> None:
    sock.sendall(b"POST /api/chat HTTP/1.1\r\nHost: 127")


def _no_model(sock: socket.socket) -> None:
    sock.sendall(_post(b'{"model":"there-is-none","messages":[]}', "Connection: close"))
    _read_some(sock, sys.maxsize)


def _meets(call: str) -> Callable[[socket.socket], None]:
    def meet(sock: socket.socket) -> None:
        sock.sendall(_fault(call))
        _read_some(sock, sys.maxsize)

    return meet


def _leaves_a_stall(sock: socket.socket) -> None:
    sock.sendall(_fault("stall_at(after_record(2))"))
    _read_some(sock, 300)


KINDS: dict[str, Callable[[socket.socket], None]] = {
    "reads to the end": _to_the_end,
    "three over one connection": _keep_alive,
    "leaves in mid-stream": _leaves,
    "reads slowly": _reads_slowly,
    "uploads 1 MB in chunks": _uploads,
    "sends half a head": _half_a_head,
    "is refused": _no_model,
    "meets a cut": _meets("close_at(after_record(3))"),
    "meets a reset": _meets("reset_at(after_record(3))"),
    "leaves a stall": _leaves_a_stall,
}


@dataclass(frozen=True, slots=True)
class Soaked:
    """A server: its process, its port, and what its clients trust if it is behind TLS."""

    pid: int
    port: int
    tls: ssl.SSLContext | None = None

    def connect(self) -> socket.socket:
        """A client's connection."""
        sock = socket.create_connection(("127.0.0.1", self.port), _TIMEOUT_S)
        if self.tls is None:
            return sock
        try:
            return self.tls.wrap_socket(sock, server_hostname="127.0.0.1")
        except BaseException:
            sock.close()
            raise


def _traffic(server: Soaked, seconds: float, *, at_least: int = 0) -> dict[str, int]:
    """So many clients for so long, and until they have made so many connections.

    Returns how many of each kind there were, when all are gone.

    Raises: OSError, if a client is not served.
    """
    until, counts, failures = time.monotonic() + seconds, collections.Counter[str](), list[OSError]()

    def client(number: int) -> None:
        chance = random.Random(number)
        while (time.monotonic() < until or counts.total() < at_least) and not failures:
            kind = chance.choice(list(KINDS))
            try:
                with server.connect() as sock:
                    KINDS[kind](sock)
            except OSError as error:
                error.add_note(f"this was a client that {kind}")
                failures.append(error)
            counts[kind] += 1

    threads = [threading.Thread(target=client, args=(number,)) for number in range(_CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return dict(counts)


def _at_rest(pid: int) -> ProcessUsage:
    """What a process uses once it has been the same for two seconds; after half a minute whatever it is."""
    used, since = usage_of(pid), time.monotonic()
    for _ in range(60):
        time.sleep(0.5)
        now = usage_of(pid)
        if (now.descriptors, now.threads) != (used.descriptors, used.threads):
            used, since = now, time.monotonic()
        if time.monotonic() - since > 6:  # a worker thread without work stays for five seconds
            break
    return usage_of(pid)


_SERVE = ("--speed", "100", "--journal-size", str(_JOURNAL_SIZE))


@contextlib.contextmanager
def _serve() -> Iterator[Soaked]:
    with server_process.serve(*_SERVE) as server:
        yield Soaked(server.pid, server.port)


@contextlib.contextmanager
def _serve_in_front() -> Iterator[Soaked]:
    """`serve` behind TLS, with slots and a queue, before another one."""
    with tempfile.TemporaryDirectory() as folder, server_process.serve(*_SERVE) as behind:
        trust = Path(folder) / "ca.pem"
        front = ("--tls", "good", "--tls-ca", str(trust), "--parallel", str(_PARALLEL), "--max-queue", str(_CLIENTS))
        upstream = ("--upstream", f"http://127.0.0.1:{behind.port}")
        with server_process.serve(*_SERVE, *front, *upstream) as server:
            yield Soaked(server.pid, server.port, ssl.create_default_context(cafile=trust))


@contextlib.contextmanager
def _in_process() -> Iterator[Soaked]:
    with FakeOllama(speed=100, journal_size=_JOURNAL_SIZE, scenarios=ServedScenarios) as server:
        yield Soaked(os.getpid(), server.port)


def _one(name: str, server: Soaked, seconds: float, table: Table) -> list[str]:
    """Soak one server; returns what did not come back."""
    _traffic(server, seconds / 6, at_least=3 * _JOURNAL_SIZE)
    before = _at_rest(server.pid)
    counts = _traffic(server, seconds * 5 / 6)
    after = _at_rest(server.pid)
    more_mb = (after.memory_bytes - before.memory_bytes) / _MB
    pairs = ((before.descriptors, after.descriptors), (before.threads, after.threads))
    memory = f"{before.memory_bytes / _MB:.0f} → {after.memory_bytes / _MB:.0f} MB"
    table.add_row(name, f"{sum(counts.values()):,}", memory, *(f"{first} → {last}" for first, last in pairs))
    wrong = [f"{name}: the memory grew by {more_mb:.0f} MB"] if more_mb > MOST_MORE_MB else []
    for what, (first, last) in zip(("descriptors", "threads"), pairs, strict=True):
        if last > first:
            wrong.append(f"{name}: {what} grew from {first} to {last}")
    missing = KINDS.keys() - counts.keys()
    return wrong + [f"{name}: no client that {kind}; give more --minutes" for kind in sorted(missing)]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--minutes", type=click.FloatRange(min=0.1), default=20.0, show_default=True, help="How long, in all.")
def main(minutes: float) -> None:
    """Exit with 1 if memory, descriptors or threads of a server do not come back to where they were."""
    if not can_be_measured():
        raise click.UsageError("this system has no /proc, so another process cannot be measured; run it on Linux")
    table = Table("server", "connections", "memory", "descriptors", "threads")
    servers = {"serve": _serve, "serve with TLS, slots, upstream": _serve_in_front, "FakeOllama": _in_process}
    wrong = []
    for name, started in servers.items():
        with started() as server:
            wrong.append(_one(name, server, minutes * 60 / len(servers), table))
    console = Console()
    console.print(table)
    for line in itertools.chain(*wrong):
        console.print(line, style="bold red", highlight=False)
    sys.exit(1 if any(wrong) else 0)


if __name__ == "__main__":
    main()
