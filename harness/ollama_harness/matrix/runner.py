"""The runner: plays each cell's script to its client and judges what comes of it; many cells at once."""

from __future__ import annotations

import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from types import TracebackType
from typing import Self

from ollama_harness.clients import Client, clients
from ollama_harness.clients.adapter import Job
from ollama_harness.clients.worker_process import WorkerProcess
from ollama_harness.errors import HarnessError
from ollama_harness.matrix._raw_socket import NO_RESETS, resets_are_real
from ollama_harness.matrix.cells import ELSEWHERE, Cell
from ollama_harness.matrix.exchange import Exchange, exchange, untried
from ollama_harness.matrix.routed_exchange import LiveEnvironment, impossible
from ollama_harness.network.environments import Environment, clean_environment
from ollama_harness.network.settings import System
from ollama_harness.oracle.verdict import Finished, Judgement, Raised, Stopped
from ollama_harness.script.script import ConnectionEnd
from ollama_harness.server.fake_ollama import FakeOllama, packaged

if sys.platform != "win32":
    import resource

__all__ = ["CellRun", "Runner", "allow_open_files"]

#: How many cells of a client one thread takes in a row.
_BATCH = 12

#: How many files a run has open at the most, measured and rounded up: whatever is run, for each process of a client
#: (its pipes; of a client that is busy several), and for each cell that is being run (its servers and connections).
_FILES, _FILES_A_PROCESS, _PROCESSES_A_CLIENT, _FILES_A_JOB = 48, 2, 6, 8


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
    """Runs cells with `jobs` at a time; a context manager that leaves no process behind.

    With `touch_registry` environments of Windows are made in the real registry, which is put back.
    """

    def __init__(self, *, jobs: int = 4, touch_registry: bool = False) -> None:
        self.jobs, self._touch_registry = jobs, touch_registry
        self.versions: dict[str, str] = {}
        self._idle: dict[tuple[str, ...], list[WorkerProcess]] = {}
        self._all: list[WorkerProcess] = []
        self._lock = threading.Lock()
        self._registry = threading.Lock()  # this machine has one
        self._stopped = threading.Event()
        self._home = tempfile.TemporaryDirectory(prefix="ollama-harness-")

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
        """Run all cells, calling `done` for each in this thread as it ends.

        Environments come last, for each of them starts a process: that must not cost a client in another cell the time
        that its read timeout leaves it.
        """
        cells = list(cells)
        self._run_batches(_batches([cell for cell in cells if cell.scenario.environment is None]), done)
        self._run_batches(_by_environment([cell for cell in cells if cell.scenario.environment is not None]), done)

    def _run_batches(self, batches: Iterable[list[Cell]], done: Callable[[CellRun], None]) -> None:
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
            server.play(cell.plain, path=ELSEWHERE)

            exchanges: list[Exchange] = []

            def run(number: int, meanwhile: Callable[[], Exchange] | None = None) -> Exchange:
                job = Job(
                    client=cell.client.name,
                    url=server.url,
                    request=cell.recording.request,
                    read_timeout_s=scenario.read_timeout_s,
                    stop_after=None if number else scenario.stop_after,
                    meanwhile_after=None if number else scenario.meanwhile_after,
                    continues=number > 0,
                    goes_on=number == 1 if nested else number + 1 < len(scripts),
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
                    break  # there is nobody left to ask
        return CellRun(cell, tuple(exchanges))

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
        """All cells of one environment, in one process that is born into it."""
        possible = [cell for cell in cells if impossible(cell) is None]
        for cell in cells:
            if (reason := impossible(cell)) is not None:
                done(CellRun(cell, (untried(cell, cell.plain, reason),)))
        if not possible:
            return
        alone = self._registry if self._touch_registry and environment.system is System.WINDOWS else nullcontext()
        names = sorted({cell.client.name for cell in possible})
        surroundings = LiveEnvironment(environment, names, home=Path(self._home.name), touch=self._touch_registry)
        with alone, surroundings:
            with self._lock:
                self.versions |= {name: version for name, version in surroundings.versions.items() if version}
            for cell in possible:
                if self._stopped.is_set():
                    return
                done(CellRun(cell, (surroundings.journey(cell),)))

    @contextmanager
    def _worker(self, client: Client) -> Iterator[WorkerProcess]:
        """A process of this client that nobody else uses now; new ones only when all are busy."""
        names = sharing(client)
        with self._lock:
            idle = self._idle.setdefault(names, [])
            worker = idle.pop() if idle else None
        if worker is None:
            worker = WorkerProcess(names, clean_environment(Path(self._home.name)))
            with self._lock:
                self._all.append(worker)
                self.versions |= {name: version for name, version in worker.versions.items() if version}
        try:
            yield worker
        finally:
            with self._lock:
                if worker.alive:
                    idle.append(worker)
                else:
                    self._all.remove(worker)


def sharing(client: Client) -> tuple[str, ...]:
    """The clients that one process serves: a library has its own, and the canaries, which need none, share theirs."""
    if not client.is_canary:
        return (client.name,)
    return tuple(one.name for one in clients().values() if one.is_canary)


def allow_open_files(cells: Iterable[Cell], *, jobs: int) -> None:
    """Raise this process's limit of open files to what a run of these cells needs, if it is lower.

    Raises: HarnessError, if the system does not allow so many.
    """
    clients = len({cell.client.name for cell in cells})
    needed = _FILES + clients * _FILES_A_PROCESS * min(jobs, _PROCESSES_A_CLIENT) + jobs * _FILES_A_JOB
    if sys.platform != "win32":  # which has no such limit
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft == resource.RLIM_INFINITY or soft >= needed:
            return
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
        except (OSError, ValueError):
            problem = f"this system lets a process open {soft} files, and {jobs} cells at a time may need {needed}"
            raise HarnessError(f"{problem}; allow more (ulimit -n {needed}), or use fewer --jobs") from None


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


def _by_environment(cells: Iterable[Cell]) -> list[list[Cell]]:
    """Cells of one environment together, whatever their client: they share a process."""
    batches: dict[str, list[Cell]] = {}
    for cell in cells:
        batches.setdefault(cell.scenario.name, []).append(cell)
    return list(batches.values())
