"""The memory needed to record a long stream, and to play it: `python -m benchmarks.memory`, about a minute.

What is measured runs in a process of its own and says at its end how much memory it ever had at once; what feeds it
(or is fed by it) is in another process and does not count. A short stream is measured too: what it takes is Python and
the modules, so the difference is what the bytes of the long one cost.
"""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from benchmarks import report, workload
from benchmarks.client_process import ClientProcess
from benchmarks.figures import Aim, Section
from benchmarks.machine import this_machine
from ollama_harness import FakeOllama, RecordingStore, Script
from ollama_harness.recorder import Probe, record
from ollama_harness.recordings.recording import Request
from ollama_harness.script.script import http_date

__all__ = ["measure", "peak_bytes"]

#: How many times its own size a stream may need.
AIM_TIMES = 3.0

_MB = 1_000_000
_RECORD = b'{"model":"m","created_at":"2026-11-22T19:20:02.123456789Z","response":"' + b"x" * 41 + b'","done":false}\n'
_CHUNK = b"%x\r\n%b\r\n" % (len(_RECORD), _RECORD)
_AT_ONCE = 400
_VERSION = "1.0.0"


def measure(*, long_mb: int = 100) -> Section:
    """Run each job with a stream of 1 MB, and with one of `long_mb`."""
    section = Section(
        "memory",
        "Memory at its peak, in MB",
        f"A stream of records of {len(_RECORD)} bytes, one a chunk, is recorded; then the recording is loaded from "
        "disk and played once without gaps, and the journal is kept. A process for each, at its peak.",
        ("job", "1 MB stream", f"{long_mb} MB stream", "more", "times its size"),
    )
    with tempfile.TemporaryDirectory() as short, tempfile.TemporaryDirectory() as long, _streams() as url:
        for job in JOBS:
            low = _peak_of(job, short, url, 1) / _MB
            high = _peak_of(job, long, url, long_mb) / _MB
            times = (high - low) / (long_mb - 1)
            section.rows.append((job, low, high, high - low, times))
            section.aims.append(Aim(f"memory for a stream, {job}, times its size", times, AIM_TIMES))
    return section


def peak_bytes() -> int:
    """The most bytes of real memory that this process has had at once: on Linux and macOS its resident set, on Windows
    its working set.
    """
    if sys.platform == "win32":
        return _peak_working_set_bytes()
    if sys.platform == "linux":
        # Not getrusage: on Linux its figure includes the memory of the process that forked this one.
        found = re.search(r"^VmHWM:\s*(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
        assert found is not None
        return int(found[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if sys.platform == "win32":
    import ctypes
    from ctypes import wintypes

    class _Counters(ctypes.Structure):
        """PROCESS_MEMORY_COUNTERS of <psapi.h>."""

        _fields_ = (
            ("cb", wintypes.DWORD),
            ("PageFaultCount", wintypes.DWORD),
            ("PeakWorkingSetSize", ctypes.c_size_t),
            ("WorkingSetSize", ctypes.c_size_t),
            ("QuotaPeakPagedPoolUsage", ctypes.c_size_t),
            ("QuotaPagedPoolUsage", ctypes.c_size_t),
            ("QuotaPeakNonPagedPoolUsage", ctypes.c_size_t),
            ("QuotaNonPagedPoolUsage", ctypes.c_size_t),
            ("PagefileUsage", ctypes.c_size_t),
            ("PeakPagefileUsage", ctypes.c_size_t),
        )

    def _peak_working_set_bytes() -> int:
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.GetCurrentProcess.restype = wintypes.HANDLE
        ask = kernel.K32GetProcessMemoryInfo
        ask.argtypes, ask.restype = (wintypes.HANDLE, ctypes.POINTER(_Counters), wintypes.DWORD), wintypes.BOOL
        counters = _Counters(cb=ctypes.sizeof(_Counters))
        if not ask(kernel.GetCurrentProcess(), ctypes.byref(counters), counters.cb):
            raise ctypes.WinError(ctypes.get_last_error())
        return int(counters.PeakWorkingSetSize)


# ---------------------------------------------------------------------------------------- in the measured process


def _record(folder: Path, url: str, size_bytes: int) -> None:
    """Record a stream of so many bytes."""
    probe = Probe(name="generate-long", request=Request(method="POST", path=workload.PATH, json={"size": size_bytes}))
    session = record(url, [probe], folder)
    written = sum(path.stat().st_size for path in session.folder.glob("*.ndjson"))
    if session.failures or written < size_bytes:
        raise ConnectionError(f"{written} bytes of {size_bytes} were recorded: {session.failures}")


def _play(folder: Path, url: str, size_bytes: int) -> None:  # noqa: ARG001 - one job of two
    """Play the stream that was recorded before."""
    store = RecordingStore(folder)
    recording = store.get(f"{_VERSION}/generate-long")
    script = Script.from_recording(recording)
    size = sum(len(segment.data) for segment in script.render(date=http_date()).segments)
    with FakeOllama(store=store, speed=0) as server, ClientProcess() as client:
        server.play(recording)
        client.streams(server.port, workload.request(recording), count=1, records=len(recording.frames))
        server.journal.wait_until_settled()
        (entry,) = server.journal.entries
        if sum(len(data) for _, data in entry.sent) < size:
            raise ValueError("the recording was not played to its end")


#: In this order, because the recording is played.
JOBS: dict[str, Callable[[Path, str, int], None]] = {"record": _record, "play": _play}


# ---------------------------------------------------------------------------------------- in the measuring process


def _peak_of(job: str, folder: str, url: str, size_mb: int) -> int:
    command = [sys.executable, "-m", "benchmarks.memory", "--job", job, folder, url, str(size_mb * _MB)]
    root = Path(__file__).resolve().parent.parent
    ended = subprocess.run(command, cwd=root, stdout=subprocess.PIPE, encoding="utf-8", check=True)
    return int(ended.stdout.splitlines()[-1])


@contextlib.contextmanager
def _streams() -> Iterator[str]:
    """The URL of a server that answers a POST of {"size": BYTES} with so many bytes or a few more, else a version."""
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
    while not asked.endswith((b"\r\n\r\n", b"}")):
        if not (data := connection.recv(65536)):
            return
        asked += data
    if (found := re.search(rb'{"size":([0-9]+)}', asked)) is None:
        body = b'{"version":"%b"}' % _VERSION.encode()
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
@click.option("--job", type=(click.Choice(list(JOBS)), click.Path(path_type=Path), str, int), hidden=True)
def main(as_json: bool, job: tuple[str, Path, str, int] | None) -> None:  # noqa: FBT001 - click's options
    """Measure how much memory a long stream takes. Exit code 1: it takes more than it should."""
    if job is not None:  # the measured process
        name, folder, url, size_bytes = job
        JOBS[name](folder, url, size_bytes)
        click.echo(peak_bytes())
        return
    section = measure()
    if as_json:
        click.echo(report.to_json(this_machine(), [section]))
    else:
        report.show(this_machine(), [section])
    sys.exit(0 if all(aim.met for aim in section.aims) else 1)


if __name__ == "__main__":
    main()
