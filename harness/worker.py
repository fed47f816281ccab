"""Runs inside a client's process: reads jobs from stdin, reports records and endings on stdout, NDJSON both ways.

    python -m harness.worker CLIENT

    first line out   {"ready": {"version": "2.32.3"}}   or {"missing": "pip install …"}
    a job in         {"url": …, "request": {…}, "read_timeout_s": …}
    for each record  {"record": …, "at_s": seconds since the job was read}
    at the end       {"end": "ended" | "unsupported" | "raised", …}

Whatever the client's library prints goes to stderr.
"""

from __future__ import annotations

import asyncio
import json
import os
import queue
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
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
    version = ""
    if one.distribution:
        try:
            version = metadata.version(one.distribution)
        except metadata.PackageNotFoundError:
            _report(reports, missing=f"{one.distribution} is not installed: python -m pip install {one.distribution}")
            return
    _report(reports, ready={"version": version})
    jobs: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read_jobs, args=(jobs,), daemon=True).start()
    while True:
        _report(reports, **_run(one, Job.from_json(json.loads(jobs.get())), reports))


def _read_jobs(jobs: queue.SimpleQueue[bytes]) -> None:
    """Pass jobs on. When stdin ends the runner is gone, or wants no more: leave, even out of a client that hangs."""
    for line in sys.stdin.buffer:
        jobs.put(line)
    os._exit(0)


def _run(one: Client, job: Job, reports: BinaryIO) -> dict[str, Any]:
    """One job, to its end."""
    reason = one.unsupported(job.request)
    if reason is not None:
        return {"end": "unsupported", "reason": reason}
    started_s = time.monotonic()

    def report(record: Any) -> None:
        _report(reports, record=record, at_s=round(time.monotonic() - started_s, 6))

    async def report_all(records: AsyncIterator[Any]) -> None:
        async for record in records:
            report(record)

    try:
        records = one.exchange(job)
        if isinstance(records, Iterator):
            for record in records:
                report(record)
        else:
            asyncio.run(report_all(records))
    except Exception as error:  # noqa: BLE001 - the edge: whatever a client raises is a fact to report
        names = [f"{c.__module__}.{c.__qualname__}" for c in type(error).__mro__ if c is not object]
        return {"end": "raised", "types": names, "message": str(error)}
    return {"end": "ended"}


def _report(reports: BinaryIO, **fields: Any) -> None:
    reports.write(json.dumps(fields, separators=(",", ":")).encode() + b"\n")


if __name__ == "__main__":
    main(sys.argv[1])
