"""The scripts that a user arranged with `FakeOllama.play`: the newest that a request meets answers it.

All connections of a server share the list, where each use counts, so a lock guards it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass

from ollama_harness.script.script import Script

__all__ = ["Play", "Plays"]


@dataclass(slots=True, kw_only=True)
class Play:
    """An arranged script: requests for this method and path (None: any) get it, `left` more times (None: always).

    One that stands `before_guard` also answers what Ollama would refuse for its Host or Origin.
    """

    script: Script
    name: str
    method: str | None = None
    path: str | None = None
    left: int | None = None
    before_guard: bool = False

    def answers(self, method: str, path: str) -> bool:
        """Whether a request for this method and path gets it."""
        return self.left != 0 and self.method in (None, method) and self.path in (None, path)


class Plays:
    """The arranged scripts, the newest first. `permanent` are there from the beginning, and cannot be cleared."""

    def __init__(self, permanent: Iterable[Play] = ()) -> None:
        self._permanent = tuple(permanent)
        self._plays = list(self._permanent)
        self._lock = threading.Lock()

    def add(self, play: Play) -> None:
        """Arrange a script before all others."""
        with self._lock:
            self._plays.insert(0, play)

    def clear(self) -> None:
        """Forget all but the permanent ones."""
        with self._lock:
            self._plays = list(self._permanent)

    def find(self, method: str, path: str, *, before_guard: bool = False) -> Play | None:
        """The one that a request gets, of those that stand before the guard or after it; this counts as no use."""
        placed = (one for one in self._plays if one.before_guard is before_guard)
        return next((one for one in placed if one.answers(method, path)), None)

    def take(self, method: str, path: str, *, before_guard: bool = False) -> Play | None:
        """The same; this counts as a use."""
        with self._lock:
            return _used(self.find(method, path, before_guard=before_guard))

    def take_on_accept(self) -> Play | None:
        """The newest, if it does not await a request; this counts as a use."""
        with self._lock:
            newest = next((one for one in self._plays if one.left != 0), None)
            return None if newest is None or newest.script.awaits_request else _used(newest)


def _used(play: Play | None) -> Play | None:
    if play is not None and play.left is not None:
        play.left -= 1
    return play
