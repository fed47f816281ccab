"""A client's process as the runner sees it: gives it jobs, collects its reports, and kills it at the deadline.

The process runs in the user's current directory, which may hold an `ollama.py` or a `queue.py`. Python must not import
from there (-P), nor from PYTHONPATH, which comes before the standard library. So the process gets the folder of this
package as an argument, and adds it to `sys.path` if it is not there.

Two threads read stdout and stderr until the process ends, so that it never waits for a full pipe. The lines of stdout
go into a queue, and `exchange` waits there for the next one, until the deadline. After the deadline the process is
killed, and the client has hung. The end of stdout without a report of the end means that the client crashed. The last
bytes of stderr are kept, for the message if the process does not start. A process that hung or crashed is not used
again.
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

#: The longest time from the start of the process to its first line. A busy machine needs long for an import.
_STARTUP_S = 60.0

#: How much of stderr is kept: the last bytes.
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
    """What a client yielded in one exchange, (seconds, record or piece) pairs, and how it ended.

    `tried` holds each (host, port) that it connected to, or tried to. `written` holds each of its writes to a socket as
    (port of the peer, bytes), if its machine counts writes.
    """

    yielded: tuple[tuple[float, Any], ...]
    ending: ClientEnd
    tried: tuple[tuple[str, int], ...] = ()
    written: tuple[tuple[int, int], ...] = ()


class WorkerProcess:
    """One process for some clients, started once and reused until one of them hangs or crashes.

    `variables` are all environment variables of the process, `machine` is simulated in it, and `python` is the
    interpreter.
    """

    def __init__(
        self,
        clients: Sequence[str],
        variables: Mapping[str, str],
        machine: SimulatedMachine | None = None,
        *,
        python: str = sys.executable,
    ) -> None:
        self._process = subprocess.Popen(
            [python, "-P", "-c", _START, _ROOT, json.dumps((machine or SimulatedMachine()).to_json()), *clients],
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
        self.problem: Failed | None = None  # why this process cannot do jobs
        try:
            first = self._next(time.monotonic() + _STARTUP_S)
        except TimeoutError:
            self._did_not_start(f" within {_STARTUP_S:g} s")
        except ValueError:
            self._did_not_start(", because something other than its worker wrote to its stdout")
        else:
            if first is None:
                self._did_not_start("")
            else:
                self.versions, self._missing = first["ready"], first["missing"]

    @property
    def alive(self) -> bool:
        """Whether it can do another job."""
        return self.problem is None and self._process.poll() is None

    def exchange(
        self,
        job: Job,
        *,
        deadline_s: float,
        told: Callable[[Sequence[Any]], None] = lambda _: None,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> ClientReport:
        """Let the client make one exchange, for at most `deadline_s` seconds.

        `told` is called with the records or pieces so far whenever the client yields one. `meanwhile` is called in the
        middle of a job that waits for the next job.
        """
        if self.problem is not None:
            return ClientReport((), self.problem)
        if job.client in self._missing:
            return ClientReport((), Unsupported(self._missing[job.client]))
        deadline = time.monotonic() + deadline_s
        times, values = list[float](), list[Any]()
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
            elif "record" in message or "piece" in message:
                times.append(message["at_s"])
                values.append(message["record"] if "record" in message else message["piece"])
                if len(values) != job.meanwhile_after:
                    told(values)
            elif "meanwhile" in message:
                meanwhile()
                told(values)
            else:
                ending = _ending(message)
                tried = tuple((host, port) for host, port in message["tried"])
                written = tuple((port, size) for port, size in message["written"])
        return ClientReport(tuple(zip(times, values, strict=True)), ending, tried, written)

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
            except OSError:  # the last job was written but not read
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
        last = f": {lines[-1].strip()[:_SHOWN_CHARACTERS]}" if lines else ""
        self.problem = Failed(f"the client's process did not start{how}{last}")

    def _next(self, deadline: float) -> dict[str, Any] | None:
        """The next message; None if the process has ended.

        Raises: TimeoutError.
        """
        if time.monotonic() >= deadline:  # a client that yields for ever hangs as well
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
    """Arguments of Popen so that Ctrl-C does not reach the process: the runner ends its processes itself."""
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
