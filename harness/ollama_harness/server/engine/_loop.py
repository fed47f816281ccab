"""The loop: a selector, a heap of deadlines, and the coroutines that wait for them.

Each wait of a task has a number. What a task waits for (the two sides of a socket, a signal, an entry in the heap)
notes the task and the number. To wake the task is to count its number up: all else that it waited for is thereby out of
date, and nothing has to be taken back. An entry of the heap that is out of date is dropped when it comes up, or when
most entries are.

A socket stays registered in the selector between two waits, because most waits are for the same: a request after a
request. If it is ready while no task waits for that, it is unregistered then, so that it does not wake the loop again.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import selectors
import socket
import sys
import threading
import time
import types
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ollama_harness.server.engine._engine import Engine

__all__ = ["Loop", "ServerStops", "Signal", "Waitable", "Watch", "running"]

#: How much too late a selector may wake: on Windows a tick of its clock, elsewhere its timeout's unit and some.
_LATE_S = 0.02 if sys.platform == "win32" else 0.0015
#: The longest sleep during which no socket is looked at.
_SLEEP_S = 0.001
#: How many that are only ready are resumed before it is looked again what is due.
_TURN = 32

_here = threading.local()


class ServerStops(Exception):
    """The server stops: every wait raises this."""


def running() -> Loop:
    """The loop that runs in this thread."""
    loop: Loop = _here.loop
    return loop


class _Task:
    """A coroutine in a loop. `number` is that of its wait; `queued` says that it will be resumed in this round."""

    __slots__ = ("coroutine", "number", "queued")

    def __init__(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self.coroutine, self.number, self.queued = coroutine, 0, False


class Waitable:
    """Something that one task at a time can wait for."""

    __slots__ = ("_number", "_task")

    def __init__(self) -> None:
        self._task: _Task | None = None
        self._number = 0

    def arm(self, task: _Task) -> bool:
        """Have it wake this task; False if there is nothing to wait for any more."""
        self._task, self._number = task, task.number
        return True

    @property
    def armed_by(self) -> _Task | None:
        """The task that waits for this now."""
        task = self._task
        return task if task is not None and task.number == self._number else None


class Signal(Waitable):
    """Wakes the task that waits for it, in the loop in which it was made; any thread may set it."""

    __slots__ = ("_is_set", "_loop")

    def __init__(self) -> None:
        super().__init__()
        self._loop, self._is_set = running(), False

    def set(self) -> None:
        """End the wait for this, or else the next one."""
        self._loop.call(self._fire)

    def arm(self, task: _Task) -> bool:
        if self._is_set:
            self._is_set = False
            return False
        return super().arm(task)

    def _fire(self) -> None:
        if (task := self.armed_by) is not None:
            self._loop.wake(task, self)
        else:
            self._is_set = True


class _Side(Waitable):
    """A socket that can be read, or written."""

    __slots__ = ("_event", "_watch")

    def __init__(self, watch: Watch, event: int) -> None:
        super().__init__()
        self._watch, self._event = watch, event

    def arm(self, task: _Task) -> bool:
        watch = self._watch
        if not watch.events & self._event:
            watch.register(watch.events | self._event)
        self._task, self._number = task, task.number
        return True


class Watch:
    """A socket in a loop: wait for its `readable` or its `writable`. It must be forgotten before it is closed."""

    __slots__ = ("_loop", "_socket", "events", "readable", "writable")

    def __init__(self, loop: Loop, sock: socket.socket) -> None:
        self._loop, self._socket, self.events = loop, sock, 0
        self.readable, self.writable = _Side(self, selectors.EVENT_READ), _Side(self, selectors.EVENT_WRITE)

    def register(self, events: int) -> None:
        """Have the selector report these events."""
        selector = self._loop.selector
        if not events:
            selector.unregister(self._socket)
        elif self.events:
            selector.modify(self._socket, events, self)
        else:
            selector.register(self._socket, events, self)
        self.events = events

    def forget(self) -> None:
        """Have the selector report nothing of this socket any more."""
        if self.events:
            self.register(0)

    def happened(self, events: int) -> None:
        """Wake the tasks that wait for these events of the socket, and ask no more for those that none waits for."""
        unwanted = 0
        for side, event in ((self.readable, selectors.EVENT_READ), (self.writable, selectors.EVENT_WRITE)):
            if not events & event:
                continue
            if (task := side.armed_by) is not None:
                self._loop.wake(task, side)
                unwanted |= event & selectors.EVENT_WRITE  # a socket is nearly always writable
            else:
                unwanted |= event
        if unwanted & self.events:
            self.register(self.events & ~unwanted)


#: Wakes a task in order to stop it.
_STOP = Waitable()


@types.coroutine
def _park() -> Generator[None, Waitable | None, Waitable | None]:
    return (yield)


class Loop:
    """Runs coroutines until it is told to stop and has none left. `engine` is the one that it belongs to."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.selector = selectors.DefaultSelector()
        self._ready: deque[tuple[_Task, Waitable | None]] = deque()
        self._timers: list[tuple[float, int, _Task, int]] = []
        self._count = itertools.count()
        self._tasks: set[_Task] = set()
        self._current: _Task | None = None
        self._stopping = False
        self._calls: deque[Callable[[], object]] = deque()
        self._waking = threading.RLock()  # a signal's handler may call, too
        self._waker, self._wakes = socket.socketpair()
        for sock in (self._waker, self._wakes):
            sock.setblocking(False)
            if sock.family is not getattr(socket, "AF_UNIX", None):  # on Windows it is TCP, which waits for an answer
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.selector.register(self._wakes, selectors.EVENT_READ, None)
        self._thread = threading.Thread(target=self._run, name="ollama-harness engine", daemon=True)

    # ------------------------------------------------------------------------------------- from any thread

    def start(self) -> None:
        """Begin to run, in a thread of its own."""
        self._thread.start()

    def call(self, function: Callable[[], object]) -> None:
        """Have the loop call a function soon; nothing happens if it has ended."""
        self._calls.append(function)
        # One thread at a time: until a send has returned, Wine refuses others on that socket, though there is room.
        with self._waking, contextlib.suppress(OSError):  # it has ended; or it has as much to read as there is room for
            self._waker.send(b"\0")

    def stop(self) -> None:
        """Make every wait raise ServerStops, now and later."""
        self.call(self._stop)

    def join(self) -> None:
        """Wait until it has ended."""
        self._thread.join()

    # ------------------------------------------------------------------------------------- from its own coroutines

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine beside the others."""
        task = _Task(coroutine)
        self._tasks.add(task)
        self.wake(task, None)

    def watch(self, sock: socket.socket) -> Watch:
        """A socket, which must not block, as something to wait for."""
        return Watch(self, sock)

    async def wait(self, *wanted: Waitable, until: float | None = None) -> Waitable | None:
        """Wait for the first of these, or until a moment of `time.monotonic`; returns what ended the wait, None for it.

        Raises: ServerStops.
        """
        if self._stopping:
            raise ServerStops
        task = self._current
        assert task is not None
        for one in wanted:
            if not one.arm(task):
                task.number += 1
                return one
        if until is not None:
            heapq.heappush(self._timers, (until, next(self._count), task, task.number))
        return await _park()

    async def give_way(self) -> None:
        """Let all others that are ready go first.

        Raises: ServerStops.
        """
        if self._stopping:
            raise ServerStops
        assert self._current is not None
        self.wake(self._current, None)
        await _park()

    def wake(self, task: _Task, woken: Waitable | None) -> None:
        """Resume a task in this round."""
        task.number += 1
        task.queued = True
        self._ready.append((task, woken))

    # ------------------------------------------------------------------------------------- the thread

    def _run(self) -> None:
        _here.loop = self
        try:
            while self._tasks or self._calls or not self._stopping:
                self._round()
        finally:
            self.selector.close()
            self._waker.close()
            self._wakes.close()

    def _round(self) -> None:
        for key, events in self._events():
            if key.data is None:
                self._answer_calls()
            else:
                key.data.happened(events)
        if self._calls:
            self._answer_calls()
        timers, due = self._timers, 0
        if timers and timers[0][0] <= (now := time.monotonic()):
            while timers and timers[0][0] <= now:
                _, _, task, number = heapq.heappop(timers)
                if task.number == number:
                    self.wake(task, None)
                    due += 1
            self._ready.rotate(due)  # what is due comes before what is only ready
        elif len(timers) > 2 * len(self._tasks) + 64:
            self._timers = [timer for timer in timers if timer[2].number == timer[3]]
            heapq.heapify(self._timers)
        ready = self._ready
        for _ in range(min(len(ready), due + _TURN)):  # those that they wake are for the next round
            task, woken = ready.popleft()
            task.queued = False
            self._current = task
            try:
                if woken is _STOP:
                    task.coroutine.throw(ServerStops())
                else:
                    task.coroutine.send(woken)
            except StopIteration:
                self._tasks.discard(task)
            except BaseException as error:  # noqa: BLE001 - one connection must not end all others
                self._tasks.discard(task)
                if not isinstance(error, ServerStops):
                    _report(error)

    def _events(self) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait for events of sockets, and no longer than until the next deadline."""
        timers = self._timers
        while timers and timers[0][3] != timers[0][2].number:
            heapq.heappop(timers)
        if self._ready:
            return self.selector.select(0)
        if not timers:
            return self.selector.select()
        remaining_s = timers[0][0] - time.monotonic()
        if remaining_s > _LATE_S:
            return self.selector.select(remaining_s - _LATE_S)
        if remaining_s > 0:
            time.sleep(min(remaining_s, _SLEEP_S))
        return self.selector.select(0)

    def _answer_calls(self) -> None:
        with contextlib.suppress(OSError):
            self._wakes.recv(4096)
        while self._calls:
            self._calls.popleft()()

    def _stop(self) -> None:
        self._stopping = True
        for task in self._tasks:
            if not task.queued:
                self.wake(task, _STOP)


def _report(error: BaseException) -> None:
    """Show an error of ours as the one of a thread is shown."""
    thread = threading.current_thread()
    threading.excepthook(threading.ExceptHookArgs((type(error), error, error.__traceback__, thread)))
