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
from harness.matrix import ELSEWHERE, Cell
from harness.reference import Reference
from harness.script import HowItEnds, Script
from harness.server import FakeOllama
from harness.verdict import Crashed, Ended, Failed, Judgement, Outcome, Raised, Stopped, Unsupported, judge
from harness.worker_process import Handed, WorkerProcess

__all__ = ["CellRun", "Exchange", "Runner"]

#: How many cells of a client one thread takes in a row.
_BATCH = 12

#: How long a client may take to leave an answer that it is through with.
_LEAVE_S = 3.0

_IDEMPOTENT = ("GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One exchange of a cell: what was to be played, what was, what the client handed out, and the judgement."""

    script: Script
    entries: tuple[Entry, ...]
    handed: Handed
    reference: Reference
    outcome: Outcome
    judgement: Judgement


@dataclass(frozen=True, slots=True)
class CellRun:
    """One cell, run: its exchanges, in order; most have one."""

    cell: Cell
    exchanges: tuple[Exchange, ...]

    @property
    def decisive(self) -> Exchange:
        """The exchange that decides the cell's verdict: the first of the worst."""
        return max(self.exchanges, key=lambda one: one.judgement.verdict.severity)

    @property
    def judgement(self) -> Judgement:
        """The worst of its exchanges'."""
        return self.decisive.judgement


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
        scripts, exchanges = cell.scripts(), list[Exchange]()
        listens = scripts[0].ending.how is not HowItEnds.REFUSE
        with FakeOllama(version=None, listens=listens) as server, self._worker(cell.client.name) as worker:
            server.play(cell.plain(), path=ELSEWHERE)
            for number, script in enumerate(scripts):
                job = Job(
                    url=server.url,
                    request=cell.recording.request,
                    read_timeout_s=cell.scenario.read_timeout_s,
                    stop_after=None if number else cell.scenario.stop_after,
                    continues=number > 0,
                    goes_on=number + 1 < len(scripts),
                )
                exchanges.append(_exchange(cell, script, job, server, worker))
                if not isinstance(exchanges[-1].outcome.ending, Ended | Stopped | Raised):
                    break  # there is nobody left to ask
        return CellRun(cell, tuple(exchanges))

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
    """Cells of one client, a few at a time, the clients in turn, so that each needs few processes.

    Neighbours take similar times, so a batch is made of cells that lie far apart.
    """
    by_client: dict[str, list[Cell]] = {}
    for cell in cells:
        by_client.setdefault(cell.client.name, []).append(cell)
    counts = {name: -(-len(mine) // _BATCH) for name, mine in by_client.items()}
    cut = [[mine[i :: counts[name]] for i in range(counts[name])] for name, mine in by_client.items()]
    for round_ in zip_longest(*cut):
        yield from filter(None, round_)


def _exchange(cell: Cell, script: Script, job: Job, server: FakeOllama, worker: WorkerProcess) -> Exchange:
    """One exchange: play a script to a client, and judge what comes of it."""
    journal, request = server.journal, job.request
    earlier = journal.entries
    if script.awaits_request:
        server.play(script, method=request.method, path=request.path)
    else:
        server.play(script)
    handed = worker.exchange(job, deadline_s=cell.deadline_s, handed_out=journal.handed_out)
    # A client that is through with an answer leaves, also where the server goes on holding the connection.
    settled = journal.wait_for(lambda all_: all(one.ended_by for one in all_[len(earlier) :]), timeout_s=_LEAVE_S)
    entries = journal.entries[len(earlier) :]
    leaked = not settled and isinstance(handed.ending, Ended | Stopped | Raised)
    # A process that dies of itself is a fact whatever the server saw of it; so is one that was not asked.
    told = leaked or isinstance(handed.ending, Unsupported | Crashed)
    problem = None if told else _problem(journal, entries, script, job)
    outcome = Outcome(
        records=tuple(record for _, record in handed.records),
        ending=handed.ending if problem is None else Failed(problem),
        misrouted=any(entry.head is not None and "://" in entry.head.target for entry in entries),
        overreach=_overreach(earlier, entries, script),
        leaked=leaked,
        withheld=next((entry.withheld for entry in entries if entry.withheld), None),
    )
    truth = cell.reference(script)
    documented = cell.client.contract.documented(truth.ends[cell.layer].cause)
    judgement = judge(truth, outcome, layer=cell.layer, documented=documented)
    return Exchange(
        script=script, entries=entries, handed=handed, reference=truth, outcome=outcome, judgement=judgement
    )


def _overreach(earlier: tuple[Entry, ...], entries: tuple[Entry, ...], script: Script) -> str:
    """What the client sent though it must not; "" if there was nothing."""
    asked = [entry for entry in entries if entry.head is not None and not _redirects(script)]
    repeated = [entry for entry in asked if entry.head is not None and entry.head.method not in _IDEMPOTENT]
    if len(repeated) > 1:  # RFC 9110 section 9.2.2
        return f"sent {len(repeated)} times what it was asked to send once, and is not idempotent"
    closing = {entry.connection for entry in earlier if b"\r\nconnection: close\r\n" in entry.wire.lower()}
    if any(entry.connection in closing for entry in asked):  # RFC 9112 section 9.6
        return "sent another request on a connection that the answer before had declared closed"
    return ""


def _redirects(script: Script) -> bool:
    return script.head is not None and script.head.header("location") is not None


def _problem(journal: Journal, entries: tuple[Entry, ...], script: Script, job: Job) -> str | None:
    """What went wrong on the server's side, so that nothing can be said of the client; None if all is well."""
    if script.ending.how is HowItEnds.REFUSE:
        return None
    if not journal.connections:
        return "the client never connected"
    answered = [entry for entry in entries if entry.answered_by != "nothing"]
    if not answered and not job.continues:  # a request on a connection that is dead, or poisoned, never arrives
        lines = ", ".join(entry.request_line for entry in entries) or "none"
        return f"the client did not make the request of the recording, but: {lines}"
    for entry in answered:
        if entry.head is not None and entry.head.target == ELSEWHERE:
            continue
        planned = script.render(date=entry.date)
        sent = [data for _, data in entry.sent]
        segments = [segment.data for segment in planned.segments]
        if sent != segments[: len(sent)]:
            return "the server sent other bytes than planned"
        late_s = max((at_s - due.at_s for (at_s, _), due in zip(entry.sent, planned.segments, strict=False)), default=0)
        if late_s > job.read_timeout_s / 2 and not any(segment.awaits for segment in planned.segments):
            return f"the server was {late_s:.1f} s late, and the client may have given up for that"
        early = entry.ended_by is EndedBy.CLIENT or entry.client_left_s is not None
        if len(sent) < len(segments) and not early:
            return f"the server sent {len(sent)} of {len(segments)} planned segments"
        if not early and entry.ended is not planned.ending.how:
            return f"the connection ended with {entry.ended}, planned was {planned.ending.how}"
    return None
