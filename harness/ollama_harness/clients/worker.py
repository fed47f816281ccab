"""Runs inside the process of clients in Python: reads jobs from stdin, reports records and endings on stdout.

docs/client-protocol.md describes the messages, NDJSON both ways. The arguments are a machine in JSON
(`network.simulation.SimulatedMachine`), the user's own files in JSON, and the names of the clients. Each job names the
client that does it.

How it works: stdout is duplicated for the reports, and file descriptor 1 then leads to stderr. So nothing that a
library prints can end up among the reports. Next, the simulated machine is installed, before any library is imported. A
thread reads jobs into a queue; when stdin ends, it exits the whole process, even if a client hangs. The main thread
does the jobs of synchronous clients itself. Jobs of asynchronous clients run on one event loop in another thread, which
keeps running between jobs, as in a user's program. Each client has a `_JobRunner`, which keeps the library's session
from one job to the next. Every exception of a library is caught there and reported, because it is a fact about the
client.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import os
import platform
import queue
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import Any, BinaryIO

from ollama_harness.clients import Client, add_file, client
from ollama_harness.clients.adapter import PROTOCOL, Job
from ollama_harness.network.patched_sockets import Reach, RouteShown, asked_for, forget, tried
from ollama_harness.network.route import place_of
from ollama_harness.network.simulation import SimulatedMachine, install, patch_imported
from ollama_harness.network.write_log import written
from ollama_harness.oracle.pieces import Yields, problem_of_piece

__all__ = ["main"]


def main(machine_json: str, files_json: str, *names: str) -> None:
    """Do jobs for these clients until stdin ends."""
    reports = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    machine = SimulatedMachine.from_json(json.loads(machine_json))
    install(machine)
    if files := json.loads(files_json):
        for file in files:
            add_file(Path(file))
    else:  # only the harness needs it; the machine of a library's user may not have it
        sys.modules["click"] = None  # type: ignore[assignment]
    jobs: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    runners: dict[str, _JobRunner] = {}
    ready, missing = dict[str, str](), dict[str, str]()
    for one in map(client, names):
        try:
            ready[one.name] = _version(one)
        except metadata.PackageNotFoundError:
            missing[one.name] = f"{one.distribution} is not installed: python -m pip install {one.distribution}"
        else:
            runners[one.name] = _JobRunner(one, reports, jobs, machine)
            runners[one.name].warm_up()
    _report(reports, protocol=PROTOCOL, ready=ready, missing=missing)
    threading.Thread(target=_read_jobs, args=(jobs,), daemon=True).start()
    loop = _loop() if any(runner.is_async for runner in runners.values()) else None
    while True:
        line = jobs.get()
        runner = runners[json.loads(line)["client"]]
        if runner.is_async:
            assert loop is not None
            asyncio.run_coroutine_threadsafe(runner.work_async(line), loop).result()
        else:
            runner.work(line)


def _version(one: Client) -> str:
    """The library's version.

    Raises: PackageNotFoundError.
    """
    if one.distribution:
        return metadata.version(one.distribution)
    return "" if one.is_canary else platform.python_version()


def _loop() -> asyncio.AbstractEventLoop:
    """An event loop that keeps running between jobs, as in a user's program."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    return loop


def _read_jobs(jobs: queue.SimpleQueue[bytes]) -> None:
    """Pass jobs to the main thread. When stdin ends, the matrix needs no more: exit, even if a client hangs."""
    for line in sys.stdin.buffer:
        jobs.put(line)
    os._exit(0)


