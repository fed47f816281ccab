"""The engine: every connection of a server is one coroutine, and a few threads run them all.

**A coroutine and its waits.** A connection's whole life, from the first byte of its first request to its FIN or RST, is
one `async def`, run by a `Loop`. It can wait for what is in this room and for nothing else: `Loop.wait` ends when a
socket can be read or written, when a `Signal` is set by any thread, or at a moment of `time.monotonic`, whichever comes
first; `in_thread` ends when a function has returned. This is not asyncio: that has no exact time on Windows, no waits
for several things at once without a task for each, and nothing of what it has besides is needed here. A connection that
waits costs its coroutine, its buffer and an entry in a heap, a few KB together, and no thread.

**The loop.** One daemon thread runs a loop: a selector, and a heap of deadlines. A round of it resumes the coroutines
that are ready, and then waits for the next event or deadline. A selector may be late (by a millisecond; on Windows by
16), so the loop stops waiting in it a little before a deadline, and sleeps the rest in short pieces. Between these it
looks at the sockets, so a deadline never keeps a socket waiting for more than a millisecond. A selector made of
`select` takes 512 sockets. There an `Engine` begins another loop, in another thread, whenever all others are full; a
connection stays in its loop.

**What may block.** Nothing that runs in a loop: no socket blocks, and no function of a user runs there. What may take
long runs in a thread, with `in_thread`, while the coroutine waits. There are two kinds. What computes (finding an
answer, loading recordings) shares two threads, since more would only take turns. What may wait for anything (functions
and handlers of the user's) gets a thread of its own for as long as it takes. A coroutine that has much to send gives
way to others after each part of it (`Loop.give_way`).

**How it stops.** `Engine.stop` makes every wait, now and later, raise `ServerStops`. So each coroutine comes to its end
by its own `finally`, which closes its socket, and a loop ends when it has none left. Functions that still run in
threads are given half a second. Those that take longer are left to end by themselves, in daemon threads, and what they
return is dropped: a handler that blocks for ever must not block `stop`.
"""

from ollama_harness.server.engine._engine import Engine
from ollama_harness.server.engine._loop import Loop, ServerStops, Signal, Waitable, Watch, running
from ollama_harness.server.engine._workers import Kind, in_thread

__all__ = ["Engine", "Kind", "Loop", "ServerStops", "Signal", "Waitable", "Watch", "in_thread", "running"]
