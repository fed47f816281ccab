"""Runs inside a client's process: reads jobs from stdin, reports records and endings on stdout, NDJSON both ways.

    python -m harness.worker CLIENT

    first line out   {"ready": {"version": "2.32.3"}}   or {"missing": "pip install …"}
    a job in         {"url": …, "request": {…}, "read_timeout_s": …, …}
    for each record  {"record": …, "at_s": seconds since the job was read}
    in the middle    {"meanwhile": true}, if the next job is to be done before this one goes on
    at the end       {"end": "ended" | "stopped" | "unsupported" | "raised" | "failed", …}

Whatever the client's library prints goes to stderr.
"""

from __future__ import annotations

import asyncio
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

from harness.clients import Client, client
from harness.clients.base import Job

__all__ = ["main"]


def main(name: str) -> None:
    """Serve jobs for one client until stdin ends."""
    reports = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    one = client(name)
    version = "" if one.is_canary else platform.python_version()
    if one.distribution:
        try:
            version = metadata.version(one.distribution)
        except metadata.PackageNotFoundError:
            _report(reports, missing=f"{one.distribution} is not installed: python -m pip install {one.distribution}")
            return
    _report(reports, ready={"version": version})
    jobs: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read_jobs, args=(jobs,), daemon=True).start()
    desk = _Desk(one, reports, jobs)
    if inspect.isasyncgenfunction(one.exchange):
        asyncio.run(_serve_async(desk))
    while True:
        desk.work()


async def _serve_async(desk: _Desk) -> None:
    """In one event loop that goes on between jobs, as in a user's program."""
    while True:
        await desk.work_async()


def _read_jobs(jobs: queue.SimpleQueue[bytes]) -> None:
    """Pass jobs on. When stdin ends the runner is gone, or wants no more: leave, even out of a client that hangs."""
    for line in sys.stdin.buffer:
        jobs.put(line)
    os._exit(0)


class _Desk:
    """Where one client works: it keeps the session from one job to the next, for as long as jobs go on."""

    def __init__(self, one: Client, reports: BinaryIO, jobs: queue.SimpleQueue[bytes]) -> None:
        self._client, self._reports, self._jobs = one, reports, jobs
        self._session: tuple[Any, Any] | None = None  # the context manager, and what it gave

    def work(self) -> None:
        """The next job, to its end."""
        job = self._accepted(self._jobs.get())
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
                        self.work()
            finally:
                if not job.goes_on:
                    self._session = None
                    manager.__exit__(None, None, None)

    async def work_async(self) -> None:
        """The next job, to its end."""
        job = self._accepted(await asyncio.to_thread(self._jobs.get))
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
                        await self.work_async()
            finally:
                if not job.goes_on:
                    self._session = None
                    await manager.__aexit__(None, None, None)

    def _accepted(self, line: bytes) -> Job | None:
        """The job, if the client can do it; else reports why not."""
        try:
            job = Job.from_json(json.loads(line))
            reason = self._client.unsupported(job.request)
        except Exception as error:  # noqa: BLE001 - the adapter's own code
            _report(self._reports, end="failed", reason=f"the adapter of {self._client.name} raised {error!r}")
            return None
        if reason is not None:
            _report(self._reports, end="unsupported", reason=reason)
            return None
        return job

    def _begin(self, job: Job) -> Any:
        self._session = None  # whatever happens now, the one before is not this job's
        return self._client.session(job)

    def _going_on(self) -> tuple[Any, Any]:
        if self._session is None:
            raise _AdapterDefect("has made no session to go on with")
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
            names = [f"{c.__module__}.{c.__qualname__}" for c in type(error).__mro__ if c is not object]
            end = {"end": "raised", "types": names, "message": str(error)}
        _report(self._reports, **end)


class _AdapterDefect(Exception):
    """The adapter did what no adapter may do: this says nothing of its client."""


def _report(reports: BinaryIO, **fields: Any) -> None:
    reports.write(json.dumps(fields, separators=(",", ":")).encode() + b"\n")


if __name__ == "__main__":
    main(sys.argv[1])
