"""Checks that an adapter keeps to the client protocol, by jobs like those of the matrix.

`steps` starts the adapter and gives it one job after another. A defect of the protocol ends the process, so the next
step starts another. What the client behind the adapter gets wrong is no matter here: an answer that is cut may be
reported as an end or as an exception.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ollama_harness.clients import Client, client
from ollama_harness.clients.adapter import Job
from ollama_harness.clients.protocol import PROTOCOL, BadMessage
from ollama_harness.clients.worker_process import STARTUP_S, ClientReport, WorkerProcess
from ollama_harness.faults import Fault, after_head, after_record, apply, close_at, refuse, replace_with, stall_at
from ollama_harness.network.environments import clean_environment
from ollama_harness.oracle.verdict import Crashed, Failed, Finished, Hung, Raised, Stopped, Unsupported
from ollama_harness.recordings.recording import Recording
from ollama_harness.recordings.store import packaged_store
from ollama_harness.script.script import ConnectionEnd, Script
from ollama_harness.server.fake_ollama import FakeOllama

__all__ = ["CheckStep", "steps"]

#: The recordings that may be asked for. The first that the client has a call for is.
_RECORDINGS = ("chat-stream", "generate-stream", "v1-chat-stream", "v1-responses-stream", "v1-messages-stream")

#: For so long after an end nothing may come.
_QUIET_S = 0.2

#: The read timeout of the job in which the server falls silent.
_SILENCE_S = 0.5

#: How long an end is awaited there. None is no defect.
_SILENT_S = 3.0

_PATIENCE_S = 10.0

_START = "its start"
_READY = (
    f'write {{"protocol": {PROTOCOL}, "ready": "VERSION OF THE LIBRARY"}} as the first line of stdout, and flush it'
)
_END = "write one end for each job, as soon as the library has ended, and flush stdout"
_UNSUPPORTED = "unsupported"


@dataclass(frozen=True, slots=True)
class CheckStep:
    """One step of the check: what was tried, what happened, and how to fix it ("" if nothing is wrong)."""

    tried: str
    happened: str
    fix: str = ""


def steps(
    name: str, *, deadline_s: float = _PATIENCE_S, startup_s: float = STARTUP_S, exit_s: float = _PATIENCE_S
) -> Iterator[CheckStep]:
    """Check the adapter of a client that is a command. It has `deadline_s` seconds for each job, `startup_s` to start,
    and `exit_s` to exit when stdin has ended.
    """
    with tempfile.TemporaryDirectory(prefix="ollama-harness-") as home:
        check = _Check(client(name), Path(home), deadline_s, startup_s, exit_s)
        try:
            yield from check.steps()
        finally:
            check.close()


class _Check:
    def __init__(self, one: Client, home: Path, deadline_s: float, startup_s: float, exit_s: float) -> None:
        self._client, self._home = one, home
        self._deadline_s, self._startup_s, self._exit_s = deadline_s, startup_s, exit_s
        self._process: WorkerProcess | None = None

    def close(self) -> None:
        if self._process is not None:
            self._process.close()

    def steps(self) -> Iterator[CheckStep]:
        started = self._start()
        yield started
        if started.fix:
            return
        store = packaged_store()
        for name in _RECORDINGS:
            recording = store.get(f"{store.newest}/{name}")
            whole = self._step("a whole answer", recording, is_right=_finished)
            if whole.happened != _UNSUPPORTED:
                break
        yield whole
        if whole.happened == _UNSUPPORTED:
            return
        place = after_record(2) if recording.request.streams else after_head()
        yield self._step("the same again", recording, is_right=_finished)
        yield self._step("an answer that is cut", recording, close_at(place))
        yield self._step("an error with status 502", recording, replace_with("nginx-502"))
        yield self._step("a server that is not there", recording, refuse())
        yield self._step("a user who stops after one record", recording, stop_after=1, is_right=_stopped)
        yield self._step("two requests in one session", recording, second=True)
        yield self._step("a request in the middle of another", recording, second=True, meanwhile_after=1)
        yield self._step("a silence longer than the read timeout", recording, stall_at(place), may_hang=True)
        yield self._finished_step()

    def _start(self) -> CheckStep:
        self.close()
        self._process = WorkerProcess([self._client.name], clean_environment(self._home), startup_s=self._startup_s)
        if self._process.defect is not None:
            return CheckStep(_START, self._process.defect.problem, self._process.defect.fix)
        if self._process.problem is not None:
            return CheckStep(_START, self._process.problem.reason, _READY)
        return CheckStep(_START, f"version {self._process.versions.get(self._client.name, 'unknown')}")

    def _step(
        self,
        tried: str,
        recording: Recording,
        *faults: Fault,
        is_right: Callable[[ClientReport], CheckStep | None] = lambda _: None,
        may_hang: bool = False,
        second: bool = False,
        **changes: Any,
    ) -> CheckStep:
        """Do a job, and perhaps a second in its session, and say what is wrong with it."""
        if self._process is None or not self._process.alive:
            started = self._start()
            if started.fix:
                return started
        assert self._process is not None
        process = self._process
        script = apply(Script.from_recording(recording, speed=0), faults)
        with FakeOllama(speed=0, listens=script.ending.how is not ConnectionEnd.REFUSE) as server:
            server.play(script, before_guard=True)
            job = Job(
                client=self._client.name,
                url=server.url,
                request=recording.request,
                read_timeout_s=_SILENCE_S if may_hang else self._deadline_s,
                keeps_session=second and "meanwhile_after" not in changes,
                **changes,
            )
            next_job = replace(
                job, meanwhile_after=None, keeps_session=job.meanwhile_after is not None, reuses_session=True
            )
            reports = list[ClientReport]()

            def do_next() -> None:
                reports.append(process.exchange(next_job, deadline_s=2 * self._deadline_s))

            begun = time.monotonic()
            # Twice the time, to tell an end that is late from none.
            deadline_s = min(_SILENT_S, self._deadline_s) if may_hang else 2 * self._deadline_s
            reports.append(process.exchange(job, deadline_s=deadline_s, meanwhile=do_next))
            took_s = time.monotonic() - begun
            if job.keeps_session and not isinstance(reports[0].ending, Unsupported):
                do_next()
        wrong = (self._wrong(tried, each, took_s, may_hang=may_hang) for each in reports)
        return next(filter(None, wrong), None) or is_right(reports[-1]) or CheckStep(tried, _in_words(reports[-1]))

    def _wrong(self, tried: str, report: ClientReport, took_s: float, *, may_hang: bool) -> CheckStep | None:
        """What is wrong whatever the job was; None if nothing is."""
        assert self._process is not None
        try:
            if self._process.alive:
                self._process.expect_silence(for_s=_QUIET_S)
        except BadMessage as error:
            self._process.close()
            return CheckStep(tried, error.problem, error.fix)
        match report.ending:
            case Failed() if self._process.defect is not None:
                return CheckStep(tried, self._process.defect.problem, self._process.defect.fix)
            case Failed(reason):
                return CheckStep(tried, f"the adapter failed: {reason}", "catch what the library raises, and report it")
            case Crashed(exit_code):
                said = f", and wrote {self._process.last_error!r} to stderr" if self._process.last_error else ""
                fix = "catch what the library raises, report the end, and go on with the next job"
                return CheckStep(tried, f"the process exited with {exit_code} in the middle of the job{said}", fix)
            case Hung() if may_hang:
                return None
            case Hung():
                return CheckStep(tried, f"no end within {2 * self._deadline_s:g} s", _END)
        if took_s > self._deadline_s and not may_hang:
            return CheckStep(
                tried, f"the end came late, after {took_s:.1f} s (allowed are {self._deadline_s:g} s)", _END
            )
        return None

    def _finished_step(self) -> CheckStep:
        tried = "the end of stdin"
        if self._process is None or not self._process.alive:
            started = self._start()
            if started.fix:
                return started
        assert self._process is not None
        exit_code = self._process.finish(within_s=self._exit_s)
        if exit_code is None:
            return CheckStep(tried, f"the process was still there after {self._exit_s:g} s", "exit when stdin ends")
        return CheckStep(tried, f"the process exited with {exit_code}")


def _finished(report: ClientReport) -> CheckStep | None:
    """A whole answer must end normally, and something must be yielded."""
    tried = "a whole answer"
    match report.ending:
        case Raised(types, message):
            happened = f"raised {types[0]}: {message}"
            return CheckStep(
                tried, happened, "send the request of the job as it is, to its url, and read the whole answer"
            )
        case Stopped():
            return CheckStep(tried, "stopped, and no job asked for that", 'write "ended" unless stop_after is reached')
        case Finished() if not report.yielded:
            fix = "write each record or piece as soon as the library yields it, and flush stdout"
            return CheckStep(tried, "ended normally, and nothing was yielded", fix)
    return None


def _stopped(report: ClientReport) -> CheckStep | None:
    """A user who stops is reported as such."""
    if isinstance(report.ending, Finished) and report.yielded:
        fix = 'after stop_after records close the answer, and write "stopped"'
        return CheckStep("a user who stops after one record", "ended normally", fix)
    return None


def _in_words(report: ClientReport) -> str:
    count = f"{len(report.yielded)} yielded, then "
    match report.ending:
        case Unsupported():
            return _UNSUPPORTED
        case Finished():
            return f"{count}ended"
        case Stopped():
            return f"{count}stopped"
        case Raised(types, _):
            return f"{count}raised {types[0]}"
        case Hung():
            return f"{count}no end: the client does not keep to the read timeout, which may be its own defect"
        case Crashed() | Failed():  # found before
            raise AssertionError(report)
