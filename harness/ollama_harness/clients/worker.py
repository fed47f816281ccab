"""Runs inside a client's process: reads jobs from stdin, reports records and endings on stdout, NDJSON both ways.

Its arguments are a machine, which is JSON (`network.simulation.SimulatedMachine`), and the names of its clients. The
jobs say which client is to do them.

    first line out   {"ready": {"requests": "2.32.3", …}, "missing": {"ollama": "pip install …"}}
    a job in         {"client": …, "url": …, "request": {…}, "read_timeout_s": …, …}
    for each record  {"record": …, "at_s": seconds since the job was read}
    in the middle    {"meanwhile": true}, if the next job is to be done before this one goes on
    at the end       {"end": "ended" | "stopped" | "unsupported" | "raised" | "failed", "tried": [[host, port], …],
                      "written": [[port, bytes], …], …}

Whatever the client's library prints goes to stderr.
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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from typing import Any, BinaryIO

from ollama_harness.clients import Client, client
from ollama_harness.clients.adapter import Job
from ollama_harness.network.simulation import SimulatedMachine, imported, install, tried
from ollama_harness.network.write_log import written

__all__ = ["main"]


def main(world_json: str, *names: str) -> None:
    """Serve jobs for these clients until stdin ends."""
    reports = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    world = SimulatedMachine.from_json(json.loads(world_json))
    install(world)
    sys.modules["click"] = None  # type: ignore[assignment]  # the harness needs it: a user of httpx need not have it
    jobs: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    desks: dict[str, _Desk] = {}
    ready, missing = dict[str, str](), dict[str, str]()
    for one in map(client, names):
        try:
            ready[one.name] = _version(one)
        except metadata.PackageNotFoundError:
            missing[one.name] = f"{one.distribution} is not installed: python -m pip install {one.distribution}"
        else:
            desks[one.name] = _Desk(one, reports, jobs, world)
    _report(reports, ready=ready, missing=missing)
    threading.Thread(target=_read_jobs, args=(jobs,), daemon=True).start()
    loop = _loop() if any(desk.is_async for desk in desks.values()) else None
    while True:
        line = jobs.get()
        desk = desks[json.loads(line)["client"]]
        if desk.is_async:
            assert loop is not None
            asyncio.run_coroutine_threadsafe(desk.work_async(line), loop).result()
        else:
            desk.work(line)


def _version(one: Client) -> str:
    """The library's version.

    Raises: PackageNotFoundError.
    """
    if one.distribution:
        return metadata.version(one.distribution)
    return "" if one.is_canary else platform.python_version()


def _loop() -> asyncio.AbstractEventLoop:
    """An event loop that goes on between jobs, as in a user's program."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    return loop


def _read_jobs(jobs: queue.SimpleQueue[bytes]) -> None:
    """Pass jobs on. When stdin ends the runner is gone, or wants no more: leave, even out of a client that hangs."""
    for line in sys.stdin.buffer:
        jobs.put(line)
    os._exit(0)


