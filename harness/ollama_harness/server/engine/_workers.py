"""Threads for what may take long: two for what computes, and one for each function that may wait for anything."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from enum import Enum
from typing import ParamSpec, TypeVar

from ollama_harness.server.engine._loop import Signal, running

__all__ = ["Kind", "Workers", "in_thread"]

#: How long a thread without work stays for more.
_STAYS_S = 5.0

P = ParamSpec("P")
T = TypeVar("T")


class Kind(Enum):
    """What a function does; the value is how many of its kind run at once."""

    COMPUTES = 2
    MAY_WAIT = None  # a function of the user's, as many as there are


async def in_thread(kind: Kind, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What a function returns or raises, called in a thread; meanwhile the loop runs other coroutines.

    Raises: ServerStops.
    """
    loop, done = running(), Signal()
    results: list[T] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            results.append(function(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001 - it is raised in the coroutine
            errors.append(error)
        done.set()

    loop.engine.workers(kind).run(work)
    await loop.wait(done)
    if errors:
        raise errors.pop()
    return results[0]


class Workers:
    """Threads that run functions, at most `most` at once. One that is free runs the next; else another is started."""

    def __init__(self, most: int | None) -> None:
        self._most = most
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads: set[threading.Thread] = set()
        self._spare = 0  # threads that wait, less the jobs that wait for them
        self._stopped = False

    def run(self, job: Callable[[], None]) -> None:
        """Have a thread run this."""
        with self._lock:
            if self._spare <= 0 and (self._most is None or len(self._threads) < self._most):
                thread = threading.Thread(target=self._work, name="ollama-harness worker", daemon=True)
                self._threads.add(thread)
                self._spare += 1
                thread.start()
            self._spare -= 1
        self._jobs.put(job)

    def stop(self, *, until: float) -> None:
        """Have every thread end after what it does now, and wait for that until a moment of `time.monotonic`."""
        with self._lock:
            threads, self._stopped = set(self._threads), True
        for _ in threads:
            self._jobs.put(None)
        for thread in threads - {threading.current_thread()}:
            thread.join(max(0.0, until - time.monotonic()))

    def _work(self) -> None:
        while (job := self._next()) is not None:
            job()
            with self._lock:
                self._spare += 1

    def _next(self) -> Callable[[], None] | None:
        """The next job; None if the thread is to end."""
        while True:
            try:
                job = self._jobs.get(timeout=_STAYS_S)
            except queue.Empty:
                with self._lock:
                    if self._spare <= 0:  # a job is on its way
                        continue
                    self._spare -= 1
                    self._threads.discard(threading.current_thread())
                return None
            return None if self._stopped else job
