"""What idle connections cost `serve`: its memory before and after so many clients stay connected.

Each connection has had one answer and may be used again, as those of a client library's pool. The server is a process
of its own. Only Linux tells the memory of another process without a library.
"""

from __future__ import annotations

from benchmarks import server_process
from benchmarks.client_process import ClientProcess
from benchmarks.figures import Aim, Section
from benchmarks.process_usage import can_be_measured, raise_open_files, usage_of

__all__ = ["AIM_MB", "measure"]

#: For 5,000 connections, and as much less for fewer.
AIM_MB, _AIM_COUNT = 100.0, 5000
_MB = 1_000_000
_REQUEST = b"GET /api/version HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def measure(*, count: int = _AIM_COUNT) -> Section:
    """Open so many connections to `serve`."""
    section = Section(
        "connections",
        "Idle connections, memory of serve in MB",
        f"{count:,} keep-alive connections, after one answer over each. A process of its own; real memory.",
        ("connections", "memory before", "memory", "more", "KB each", "threads", "descriptors"),
    )
    if not can_be_measured():
        section.sentences.append("Not measured here: this system has no /proc.")
        return section
    raise_open_files()
    with ClientProcess() as client, server_process.serve() as server:
        client.hold(server.port, _REQUEST, count=1)
        before = usage_of(server.pid)
        held = client.hold(server.port, _REQUEST, count=count - 1)
        now = usage_of(server.pid)
    more = (now.memory_bytes - before.memory_bytes) / _MB
    memory = (before.memory_bytes / _MB, now.memory_bytes / _MB, more, more * 1000 / held)
    section.rows.append((held, *memory, now.threads, now.descriptors))
    section.aims.append(Aim("connections held", held, count, at_least=True))
    section.aims.append(Aim(f"memory for {count:,} connections, MB", more, AIM_MB * count / _AIM_COUNT))
    return section