class _Desk:
    """Where one client works: it keeps the session from one job to the next, for as long as jobs go on."""

    def __init__(self, one: Client, reports: BinaryIO, jobs: queue.SimpleQueue[bytes], world: SimulatedMachine) -> None:
        self._client, self._reports, self._jobs, self._world = one, reports, jobs, world
        self._session: tuple[Any, Any] | None = None  # the context manager, and what it gave
        self._made = False  # whether the library has come as far as that
        self.is_async = inspect.isasyncgenfunction(one.exchange)

    def work(self, line: bytes) -> None:
        """A job, to its end."""
        job = self._accepted(line)
        if job is None:
            return
        with self._reporting(job) as taken:
            if not job.continues:
                manager = self._begin(job)
                self._session = manager, manager.__enter__()
            manager, session = self._going_on()
            try:
                for record in self._client.exchange(job, session):  # type: ignore[union-attr]
                    count = taken(record)
                    if count == job.stop_after:
                        break
                    if count == job.meanwhile_after:
                        _report(self._reports, meanwhile=True)
                        self.work(self._jobs.get())
            finally:
                if not job.goes_on:
                    self._session = None
                    manager.__exit__(None, None, None)

    async def work_async(self, line: bytes) -> None:
        """A job, to its end."""
        job = self._accepted(line)
        if job is None:
            return
        with self._reporting(job) as taken:
            if not job.continues:
                manager = self._begin(job)
                self._session = manager, await manager.__aenter__()
            manager, session = self._going_on()
            try:
                async for record in self._client.exchange(job, session):  # type: ignore[union-attr]
                    count = taken(record)
                    if count == job.stop_after:
                        break
                    if count == job.meanwhile_after:
                        _report(self._reports, meanwhile=True)
                        await self.work_async(await asyncio.to_thread(self._jobs.get))
            finally:
                if not job.goes_on:
                    self._session = None
                    await manager.__aexit__(None, None, None)

    def _accepted(self, line: bytes) -> Job | None:
        """The job, if the client can do it; else reports why not."""
        job = Job.from_json(json.loads(line))
        self._made = False
        tried.clear()
        written.clear()
        self._world.begin()
        if not self._imported():
            return None
        try:
            reason = self._client.unsupported(job.request)
        except Exception as error:  # noqa: BLE001 - the adapter's own code
            _report(self._reports, end="failed", reason=f"the adapter of {self._client.name} raised {error!r}")
            return None
        if reason is not None:
            _report(self._reports, end="unsupported", reason=reason)
            return None
        return job

    def _imported(self) -> bool:
        """Whether the library can be imported here; if it raises, that is reported as its doing."""
        store = self._client.distribution
        if store and store not in sys.modules:
            try:
                importlib.import_module(store)
            except Exception as error:  # noqa: BLE001 - a library that reads settings when it is imported may raise anything
                _report(self._reports, end="raised", **_raised(error), made=False)
                return False
            imported(store, self._world)
        return True

    def _begin(self, job: Job) -> Any:
        self._session = None  # whatever happens now, the one before is not this job's
        return self._client.session(job)

    def _going_on(self) -> tuple[Any, Any]:
        if self._session is None:
            raise _AdapterDefect("has made no session to go on with")
        self._made = True
        self._world.change()
        return self._session

    @contextmanager
    def _reporting(self, job: Job) -> Iterator[Callable[[Any], int]]:
        """Gives what reports a record and says how many there were; reports the end, whatever it is."""
        started_s, count = time.monotonic(), 0

        def report(record: Any) -> int:
            nonlocal count
            try:
                _report(self._reports, record=record, at_s=round(time.monotonic() - started_s, 6))
            except (TypeError, ValueError) as error:
                raise _AdapterDefect(f"yielded what is no JSON: {error}") from None
            count += 1
            return count

        end: dict[str, Any] = {"end": "ended"}
        try:
            yield report
            if count == job.stop_after:
                end = {"end": "stopped"}
        except _AdapterDefect as error:
            end = {"end": "failed", "reason": f"the adapter of {self._client.name} {error}"}
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - the edge: whatever a client raises is a fact to report
            end = {"end": "raised", **_raised(error), "made": self._made}
        _report(self._reports, **end)


class _AdapterDefect(Exception):
    """The adapter did what no adapter may do: this says nothing of its client."""


def _raised(error: BaseException) -> dict[str, Any]:
    names = [f"{c.__module__}.{c.__qualname__}" for c in type(error).__mro__ if c is not object]
    return {"types": names, "message": str(error)}


def _report(reports: BinaryIO, **fields: Any) -> None:
    if "end" in fields:
        fields["tried"] = list(dict.fromkeys(tried))
        fields["written"] = list(written)
    reports.write(json.dumps(fields, separators=(",", ":")).encode() + b"\n")
