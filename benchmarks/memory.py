"""How much more memory a long stream needs than a short one: `python -m benchmarks.memory`, about a minute.

What is measured runs in a process of its own and says at its end how much memory it ever had at once; what feeds it
(or is fed by it) is in the measuring process and does not count. Each job is one function in `JOBS`: it is given the
URL of a server that streams as many bytes as the path says, and the number of bytes.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from benchmarks import report
from benchmarks.figures import Aim, Section
from benchmarks.machine import this_machine

__all__ = ["JOBS", "measure", "peak_bytes"]

SHORT_BYTES, LONG_BYTES = 1_000_000, 100_000_000
AIM_MORE_MB = 50.0

_RECORD = (
    b'{"model":"smollm2:135m","created_at":"2026-11-22T19:18:39.123456789Z","response":" and so on","done":false,'
    b'"padding":"0123456"}\n'
)
_CHUNK = b"%x\r\n%b\r\n" % (len(_RECORD), _RECORD)
_AT_ONCE = 400


def record(url: str, size: int) -> None:
    """The recorder takes a stream of so many bytes."""
    from ollama_harness.recorder import Probe, record
    from ollama_harness.recordings.recording import Request

    with tempfile.TemporaryDirectory() as directory:
        probe = Probe(name="stream", request=Request(method="GET", path=f"/stream/{size}"))
        take = record(url, [probe], Path(directory))
        written = sum(path.stat().st_size for path in take.folder.glob("*.ndjson"))
        if take.failures or written < size:
            raise ConnectionError(f"{written} bytes of {size} were recorded: {take.failures}")


JOBS: dict[str, Callable[[str, int], None]] = {"record": record}


def measure() -> Section:
    """Each job with a short stream and a long one."""
    section = Section(
        "memory",
        "Memory at its peak, in MB",
        f"Streams of records of {len(_RECORD)} bytes, one a chunk. Each measurement is a process of its own.",
        ("job", f"{SHORT_BYTES // 10**6} MB stream", f"{LONG_BYTES // 10**6} MB stream", "more"),
    )
    with _streams() as url:
        for name in JOBS:
            short, long = (_peak_of(name, url, size) / 1e6 for size in (SHORT_BYTES, LONG_BYTES))
            section.rows.append((name, short, long, long - short))
            section.aims.append(Aim(f"more memory for the long stream, {name}, MB", long - short, AIM_MORE_MB))
    return section


def peak_bytes() -> int:
    """The most memory that this process has ever had at once (resident, without what is swapped out)."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would tell the parent's where that had more
        found = re.search(r"VmHWM:\s+([0-9]+) kB", status.read_text())
        assert found is not None
        return int(found[1]) * 1024
    if sys.platform == "win32":
        return _peak_on_windows()
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _peak_of(job: str, url: str, size: int) -> int:
    command = [sys.executable, "-m", "benchmarks.memory", "--job", job, "--url", url, "--bytes", str(size)]
    done = subprocess.run(
        command, cwd=Path(__file__).resolve().parent.parent, stdout=subprocess.PIPE, text=True, check=True
    )
    return int(json.loads(done.stdout)["peak_bytes"])


def _peak_on_windows() -> int:
    """PeakWorkingSetSize of GetProcessMemoryInfo."""
    import ctypes
    from ctypes import wintypes

    class Counters(ctypes.Structure):
        _fields_ = (
            ("cb", wintypes.DWORD),
            ("PageFaultCount", wintypes.DWORD),
            ("PeakWorkingSetSize", ctypes.c_size_t),
            *((f"other_{number}", ctypes.c_size_t) for number in range(7)),
        )

    counters = Counters(cb=ctypes.sizeof(Counters))
    kernel32 = ctypes.WinDLL("kernel32")  # type: ignore[attr-defined,unused-ignore]
    kernel32.GetCurrentProcess.restype = wintypes.HANDLE
    kernel32.K32GetProcessMemoryInfo.argtypes = (wintypes.HANDLE, ctypes.POINTER(Counters), wintypes.DWORD)
    if not kernel32.K32GetProcessMemoryInfo(kernel32.GetCurrentProcess(), ctypes.byref(counters), counters.cb):
        raise OSError("GetProcessMemoryInfo failed")
    return int(counters.PeakWorkingSetSize)


@contextlib.contextmanager
def _streams() -> Iterator[str]:
    """The URL of a server that answers /stream/BYTES with so many bytes or a few more, and /api/version."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_accept, args=(listener,), daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def _accept(listener: socket.socket) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:  # it was closed: the measurement is over
            return
        with connection, contextlib.suppress(ConnectionError):
            _answer(connection)


def _answer(connection: socket.socket) -> None:
    asked = b""
    while b"\r\n\r\n" not in asked:
        if not (data := connection.recv(65536)):
            return
        asked += data
    if (found := re.match(rb"GET /stream/([0-9]+) ", asked)) is None:
        body = b'{"version":"1.0.0"}'
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        return
    fields = b"Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked"
    connection.sendall(b"HTTP/1.1 200 OK\r\n%b\r\n\r\n" % fields)
    left = int(found[1])
    while left > 0:
        connection.sendall(_CHUNK * _AT_ONCE)
        left -= len(_RECORD) * _AT_ONCE
    connection.sendall(b"0\r\n\r\n")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.option("--job", type=click.Choice(sorted(JOBS)), hidden=True)
@click.option("--url", default="", hidden=True)
@click.option("--bytes", "size", type=int, default=0, hidden=True)
def main(as_json: bool, job: str | None, url: str, size: int) -> None:  # noqa: FBT001 - click's options
    """Measure how memory grows with the length of a stream. Exit code 1: it grows more than it should."""
    if job is not None:  # the measured process
        JOBS[job](url, size)
        click.echo(json.dumps({"peak_bytes": peak_bytes()}))
        return
    section = measure()
    if as_json:
        click.echo(report.to_json(this_machine(), [section]))
    else:
        report.show(this_machine(), [section])
    sys.exit(0 if all(aim.met for aim in section.aims) else 1)


if __name__ == "__main__":
    main()
