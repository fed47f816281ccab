"""An engine: the loops of a server, as many as its selector needs, and the threads for what may take long."""

from __future__ import annotations

import selectors
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

from ollama_harness.server.engine._loop import Loop
from ollama_harness.server.engine._workers import Kind, Workers

__all__ = ["Engine"]

#: How many sockets a loop may have: `select` takes 512, and any other selector as many as the system lets open.
MOST_SOCKETS = 500 if issubclass(selectors.DefaultSelector, selectors.SelectSelector) else 1_000_000

#: How long `stop` waits for functions that run in threads.
_STOP_LIMIT_S = 0.5


class Engine:
    """Runs coroutines that have `sockets_each` sockets each, in one loop, or in more where one takes too few."""

    def __init__(self, *, sockets_each: int = 1) -> None:
        self._most_tasks = max(1, MOST_SOCKETS // sockets_each)
        self._lock = threading.Lock()
        self._loops: dict[Loop, int] = {}  # with the number of coroutines in each
        self._workers = {kind: Workers(kind.value) for kind in Kind}

    def spawn(self, function: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run the coroutine that a function makes, in a loop that has room for it; the function is called there."""
        with self._lock:
            loop = next((one for one, count in self._loops.items() if count < self._most_tasks), None)
            if loop is None:
                loop = Loop(self)
                self._loops[loop] = 0
                loop.start()
            self._loops[loop] += 1
        loop.call(lambda: loop.spawn(self._counted(loop, function)))

    async def _counted(self, loop: Loop, function: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await function()
        finally:
            with self._lock:
                self._loops[loop] -= 1

    def workers(self, kind: Kind) -> Workers:
        """The threads for functions of this kind."""
        return self._workers[kind]

    def stop(self) -> None:
        """Make every wait raise ServerStops; returns when every coroutine has ended."""
        with self._lock:
            loops = list(self._loops)
        for some in (loops[:1], loops[1:]):  # the first accepts connections, for all of them
            for loop in some:
                loop.stop()
            for loop in some:
                loop.join()
        until = time.monotonic() + _STOP_LIMIT_S
        for workers in self._workers.values():
            workers.stop(until=until)
