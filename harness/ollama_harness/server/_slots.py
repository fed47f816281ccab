"""The slots of a busy Ollama: how many requests run at once, and how many wait for one.

The slots are those of all connections, which may be in several loops, so a lock guards them. A request that waits has a
signal. A slot that becomes free is passed to the first that waits, and never lies free in between, so that no later
request overtakes it. One that leaves while it waits frees its place; if its slot came at the same moment, it passes it
on.
"""

from __future__ import annotations

import threading
from collections import deque

from ollama_harness.answers import Asked
from ollama_harness.script.script import Script
from ollama_harness.server._connection import Connection
from ollama_harness.server.engine import Signal

__all__ = ["MAX_QUEUE", "QUEUE_FULL", "Slots", "takes_slot"]

#: Where a model works; what only tells what there is takes no slot, and so is answered meanwhile.
_WORK = (
    *("/api/chat", "/api/generate", "/api/embed", "/api/embeddings"),
    *("/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses", "/v1/messages"),
)

#: What Ollama says when its queue is full: the recordings `fault-queue-full`, of all versions.
QUEUE_FULL = "server busy, please try again.  maximum pending requests exceeded"

#: OLLAMA_MAX_QUEUE, as it is if nobody sets it.
MAX_QUEUE = 512


def takes_slot(asked: Asked, answer: object) -> bool:
    """Whether a model has to work for this answer, which is no refusal and not an expectation's."""
    head = answer.head if isinstance(answer, Script) else None
    is_good = head is not None and head.status < 300
    return is_good and asked.method == "POST" and asked.raw_path.endswith(_WORK)  # a choice stands before the path


class Slots:
    """`parallel` requests run, as OLLAMA_NUM_PARALLEL has it, and `max_queue` wait."""

    def __init__(self, parallel: int, max_queue: int) -> None:
        self._free, self._max_queue = parallel, max_queue
        self._waiting: deque[Signal] = deque()
        self._lock = threading.Lock()

    async def enter(self, connection: Connection, *, until: float | None = None) -> bool | None:
        """Wait for a slot, which `leave` gives back; False at once if the queue is full, None if the time is over.

        Raises: ClientLeft, ServerStops; then there is no slot to give back.
        """
        with self._lock:
            if self._free:
                self._free -= 1
                return True
            if len(self._waiting) >= self._max_queue:
                return False
            self._waiting.append(turn := Signal())
        try:
            await connection.wait_beside(turn, until=until)
        except BaseException:
            if not self._gives_up(turn):
                self.leave()
            raise
        return None if self._gives_up(turn) else True

    def _gives_up(self, turn: Signal) -> bool:
        """Take a request out of the queue, if it still waits there."""
        with self._lock:
            if still_waits := turn in self._waiting:
                self._waiting.remove(turn)
        return still_waits

    def leave(self) -> None:
        """Give a slot back."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._free += 1
