"""The runner: runs many cells at once, each with a fake server of its own and a client process.

Threads take batches of cells (`_batches`), because cells mostly wait. Each cell gets a new `FakeOllama`, so journals
are never shared. Client processes are expensive to start, so they are reused: a cell borrows an idle process of its
client, or starts a new one if all are busy, and returns it if it is still alive. Cells of an environment run in another
way: each environment starts one process with its own settings, and all cells of it run there, one after the other.
Environments come last, so that their processes do not slow down the cells in which times matter. In a sequence, the
exchanges of a cell share the server, the process and the client's session. `done` is always called in the thread that
called `run`, so callers need no lock.
"""

from __future__ import annotations

import queue
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from ollama_harness.clients import Client
from ollama_harness.clients.adapter import Job
from ollama_harness.clients.worker_process import WorkerProcess
from ollama_harness.errors import HarnessError
from ollama_harness.matrix._batches import Batches, by_client, by_environment, sharing
from ollama_harness.matrix._raw_socket import NO_RESETS, resets_are_real
from ollama_harness.matrix.cells import ELSEWHERE, Cell
from ollama_harness.matrix.exchange import Exchange, exchange, untried
from ollama_harness.matrix.routed_exchange import LiveEnvironment, impossible
from ollama_harness.network.environments import Environment, clean_environment
from ollama_harness.network.settings import System
from ollama_harness.oracle.verdict import Finished, Judgement, Raised, Stopped
from ollama_harness.script.script import ConnectionEnd
from ollama_harness.server.fake_ollama import FakeOllama
from ollama_harness.server.recorded_answers import packaged

if sys.platform != "win32":
    import resource

__all__ = ["CellRun", "Runner", "allow_open_files"]

T = TypeVar("T")

#: The largest number of open files of a run, measured and rounded up: always, for each process of a client (its
#: pipes; a busy client has several processes), and for each running cell (its servers and connections).
_FILES, _FILES_A_PROCESS, _PROCESSES_A_CLIENT, _FILES_A_JOB = 48, 2, 6, 8


#: The longest time for the exchange with which a process warms up.
_WARM_UP_S = 60.0


@dataclass(frozen=True, slots=True)
class CellRun:
    """The run of one cell: its exchanges in order. Most cells have one."""

    cell: Cell
    exchanges: tuple[Exchange, ...]

    @property
    def decisive(self) -> Exchange:
        """The exchange that decides the cell's verdict: the first with the worst verdict."""
        return max(self.exchanges, key=lambda one: one.judgement.verdict.severity)

    @property
    def judgement(self) -> Judgement:
        """The worst judgement of its exchanges."""
        return self.decisive.judgement


