"""A client's process as the runner sees it: give it jobs, collect facts, kill it when its time is up.

The process runs in the user's current directory, which may hold an `ollama.py` or a `queue.py`. Python must not look
there (-P), nor in PYTHONPATH, which comes before the standard library. So the process is told where this package lies,
and looks there only if it would not find it by itself.

Two threads read its pipes until it ends, so that it never waits for a pipe that is full.
"""

from __future__ import annotations

import io
import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ollama_harness
from ollama_harness.clients.adapter import Job
from ollama_harness.network.simulation import SimulatedMachine
from ollama_harness.oracle.verdict import ClientEnd, Crashed, Failed, Finished, Hung, Raised, Stopped, Unsupported

__all__ = ["ClientReport", "WorkerProcess"]

#: From the start of the process to its first line: an import on a slow, loaded machine.
_STARTUP_S = 60.0

#: How much is kept of what a process writes to stderr: its end.
_KEPT_BYTES = 4096
_SHOWN_CHARACTERS = 300

_ROOT = str(Path(ollama_harness.__file__).parent.parent)
_START = """\
import sys
if sys.argv[1] not in sys.path:
    sys.path.insert(0, sys.argv[1])
from ollama_harness.clients.worker import main
main(*sys.argv[2:])
"""


@dataclass(frozen=True, slots=True)
class ClientReport:
    """What a client yielded in one exchange: (seconds, record) pairs, and how it ended.

    `tried` is where it connected to, or tried to: (host, port). `written` is what each of its writes to a socket took:
    (port of the peer, bytes), if its world counts them.
    """

    records: tuple[tuple[float, Any], ...]
    ending: ClientEnd
    tried: tuple[tuple[str, int], ...] = ()
    written: tuple[tuple[int, int], ...] = ()


class WorkerProcess:
    """One process for some clients, spawned once and reused until one of them hangs or dies.

    `variables` are all that it is born with, and `world` is what it finds; `python` is the interpreter.
    """

    def __init__(
        self,
        clients: Sequence[str],
        variables: Mapping[str, str],
        world: SimulatedMachine | None = None,
        *,
        python: str = sys.executable,
    ) -> None:
        self._process = subprocess.Popen(
            [python, "-P", "-c", _START, _ROOT, json.dumps((world or SimulatedMachine()).to_json()), *clients],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(variables),
            **_own_group(),
        )
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._errors = b""
        self._readers = [threading.Thread(target=each, daemon=True) for each in (self._read, self._read_errors)]
        for reader in self._readers:
            reader.start()
        self.versions: dict[str, str] = {}
        self._missing: dict[str, str] = {}
        self.problem: Failed | None = None  # why this worker cannot take jobs
        try:
            first = self._next(time.monotonic() + _STARTUP_S)
        except TimeoutError:
            self._did_not_start(f" within {_STARTUP_S:g} s")
        except ValueError:
            self._did_not_start(", because something else than its worker wrote to its stdout")
        else:
            if first is None:
                self._did_not_start("")
            else:
                self.versions, self._missing = first["ready"], first["missing"]

    @property
    def alive(self) -> bool:
        """Whether it can take another job."""
        return self.problem is None and self._process.poll() is None

    def exchange(
        self,
        job: Job,
        *,
        deadline_s: float,
        yielded: Callable[[int], None] = lambda _: None,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> ClientReport:
        """Have the client make one exchange, `deadline_s` seconds at most.

        `yielded` is called with the number of records so far whenever the client hands one out, `meanwhile` in the
        middle of a job that lets another one go before.
        """
        if self.problem is not None:
            return ClientReport((), self.problem)
        if job.client in self._missing:
            return ClientReport((), Unsupported(self._missing[job.client]))
        deadline = time.monotonic() + deadline_s
        records: list[tuple[float, Any]] = []
        ending: ClientEnd | None = None
        tried: tuple[tuple[str, int], ...] = ()
        written: tuple[tuple[int, int], ...] = ()
        if not self._write(job):
            ending = self._died()
        while ending is None:
            try:
                message = self._next(deadline)
            except TimeoutError:
                self.close()
                ending = Hung(deadline_s)
                break
            if message is None:
                ending = self._died()
            elif "record" in message:
                records.append((message["at_s"], message["record"]))
                if len(records) != job.meanwhile_after:
                    yielded(len(records))
            elif "meanwhile" in message:
                meanwhile()
                yielded(len(records))
            else:
                ending = _ending(message)
                tried = tuple((host, port) for host, port in message["tried"])
                written = tuple((port, size) for port, size in message["written"])
        return ClientReport(tuple(records), ending, tried, written)

    def close(self) -> None:
        """End the process, whatever it is doing."""
        self._process.kill()
        self._process.wait()
        for reader in self._readers:
            reader.join()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert pipe is not None
            try:
                pipe.close()
            except OSError:  # a job that was written but never read
                continue

    def _write(self, job: Job) -> bool:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(job.to_json()).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            return False
        return True

    def _died(self) -> Crashed:
        self._process.wait()
        exit_code = self._process.returncode
        self.close()
        return Crashed(exit_code)

    def _did_not_start(self, how: str) -> None:
        self.close()
        lines = [line for line in self._errors.decode(errors="replace").splitlines() if line.strip()]
        said = f": {lines[-1].strip()[:_SHOWN_CHARACTERS]}" if lines else ""
        self.problem = Failed(f"the client's process did not start{how}{said}")

    def _next(self, deadline: float) -> dict[str, Any] | None:
        """The next message; None if the process has ended.

        Raises: TimeoutError.
        """
        if time.monotonic() >= deadline:  # a client that never stops yielding has no end either
            raise TimeoutError
        try:
            line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            raise TimeoutError from None
        return None if line is None else json.loads(line)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def _read_errors(self) -> None:
        assert isinstance(self._process.stderr, io.BufferedReader)
        while some := self._process.stderr.read1():
            self._errors = (self._errors + some)[-_KEPT_BYTES:]


def _own_group() -> dict[str, Any]:
    """Arguments of Popen that keep Ctrl-C from the process: the runner ends its workers itself."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"process_group": 0}


def _ending(message: dict[str, Any]) -> ClientEnd:
    match message["end"]:
        case "ended":
            return Finished()
        case "raised":
            return Raised(tuple(message["types"]), message["message"], made=message["made"])
        case "unsupported":
            return Unsupported(message["reason"])
        case "stopped":
            return Stopped()
        case "failed":
            return Failed(message["reason"])
        case other:
            return Failed(f"the worker reported {other!r}")
