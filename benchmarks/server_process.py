"""Servers in processes of their own, as `python -m benchmarks` starts them: they share no GIL with anything else."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from ollama_harness import Recording
from ollama_harness.recordings import on_disk

__all__ = ["ServerProcess", "bare", "environment", "serve", "serve_shortened", "started"]

_ROOT = Path(__file__).resolve().parent.parent
_PORT = re.compile(r"https?://127\.0\.0\.1:(\d+)")
_TIMEOUT_S = 30.0


class ServerProcess:
    """A running server: its port, and its process."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process, self.port = process, port

    @property
    def pid(self) -> int:
        return self.process.pid


def environment() -> dict[str, str]:
    """This process's environment, in which Python keeps what it has compiled, as it does for people who set nothing."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


@contextlib.contextmanager
def started(command: Sequence[str]) -> Iterator[ServerProcess]:
    """Start a server that prints its URL, wait for that, and end it at last."""
    process = subprocess.Popen(
        command, cwd=_ROOT, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if found := _PORT.search(line):
                break
        else:
            raise ConnectionError(f"no server: {' '.join(command)} ended with {process.wait()}")
        threading.Thread(target=_read_on, args=(process.stdout,), daemon=True).start()
        yield ServerProcess(process, int(found[1]))
    finally:
        process.terminate()
        process.wait(_TIMEOUT_S)
        for stream in (process.stdin, process.stdout):
            assert stream is not None
            stream.close()


def _read_on(lines: Iterator[str]) -> None:
    """A server whose output is not read would wait, one day."""
    with contextlib.suppress(ValueError):  # it was closed
        for _ in lines:
            pass


def serve(*options: str) -> contextlib.AbstractContextManager[ServerProcess]:
    """`ollama-harness serve` with these options."""
    return started([sys.executable, "-m", "ollama_harness", "serve", "--port", "0", *options])


@contextlib.contextmanager
def serve_shortened(recording: Recording, *options: str) -> Iterator[ServerProcess]:
    """`ollama-harness serve` that plays this recording, which is none of the package's, to requests for its route."""
    with tempfile.TemporaryDirectory() as folder:
        on_disk.save(recording, Path(folder))
        with serve("--recordings", folder, "--play", recording.name, *options) as server:
            yield server


def bare() -> contextlib.AbstractContextManager[ServerProcess]:
    """The bare server with the stream of the measurements."""
    return started([sys.executable, "-m", "benchmarks.bare"])
