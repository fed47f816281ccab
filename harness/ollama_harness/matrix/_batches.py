"""The order in which cells run: batches of cells, and which of them a thread takes next.

A process of a client is expensive to start, and does one job at a time. So a thread takes one of those batches of which
most are left for each thread that is at work on them. Then each library has as many threads as its share of the work,
from the beginning to the end, and no more processes than these.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import zip_longest

from ollama_harness.clients import Client, clients
from ollama_harness.matrix.cells import Cell

__all__ = ["Batches", "by_client", "by_environment", "sharing"]

#: How many cells of one client a thread runs in a row. Canaries get smaller batches where there would be few: some are
#: slow on purpose, and none costs much to start.
_BATCH, _BATCHES_A_JOB = 12, 4

#: The clients that share a process, or the environment that has one.
_Names = tuple[str, ...]


class Batches:
    """The batches that are left. Threads share it."""

    def __init__(self, batches: Iterable[list[Cell]]) -> None:
        self._left: dict[_Names, deque[list[Cell]]] = {}
        for batch in batches:
            self._left.setdefault(_names(batch[0]), deque()).append(batch)
        self._at_work = Counter[_Names]()  # how many threads
        self._lock = threading.Lock()

    @contextmanager
    def taken(self) -> Iterator[list[Cell]]:
        """The batch that a thread is to run now; an empty one if none is left."""
        with self._lock:
            names = max(self._left, key=self._share, default=())
            batch = self._left[names].popleft() if names else []
            if names and not self._left[names]:
                del self._left[names]
            self._at_work[names] += 1
        try:
            yield batch
        finally:
            with self._lock:
                self._at_work[names] -= 1

    def _share(self, names: _Names) -> float:
        """How many batches would be left for each thread, if one more took these."""
        return len(self._left[names]) / (1 + self._at_work[names])


def _names(cell: Cell) -> _Names:
    return sharing(cell.client) if cell.scenario.environment is None else (cell.scenario.name,)


def sharing(client: Client) -> tuple[str, ...]:
    """The clients that share one process: those of one library, which is imported once, and all canaries. A user's own
    client and a program have a process of their own.
    """
    if not (client.is_canary or client.distribution) or client.file is not None or client.version:
        return (client.name,)
    kin = [one for one in clients().values() if one.file is None and one.distribution == client.distribution]
    return tuple(one.name for one in kin if one.is_canary is client.is_canary and one.command is None)


def by_client(cells: Sequence[Cell], jobs: int) -> Iterator[list[Cell]]:
    """Batches of cells of one client, with the clients in turn.

    Neighbouring cells take similar times, so a batch consists of cells that are far apart.
    """
    of_client: dict[str, list[Cell]] = {}
    for cell in cells:
        of_client.setdefault(cell.client.name, []).append(cell)
    few = min(_BATCH, max(1, len(cells) // (jobs * _BATCHES_A_JOB)))
    sizes = {name: few if mine[0].client.is_canary else _BATCH for name, mine in of_client.items()}
    counts = {name: -(-len(mine) // sizes[name]) for name, mine in of_client.items()}
    cut = [[mine[i :: counts[name]] for i in range(counts[name])] for name, mine in of_client.items()]
    for round_ in zip_longest(*cut):
        yield from filter(None, round_)


def by_environment(cells: Iterable[Cell]) -> list[list[Cell]]:
    """The cells of each environment, of all clients, because they share a process."""
    batches: dict[str, list[Cell]] = {}
    for cell in cells:
        batches.setdefault(cell.scenario.name, []).append(cell)
    return list(batches.values())
