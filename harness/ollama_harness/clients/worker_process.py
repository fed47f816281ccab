"""A client's process as the runner sees it: gives it jobs, collects its reports, and kills it at the deadline.

Clients in Python run in the package's own worker, and any other client is a command. Both speak the same protocol
(`protocol`). A process that does not keep to it is killed, and the exchange fails with the reason: that is no verdict
on the client.

Two threads read stdout and stderr until the process ends, so that it never waits for a full pipe. The lines of stdout
go into a queue, and `exchange` waits there for the next one, until the deadline. After the deadline the process is
killed, and the client has hung. The end of stdout without a report of the end means that
the client crashed. The last bytes of stderr are kept, for the message if the process does not start. A process that
hung or crashed is not used again.
"""

from __future__ import annotations

import io
import itertools
import json
import queue
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ollama_harness.clients import client
from ollama_harness.clients._process_tree import killed
from ollama_harness.clients._starting import started
from ollama_harness.clients.adapter import Job
from ollama_harness.clients.protocol import (
    PROTOCOL,
    BadMessage,
    End,
    Log,
    Meanwhile,
    Message,
    Ready,
    Yielded,
    parse,
    shown,
)
from ollama_harness.network.simulation import SimulatedMachine
from ollama_harness.oracle.client_end import ClientEnd, Crashed, Failed, Hung, Unsupported
from ollama_harness.oracle.pieces import Yields

__all__ = ["STARTUP_S", "ClientReport", "WorkerProcess"]

#: The longest time from the start of the process to its first line. A busy machine needs long for an import.
STARTUP_S = 120.0

#: A process may report that its client hung after this part of the deadline, before it would be killed.
_OWN_DEADLINE = 0.9

#: The longest time from the end of stdout to the exit of the process.
_DIES_S = 5.0

#: How much of stderr is kept: the last bytes.
_KEPT_BYTES = 4096
_SHOWN_CHARACTERS = 300

#: How many lines of a process's log are kept.
_KEPT_LOGS = 100


@dataclass(frozen=True, slots=True)
class ClientReport:
    """What a client yielded in one exchange, (seconds, record or piece) pairs, and how it ended.

    `tried` holds each (host, port) that it connected to, or tried to; None if its process does not report that.
    `written` holds each of its writes to a socket as (port of the peer, bytes), if its machine counts writes. `logs`
    are the lines that its process logged.
    """

    yielded: tuple[tuple[float, Any], ...]
    ending: ClientEnd
    tried: tuple[tuple[str, int], ...] | None = ()
    written: tuple[tuple[int, int], ...] = ()
    logs: tuple[str, ...] = ()


