"""Where an answer is chosen: at once in the loop, or in a thread.

A loop serves all connections, so nothing may keep it. Recordings are loaded in a thread, and so is an answer found: it
may have to be made of the nearest recording, which takes milliseconds, or asked of a function of the user's, which may
take for ever. But handing a request to a thread and back costs more than all else that is done for it. So a request
that was answered quickly once, without any function of the user's, is answered in the loop from then on, and its equals
that come meanwhile wait for that: load tests send the same again and again, a thousand at once. What is at hand, a
script that a test has arranged, is never looked for.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import TypeVar

from ollama_harness.answers import Asked
from ollama_harness.script.http1 import RequestHead
from ollama_harness.server._answers import Answerer, Chosen
from ollama_harness.server._expectations import Expectations
from ollama_harness.server._running_programme import RunningProgramme
from ollama_harness.server.engine import Kind, Loop, Signal, in_thread, running

__all__ = ["Chooser"]

T = TypeVar("T")

#: What is quick enough for the loop, in seconds.
_QUICK_S = 0.001

#: How many requests that were answered quickly are kept, and how long their body may be.
_MOST_KEPT, _MOST_KEPT_BYTES = 512, 16 * 1024


class Chooser:
    """Has an Answerer choose what answers each request, and keeps no loop waiting for it."""

    def __init__(self, answerer: Answerer, programme: RunningProgramme, expectations: Expectations) -> None:
        self._answerer, self._programme, self._expectations = answerer, programme, expectations
        self._quick: set[Asked] = set()
        self._waiting: dict[tuple[Loop, object], list[Signal]] = {}

    async def get_ready(self) -> None:
        """Load the recordings, if they are not loaded yet."""
        if not self._answerer.is_ready:
            await self._once("ready", self._answerer.get_ready)

    async def chosen(self, asked: Asked, head: RequestHead, *, unread: bool = False) -> Chosen:
        """What answers a request. With `unread` its body has been left where it is."""
        if self._expectations or self._programme.calls_functions:
            return await in_thread(Kind.MAY_WAIT, self._answerer.answer, asked, head, unread=unread)
        if self._answerer.is_at_hand(asked):
            return self._answerer.answer(asked, head, unread=unread)
        answer = functools.partial(self._timed, asked, head, unread=unread)
        if asked not in self._quick and (found := await self._once(asked, answer)) is not None:
            return found
        if asked in self._quick:
            return self._answerer.answer(asked, head, unread=unread)
        return await in_thread(Kind.COMPUTES, answer)

    async def _once(self, what: object, function: Callable[[], T]) -> T | None:
        """What a function returns, called in a thread. If it is being called for the same already: None, after it."""
        key = (running(), what)  # each loop for itself, so that no lock is needed
        if (waiting := self._waiting.get(key)) is not None:
            waiting.append(done := Signal())
            await running().wait(done)
            return None
        waiting = self._waiting[key] = []
        try:
            return await in_thread(Kind.COMPUTES, function)
        finally:
            del self._waiting[key]
            for signal in waiting:
                signal.set()

    def _timed(self, asked: Asked, head: RequestHead, *, unread: bool) -> Chosen:
        began_s = time.perf_counter()
        chosen = self._answerer.answer(asked, head, unread=unread)
        if time.perf_counter() - began_s < _QUICK_S and len(asked.body) <= _MOST_KEPT_BYTES:
            if len(self._quick) >= _MOST_KEPT:
                self._quick.clear()
            self._quick.add(asked)
        return chosen