class Runner:
    """Runs cells, `jobs` at a time. It is a context manager that leaves no process behind.

    With `touch_registry` environments of Windows use the real registry, which is restored.
    """

    def __init__(self, *, jobs: int = 4, touch_registry: bool = False) -> None:
        self.jobs, self._touch_registry = jobs, touch_registry
        self.versions: dict[str, str] = {}
        self._idle: dict[tuple[str, ...], list[WorkerProcess]] = {}
        self._all: list[WorkerProcess] = []
        self._lock = threading.Lock()
        self._registry = threading.Lock()  # this machine has only one
        self._stopped = threading.Event()
        self._home = tempfile.TemporaryDirectory(prefix="ollama-harness-")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop: no further cell begins, and all client processes are killed."""
        self._stopped.set()
        with self._lock:
            for worker in self._all:
                worker.close()
            self._all.clear()
        self._home.cleanup()

    def run(self, cells: Iterable[Cell], done: Callable[[CellRun], None]) -> None:
        """Run all cells, and call `done` for each in this thread when it ends.

        Environments come last, because each of them starts a process. That takes computing time, and could make a
        client in another cell miss its read timeout.
        """
        cells = list(cells)
        first = [cell for cell in cells if cell.scenario.environment is None]
        last = [cell for cell in cells if cell.scenario.environment is not None]
        self._run_batches(Batches(by_client(first, self.jobs)), done)
        self._run_batches(Batches(by_environment(last)), done)

    def _run_batches(self, batches: Batches, done: Callable[[CellRun], None]) -> None:
        pool = ThreadPoolExecutor(self.jobs)
        finished: queue.SimpleQueue[CellRun | Future[None]] = queue.SimpleQueue()
        try:
            pending = {pool.submit(self._run_all, batches, finished.put) for _ in range(self.jobs)}
            for future in pending:
                future.add_done_callback(finished.put)
            while pending:
                match _next(finished):
                    case CellRun() as run:
                        done(run)
                    case ended:
                        pending.discard(ended)
                        ended.result()
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
        if cell.scenario.environment is not None:
            runs: list[CellRun] = []
            self._run_environment(cell.scenario.environment, [cell], runs.append)
            return runs[0]
        scenario, scripts, nested = cell.scenario, cell.scripts, cell.scenario.meanwhile_after is not None
        if not resets_are_real() and any(script.ending.how is ConnectionEnd.RESET for script in scripts):
            return CellRun(cell, (untried(cell, scripts[0], NO_RESETS),))
        listens = scripts[0].ending.how is not ConnectionEnd.REFUSE
        version = packaged(cell.recording.ollama_version)
        with (
            FakeOllama(version=version, speed=0, listens=listens) as server,
            self._worker(cell.client) as worker,
        ):
            if worker.alive and cell.client.warms_up and cell.client.name not in worker.warm:
                _warm_up(cell, worker)
            server.play(cell.plain, path=ELSEWHERE, before_guard=True)

            exchanges: list[Exchange] = []

            def run(number: int, meanwhile: Callable[[], Exchange] | None = None) -> Exchange:
                job = Job(
                    client=cell.client.name,
                    url=server.url,
                    request=cell.request,
                    read_timeout_s=scenario.read_timeout_s,
                    stop_after=None if number else scenario.stop_after,
                    meanwhile_after=None if number else scenario.meanwhile_after,
                    reuses_session=number > 0,
                    keeps_session=number == 1 if nested else number + 1 < len(scripts),
                )
                return exchange(cell, scripts[number], job, server, worker, meanwhile, before=exchanges)

            if nested:
                inner: list[Exchange] = []

                def meanwhile() -> Exchange:
                    inner.append(run(1))
                    return inner[0]

                outer = run(0, meanwhile)
                lost = inner and not isinstance(inner[0].outcome.ending, Finished | Stopped | Raised)
                return CellRun(cell, tuple(inner) if lost else (outer, *inner))
            for number in range(len(scripts)):
                exchanges.append(run(number))
                if not isinstance(exchanges[-1].outcome.ending, Finished | Stopped | Raised):
                    break  # the client's process is gone
        return CellRun(cell, tuple(exchanges))

    def _run_all(self, batches: Batches, done: Callable[[CellRun], None]) -> None:
        """Run one batch after the other, until none is left."""
        while not self._stopped.is_set():
            with batches.taken() as batch:
                if not batch:
                    return
                self._run_batch(batch, done)

    def _run_batch(self, batch: list[Cell], done: Callable[[CellRun], None]) -> None:
        environment = batch[0].scenario.environment
        if environment is not None:
            self._run_environment(environment, batch, done)
            return
        for cell in batch:
            if self._stopped.is_set():
                return
            done(self.run_cell(cell))

    def _run_environment(self, environment: Environment, cells: list[Cell], done: Callable[[CellRun], None]) -> None:
        """All cells of one environment, in one process that has its settings."""
        possible = [cell for cell in cells if impossible(cell) is None]
        for cell in cells:
            if (reason := impossible(cell)) is not None:
                done(CellRun(cell, (untried(cell, cell.plain, reason),)))
        if not possible:
            return
        alone = self._registry if self._touch_registry and environment.system is System.WINDOWS else nullcontext()
        names = sorted({cell.client.name for cell in possible})
        live = LiveEnvironment(environment, names, home=Path(self._home.name), touch=self._touch_registry)
        with alone, live:
            with self._lock:
                self._note_versions(live)
            for cell in possible:
                if self._stopped.is_set():
                    return
                done(CellRun(cell, (live.exchange(cell),)))

    def _note_versions(self, of: WorkerProcess | LiveEnvironment) -> None:
        self.versions |= {name: version for name, version in of.versions.items() if version}

    @contextmanager
    def _worker(self, client: Client) -> Iterator[WorkerProcess]:
        """A process of this client that is not in use. A new one is started only if all are busy."""
        names = sharing(client)
        with self._lock:
            idle = self._idle.setdefault(names, [])
            worker = idle.pop() if idle else None
        if worker is None:
            worker = WorkerProcess(names, clean_environment(Path(self._home.name)))
            with self._lock:
                self._all.append(worker)
                self._note_versions(worker)
        try:
            yield worker
        finally:
            with self._lock:
                if worker.alive or not worker.has_started:  # another one would not start either
                    idle.append(worker)
                else:
                    self._all.remove(worker)


def _warm_up(cell: Cell, worker: WorkerProcess) -> None:
    """Let a client make an exchange that is not judged: with the cell's recording, and without any fault."""
    request = cell.request
    with FakeOllama(speed=0) as server:
        server.play(cell.recording, speed=0.0, method=request.method, path=request.path, before_guard=True)
        job = Job(client=cell.client.name, url=server.url, request=request, read_timeout_s=_WARM_UP_S)
        worker.exchange(job, deadline_s=_WARM_UP_S)
    worker.warm.add(cell.client.name)


def allow_open_files(cells: Iterable[Cell], *, jobs: int) -> None:
    """Raise this process's limit of open files, if it is lower than a run of these cells needs.

    Raises: HarnessError, if the system does not allow so many.
    """
    clients = len({cell.client.name for cell in cells})
    needed = _FILES + clients * _FILES_A_PROCESS * min(jobs, _PROCESSES_A_CLIENT) + jobs * _FILES_A_JOB
    if sys.platform != "win32":  # Windows has no such limit
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft == resource.RLIM_INFINITY or soft >= needed:
            return
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
        except (OSError, ValueError):
            problem = f"this system lets a process open {soft} files, and {jobs} cells at a time may need {needed}"
            raise HarnessError(f"{problem}; allow more (ulimit -n {needed}), or use fewer --jobs") from None


def _next(finished: queue.SimpleQueue[T]) -> T:
    """The next that has finished. On Windows, nothing interrupts a wait without a limit."""
    while True:
        with suppress(queue.Empty):
            return finished.get(timeout=0.1)
