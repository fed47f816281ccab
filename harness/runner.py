"""The runner: plays each cell's script to its client and judges what comes of it; many cells at once."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from types import TracebackType
from typing import Self

from harness.clients.base import Job
from harness.environments import clean_environment
from harness.journal import EndedBy, Entry, Journal
from harness.matrix import Cell
from harness.reference import Reference, reference
from harness.script import Script
from harness.server import FakeOllama
from harness.verdict import Crashed, Failed, Judgement, Outcome, Unsupported, judge
from harness.worker_process import Handed, WorkerProcess

__all__ = ["CellRun", "Runner"]

#: How many cells of a client one thread takes in a row.
_BATCH = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class CellRun:
    """One cell, run: what was to be played, what was, what the client handed out, and the judgement."""

    cell: Cell
    script: Script
    entries: tuple[Entry, ...]
    handed: Handed
    reference: Reference
    outcome: Outcome
    judgement: Judgement


class Runner:
    """Runs cells with `jobs` at a time; a context manager that leaves no process behind."""

    def __init__(self, *, jobs: int = 4) -> None:
        self.jobs = jobs
        self.versions: dict[str, str] = {}
        self._idle: dict[str, list[WorkerProcess]] = {}
        self._all: list[WorkerProcess] = []
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._home = tempfile.TemporaryDirectory(prefix="ollama-harness-")
        self._environment = clean_environment(Path(self._home.name))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop: no further cell begins, all workers are killed."""
        self._stopped.set()
        with self._lock:
            for worker in self._all:
                worker.close()
            self._all.clear()
        self._home.cleanup()

    def run(self, cells: Iterable[Cell], done: Callable[[CellRun], None]) -> None:
        """Run all cells, calling `done` for each in this thread as it ends."""
        batches = list(_batches(cells))
        pool = ThreadPoolExecutor(self.jobs)
        finished: list[CellRun] = []
        try:
            pending = {pool.submit(self._run_batch, batch, finished.append) for batch in batches}
            while pending:
                ended, pending = wait(pending, timeout=0.1, return_when=FIRST_COMPLETED)
                while finished:
                    done(finished.pop(0))
                for future in ended:
                    future.result()
        finally:
            self._stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)
            with self._lock:
                for worker in self._all if pending else []:
                    worker.close()
            pool.shutdown(wait=True)
            self._stopped.clear()

    def run_cell(self, cell: Cell) -> CellRun:
        """Run one cell, and judge it."""
        script = cell.script()
        truth = reference(script)
        request = cell.recording.request
        with FakeOllama(version=None) as server, self._worker(cell.client.name) as worker:
            server.play(script, method=request.method, path=request.path)
            job = Job(url=server.url, request=request, read_timeout_s=cell.scenario.read_timeout_s)
            handed = worker.exchange(job, deadline_s=cell.deadline_s)
            server.journal.wait_until_settled()
            entries = server.journal.entries
            # A process that dies of itself is a fact whatever the server saw of it; so is one that was not asked.
            told = isinstance(handed.ending, Unsupported | Crashed)
            problem = None if told else _problem(server.journal, script)
        outcome = Outcome(
            records=tuple(record for _, record in handed.records),
            ending=handed.ending if problem is None else Failed(problem),
            misrouted=any(entry.head is not None and "://" in entry.head.target for entry in entries),
        )
        documented = cell.client.contract.documented(truth.ends[cell.layer].cause)
        judgement = judge(truth, outcome, layer=cell.layer, documented=documented)
        return CellRun(
            cell=cell,
            script=script,
            entries=entries,
            handed=handed,
            reference=truth,
            outcome=outcome,
            judgement=judgement,
        )

    def _run_batch(self, batch: list[Cell], done: Callable[[CellRun], None]) -> None:
        for cell in batch:
            if self._stopped.is_set():
                return
            done(self.run_cell(cell))

    @contextmanager
    def _worker(self, client: str) -> Iterator[WorkerProcess]:
        """A process of this client that nobody else uses now; new ones only when all are busy."""
        with self._lock:
            idle = self._idle.setdefault(client, [])
            worker = idle.pop() if idle else None
        if worker is None:
            worker = WorkerProcess(client, self._environment)
            with self._lock:
                self._all.append(worker)
                if worker.version:  # a canary has none, nor has a library that is missing
                    self.versions[client] = worker.version
        try:
            yield worker
        finally:
            with self._lock:
                if worker.alive or worker.problem:
                    idle.append(worker)
                else:
                    self._all.remove(worker)


def _batches(cells: Iterable[Cell]) -> Iterator[list[Cell]]:
    """Cells of one client, a few at a time, the clients in turn, so that each needs few processes."""
    by_client: dict[str, list[Cell]] = {}
    for cell in cells:
        by_client.setdefault(cell.client.name, []).append(cell)
    cut = [[mine[i : i + _BATCH] for i in range(0, len(mine), _BATCH)] for mine in by_client.values()]
    for round_ in zip_longest(*cut):
        yield from filter(None, round_)


def _problem(journal: Journal, script: Script) -> str | None:
    """What went wrong on the server's side, so that nothing can be said of the client; None if all is well."""
    entries = journal.entries
    if not journal.connections:
        return "the client never connected"
    answered = [entry for entry in entries if entry.answered_by != "nothing"]
    if not answered:
        lines = ", ".join(entry.request_line for entry in entries) or "none"
        return f"the client did not make the request of the recording, but: {lines}"
    for entry in answered:
        planned = script.render(date=entry.date)
        sent = [data for _, data in entry.sent]
        segments = [data for _, data in planned.segments]
        if sent != segments[: len(sent)]:
            return "the server sent other bytes than planned"
        early = entry.ended_by is EndedBy.CLIENT or entry.client_left_s is not None
        if len(sent) < len(segments) and not early:
            return f"the server sent {len(sent)} of {len(segments)} planned segments"
        if not early and entry.ended is not planned.ending.how:
            return f"the connection ended with {entry.ended}, planned was {planned.ending.how}"
    return None