class _JobRunner:
    """Does the jobs of one client. It keeps the session from one job to the next, if the job says so."""

    def __init__(
        self, one: Client, reports: BinaryIO, jobs: queue.SimpleQueue[bytes], machine: SimulatedMachine
    ) -> None:
        self._client, self._reports, self._jobs, self._machine = one, reports, jobs, machine
        self._session: tuple[Any, Any] | None = None  # the context manager, and what it returned
        self._made = False  # whether the library has made its session
        assert one.exchange is not None
        self._exchange = one.exchange
        self.is_async = inspect.isasyncgenfunction(one.exchange)

    def warm_up(self) -> None:
        """Import the library, so that no job has to wait for that. What the import raises is reported by each job."""
        with suppress(Exception):
            self._import()

    def work(self, line: bytes) -> None:
        """Do a job, to its end."""
        job = self._accepted(line)
        if job is None:
            return
        with self._reporting(job) as report_next:
            if not job.reuses_session:
                manager = self._new_session(job)
                self._session = manager, manager.__enter__()
            manager, session = self._current_session()
            try:
                for one in self._exchange(job, session):  # type: ignore[union-attr]
                    count = report_next(one)
                    if count == job.stop_after:
                        break
                    if count == job.meanwhile_after:
                        _report(self._reports, meanwhile=True)
                        self.work(self._jobs.get())
            finally:
                if not job.keeps_session:
                    self._session = None
                    manager.__exit__(None, None, None)

    async def work_async(self, line: bytes) -> None:
        """Do a job, to its end."""
        job = self._accepted(line)
        if job is None:
            return
        with self._reporting(job) as report_next:
            if not job.reuses_session:
                manager = self._new_session(job)
                self._session = manager, await manager.__aenter__()
            manager, session = self._current_session()
            try:
                async for one in self._exchange(job, session):  # type: ignore[union-attr]
                    count = report_next(one)
                    if count == job.stop_after:
                        break
                    if count == job.meanwhile_after:
                        _report(self._reports, meanwhile=True)
                        await self.work_async(await asyncio.to_thread(self._jobs.get))
            finally:
                if not job.keeps_session:
                    self._session = None
                    await manager.__aexit__(None, None, None)

    def _accepted(self, line: bytes) -> Job | None:
        """The job, if the client can do it. If not, the reason is reported, and None returned."""
        job = Job.from_json(json.loads(line))
        self._made = False
        forget()
        written.clear()
        self._machine.reset_variables()
        if not self._imported(job):
            return None
        try:
            reason = self._client.unsupported(job.request)
        except Exception as error:  # noqa: BLE001 - the adapter's own code
            reason = f"the adapter of {self._client.name} raised {error!r}"
            _report_end(self._reports, job, end="failed", reason=reason)
            return None
        if reason is not None:
            _report_end(self._reports, job, end="unsupported", reason=reason)
            return None
        if self._machine.reach is Reach.NOTHING:
            asked_for.update([place_of(job.url), *(("127.0.0.1", port) for port in self._machine.proxies)])
        return job

    def _imported(self, job: Job) -> bool:
        """Whether the library can be imported here. An exception of the import is reported: it is the client's."""
        try:
            self._import()
        except Exception as error:  # noqa: BLE001 - a library that reads settings when it is imported may raise anything
            _report_end(self._reports, job, end="raised", **_raised(error), made=False)
            return False
        return True

    def _import(self) -> None:
        for name in self._client.modules:
            if name not in sys.modules:
                importlib.import_module(name)
                patch_imported(name, self._machine)

    def _new_session(self, job: Job) -> Any:
        self._session = None  # even if the next line raises, the old session is not this job's
        return self._client.session(job)

    def _current_session(self) -> tuple[Any, Any]:
        if self._session is None:
            raise _AdapterDefect("has made no session to reuse")
        self._made = True
        self._machine.change_variables()
        return self._session

    @contextmanager
    def _reporting(self, job: Job) -> Iterator[Callable[[Any], int]]:
        """Yields a function that reports a record or piece and returns how many there were; reports the end, whatever
        it is.
        """
        started_s, count, yields = time.monotonic(), 0, self._client.yields

        def report(one: Any) -> int:
            nonlocal count
            if yields is Yields.PIECES and (problem := problem_of_piece(one)) is not None:
                raise _AdapterDefect(f"yielded no piece: {problem}")
            try:
                _report(self._reports, **{yields: one}, at_s=round(time.monotonic() - started_s, 6))
            except (TypeError, ValueError) as error:
                raise _AdapterDefect(f"yielded something that is not JSON: {error}") from None
            count += 1
            return count

        end: dict[str, Any] = {"end": "ended"}
        try:
            yield report
            if count == job.stop_after:
                end = {"end": "stopped"}
        except _AdapterDefect as error:
            end = {"end": "failed", "reason": f"the adapter of {self._client.name} {error}"}
        except (Exception, asyncio.CancelledError, RouteShown, BaseExceptionGroup) as error:  # noqa: BLE001 - the edge: every exception of a client is a fact to report
            end = {"end": "raised", **_raised(error), "made": self._made}
        _report_end(self._reports, job, **end)


class _AdapterDefect(Exception):
    """The adapter did something that no adapter may do. That says nothing about its client."""


def _raised(error: BaseException) -> dict[str, Any]:
    names = [f"{c.__module__}.{c.__qualname__}" for c in type(error).__mro__ if c is not object]
    return {"types": names, "message": str(error), "where": _where(error)}


def _where(error: BaseException) -> str:
    """The place that raised, and its function."""
    frames = traceback.extract_tb(error.__traceback__, limit=-1)
    return "".join(f"{one.filename}:{one.lineno} in {one.name}" for one in frames)


def _report_end(reports: BinaryIO, job: Job, **fields: Any) -> None:
    _report(reports, **fields, id=job.id, tried=list(dict.fromkeys(tried)), written=list(written))


def _report(reports: BinaryIO, **fields: Any) -> None:
    reports.write(json.dumps(fields, separators=(",", ":")).encode() + b"\n")