class WorkerProcess:
    """One process for some clients, started once and reused until one of them hangs or crashes. A client that is a
    command has a process of its own.

    `variables` are all environment variables of the process, `machine` is simulated in it, and `python` is the
    interpreter; None means that which has the clients' library.
    """

    def __init__(
        self,
        names: Sequence[str],
        variables: Mapping[str, str],
        machine: SimulatedMachine | None = None,
        *,
        python: str | None = None,
        startup_s: float = STARTUP_S,
    ) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._errors = b""
        self._readers: list[threading.Thread] = []
        self._ids = itertools.count(1)
        self.versions: dict[str, str] = {}
        self._missing: dict[str, str] = {}
        self.problem: Failed | None = None  # why this process cannot do jobs
        self.defect: BadMessage | None = None  # how it broke the protocol
        self.has_started = False
        self.warm = set[str]()  # the clients that have made an exchange to warm up
        try:
            self._process = started(names, variables, machine or SimulatedMachine(), python)
            self._readers = [threading.Thread(target=each, daemon=True) for each in (self._read, self._read_errors)]
            for reader in self._readers:
                reader.start()
            self._await_ready(names, time.monotonic() + startup_s)
            self.has_started = self.problem is None
        except TimeoutError:
            self._did_not_start(f" within {startup_s:g} s")
        except BadMessage as error:
            self.defect = error
            self._did_not_start(f": {error}")
        except OSError as error:
            self._did_not_start(f": {error.strerror or error}")

    def _await_ready(self, names: Sequence[str], deadline: float) -> None:
        """Read the first message.

        Raises: BadMessage, TimeoutError.
        """
        match self._next(deadline):
            case None:
                self._did_not_start("")
            case Ready(protocol, _, _) if protocol != PROTOCOL:
                fix = f"write it for version {PROTOCOL}, or use another version of ollama-harness"
                raise BadMessage(f"it speaks version {protocol}, and this is version {PROTOCOL}", fix)
            case Ready(_, versions, missing):
                alone = names[0]
                self.versions = {name or alone: version for name, version in versions.items()}
                self._missing = {name or alone: why for name, why in missing.items()}
                if unknown := {*names} - self.versions.keys() - self._missing.keys():
                    problem = f"its first message does not name {', '.join(sorted(unknown))}"
                    raise BadMessage(problem, 'give "ready" or "missing"')
            case _:
                fix = f'write {{"protocol": {PROTOCOL}, "ready": "VERSION OF THE LIBRARY"}} first'
                raise BadMessage("its first message is not that it is ready", fix)

    @property
    def alive(self) -> bool:
        """Whether it can do another job."""
        return self._process is not None and self.problem is None and self._process.poll() is None

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
        job = replace(job, id=next(self._ids), deadline_s=_OWN_DEADLINE * deadline_s)
        begun = time.monotonic()
        times, values, logs = list[float](), list[Any](), list[str]()
        waits = job.meanwhile_after is not None  # for the next job, in the middle of this one

        def report(ending: ClientEnd, end: End | None = None) -> ClientReport:
            yielded = tuple(zip(times, values, strict=True))
            tried, written = (end.tried, end.written) if end else ((), ())
            return ClientReport(yielded, ending, tried, written, tuple(logs[-_KEPT_LOGS:]))

        try:
            self.expect_silence()
            gone = not self._write(job)
            while True:
                match None if gone else self._next(begun + deadline_s):
                    case None:
                        died = self._died()
                        logs.append(self.last_error)
                        return report(died)
                    case Yielded(kind, value, at_s):
                        _check_yielded(kind, job, already=len(values))
                        times.append(time.monotonic() - begun if at_s is None else at_s)
                        values.append(value)
                        if len(values) != job.meanwhile_after:
                            told(values)
                    case Meanwhile():
                        if len(values) != job.meanwhile_after:
                            raise BadMessage('"meanwhile" came where no job asks for it', "write it at meanwhile_after")
                        meanwhile()
                        waits = False
                        told(values)
                    case Log(text):
                        logs.append(text)
                    case End() as end:
                        _check_end(end, job, waited_s=time.monotonic() - begun)
                        if waits and len(values) >= (job.meanwhile_after or 0):
                            fix = 'write {"meanwhile": true} and do the next job first, or end this one as unsupported'
                            raise BadMessage(
                                f"it read on after {job.meanwhile_after} records, where meanwhile_after is that", fix
                            )
                        return report(Hung(deadline_s) if isinstance(end.ending, Hung) else end.ending, end)
                    case Ready():
                        raise BadMessage("it was ready twice", "write that message once, when the process starts")
        except TimeoutError:
            self.close()
            return report(Hung(deadline_s))
        except BadMessage as error:
            self.close()
            self.defect, self.problem = error, Failed(str(error))
            return report(self.problem)

    def expect_silence(self, *, for_s: float = 0.0) -> None:
        """See that the process writes nothing but what it logs, after a job and for so many seconds more.

        Raises: BadMessage.
        """
        until = time.monotonic() + for_s
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                return
            if line is None:
                self._lines.put(None)  # it has died, and the next job finds out
                return
            if not isinstance(parse(line), Log):
                fix = "write nothing after the end of a job, and one end for each job"
                raise BadMessage(f"a message came after the end of a job: {shown(line)}", fix)

    def finish(self, *, within_s: float) -> int | None:
        """End stdin, so that the process exits; returns its exit code, or None if it did not exit in time."""
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
            return self._process.wait(within_s)
        except (subprocess.TimeoutExpired, OSError):
            return None
        finally:
            self.close()

    def close(self) -> None:
        """End the process and all that it has started, whatever it is doing."""
        if self._process is None or not self._readers:
            return
        killed(self._process)
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
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(job.to_json()).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            return False
        return True

    def _died(self) -> Crashed:
        """How the process died, whose stdout has ended.

        Raises: BadMessage, if it lives on.
        """
        assert self._process is not None
        try:
            exit_code = self._process.wait(_DIES_S)
        except subprocess.TimeoutExpired:
            raise BadMessage("it closed its stdout in the middle of a job", "keep stdout open") from None
        self.close()
        return Crashed(exit_code)

    def _did_not_start(self, how: str) -> None:
        self.close()
        last = self.last_error
        self.problem = Failed(f"the client's process did not start{how}{last and f': {last}'}")

    @property
    def last_error(self) -> str:
        """The last line that the process has written to stderr, or ""."""
        lines = [line for line in self._errors.decode(errors="replace").splitlines() if line.strip()]
        return lines[-1].strip()[:_SHOWN_CHARACTERS] if lines else ""

    def _next(self, deadline: float) -> Message | None:
        """The next message; None if the process has ended.

        Raises: BadMessage, TimeoutError.
        """
        if time.monotonic() >= deadline:  # a client that yields for ever hangs as well
            raise TimeoutError
        try:
            line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            raise TimeoutError from None
        return None if line is None else parse(line)

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def _read_errors(self) -> None:
        assert self._process is not None
        assert isinstance(self._process.stderr, io.BufferedReader)
        while some := self._process.stderr.read1():
            self._errors = (self._errors + some)[-_KEPT_BYTES:]


def _check_yielded(kind: Yields, job: Job, *, already: int) -> None:
    """Raises: BadMessage, if the client does not yield what it says, or more than its user reads."""
    if already == job.stop_after:
        fix = "stop reading, close the answer, and end the job as stopped"
        raise BadMessage(f"it read on after {already} records, where stop_after is {already}", fix)
    if kind is not client(job.client).yields:
        problem = f"it yielded a {kind}, and the client is said to yield each {client(job.client).yields}"
        raise BadMessage(problem, 'say yields = "records" or "pieces" as it is')


def _check_end(end: End, job: Job, *, waited_s: float) -> None:
    """Raises: BadMessage, if this is not the end of this job."""
    if end.id != job.id:
        fix = "repeat the id of the job in its end, and write one end for each job"
        raise BadMessage(f"the end of job {end.id} came in job {job.id}", fix)
    if isinstance(end.ending, Hung) and waited_s < job.deadline_s:
        problem = f"it reported that its client hung after {waited_s:.1f} s, and deadline_s is {job.deadline_s:g} s"
        raise BadMessage(problem, "wait for deadline_s")
