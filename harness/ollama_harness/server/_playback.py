"""Plays segments on a connection, on time, and notes in the journal what really happened.

`play` runs in the connection's coroutine. Before each segment it waits until the segment is due. The wait also ends
when the client closes its side or the server stops, and then the play ends early. A segment is noted in the entry only
after the system has accepted all of its bytes, with the time of that moment: so the journal never has bytes that were
not sent, though a client may read them a moment before they are in the journal. Then the ending is carried out and the
entry is settled, which tells every reader of the journal that it will not change any more. The entry is settled after
the FIN or the RST is sent, and before waiting for the client's own FIN, which may take a second.

Segments between which no time lies are one write, a *batch*, unless their boundaries are meant (`apart`). The client
could not tell them apart for certain, and a write costs more than all else here. The journal has them one by one.

In lock-step a segment also waits until the client has yielded a number of records. The program that runs the client
notes them with `Journal.yielded`, which wakes the play. If a record does not come in time, it is noted as buffered, and
the rest of the script is sent without any more waiting for records.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ollama_harness.script.segments import ConnectionEnd, RenderedSegment, ScriptEnd
from ollama_harness.server._connection import ClientLeft, Connection
from ollama_harness.server._tls import is_whole
from ollama_harness.server.engine import Kind, ServerStops, Signal, in_thread
from ollama_harness.server.journal import EndedBy, Entry, Journal

__all__ = ["Batch", "await_record", "batches", "end_early", "play", "play_live"]

#: In lock-step: how long the client may take to yield a record before it counts as buffered.
LOCK_STEP_LIMIT_S = 3.0

#: The most bytes of more than one segment that are one write.
_MOST_BYTES = 64 * 1024

_STAYS = ScriptEnd(how=ConnectionEnd.KEEP_OPEN, at_s=0.0)


class Batch(NamedTuple):
    """The bytes of one write, when it is due, the records that it awaits, and the segments that it consists of."""

    at_s: float
    data: bytes
    awaits: int
    segments: tuple[bytes, ...]


def batches(segments: Iterable[RenderedSegment]) -> Iterator[Batch]:
    """The writes that send these segments."""
    pieces: list[bytes] = []
    at_s, awaits, size = 0.0, 0, 0
    for segment in segments:
        fits = segment.at_s == at_s and segment.awaits <= awaits and size + len(segment.data) <= _MOST_BYTES
        if pieces and not (fits and not segment.apart):
            yield Batch(at_s, b"".join(pieces), awaits, tuple(pieces))
            pieces, size = [], 0
        if not pieces:
            at_s, awaits = segment.at_s, segment.awaits
        pieces.append(segment.data)
        size += len(segment.data)
    if pieces:
        yield Batch(at_s, b"".join(pieces), awaits, tuple(pieces))


async def play(
    connection: Connection, writes: Iterable[Batch], ending: ScriptEnd, *, entry: Entry, journal: Journal
) -> bool:
    """Write each batch at its time, then do what `ending` says; returns whether the connection can be used again.

    Times count from `entry.arrived_s`, or from the end of its wait for a slot. A client that closes its side ends the
    play, as it ends a generation in Ollama.
    """
    sent, clock, arrived_s = entry.sent, time.monotonic, entry.arrived_s
    began_s = arrived_s + entry.waited_s
    before, segments = connection.accepted_bytes, tuple[bytes, ...]()
    try:
        for at_s, data, awaits, segments in writes:
            before = connection.accepted_bytes
            if at_s > 0:
                await connection.wait_until(began_s + at_s)
            if awaits > entry.yielded:
                await await_record(connection, entry, journal, awaits)
            await connection.send(data)
            sent.extend(clock() - arrived_s, segments)
            segments = ()
        if ending.at_s > 0:
            await _wait_for_end(connection, ending, began_s + ending.at_s)
        return await _end(connection, ending, entry, journal)
    except (ClientLeft, ServerStops) as gone:
        sent.extend(clock() - arrived_s, _accepted(segments, connection.accepted_bytes - before))
        end_early(connection, gone, entry=entry, journal=journal)
        return False


async def play_live(
    connection: Connection, segments: Iterator[RenderedSegment], *, entry: Entry, journal: Journal
) -> bool:
    """Write each segment once it is made, which may take its time; returns whether the connection can be used again.

    Raises: what making a segment raises.
    """
    try:
        while (segment := await in_thread(Kind.MAY_WAIT, next, segments, None)) is not None:
            await connection.send(segment.data)
            entry.sent.append((time.monotonic() - entry.arrived_s, segment.data))
    except (ClientLeft, ServerStops) as gone:
        end_early(connection, gone, entry=entry, journal=journal)
        return False
    return await play(connection, (), _STAYS, entry=entry, journal=journal)


def end_early(connection: Connection, gone: ClientLeft | ServerStops, *, entry: Entry, journal: Journal) -> None:
    """Close the connection because the client left or the server stops, and note which."""
    if isinstance(gone, ClientLeft):
        journal.left(entry)
    connection.dispose()
    journal.settle(entry, ConnectionEnd.CLOSE, EndedBy.CLIENT if isinstance(gone, ClientLeft) else EndedBy.STOP)


async def _wait_for_end(connection: Connection, ending: ScriptEnd, deadline: float) -> None:
    """Wait until the end is due. A client that has all of an answer may leave, unless the end itself is for it.

    Raises: ClientLeft.
    """
    try:
        await connection.wait_until(deadline)
    except ClientLeft:
        if ending.how in (ConnectionEnd.CLOSE, ConnectionEnd.RESET):
            raise


async def _end(connection: Connection, ending: ScriptEnd, entry: Entry, journal: Journal) -> bool:
    match ending.how:
        case ConnectionEnd.KEEP_OPEN:
            journal.settle(entry, ending.how, EndedBy.SERVER)
            return True
        case ConnectionEnd.CLOSE:
            await _send_fin(connection, entry)
            journal.settle(entry, ending.how, EndedBy.SERVER)
            await connection.close()
        case ConnectionEnd.RESET:
            await connection.reset()
            journal.settle(entry, ending.how, EndedBy.SERVER)
        case ConnectionEnd.IGNORE:
            journal.settle(entry, ending.how, EndedBy.SERVER)  # now: the client leaving would not be noticed
            with contextlib.suppress(ServerStops):
                await connection.wait_for_stop()
            connection.dispose()
        case ConnectionEnd.REFUSE:
            raise AssertionError("a connection that was to be refused has been accepted")
        case ConnectionEnd.HALF_CLOSE | ConnectionEnd.HOLD:
            if ending.how is ConnectionEnd.HALF_CLOSE:
                await _send_fin(connection, entry)
            by = EndedBy.SERVER  # the script ended with its last byte, and waits for no other end than this
            try:
                await connection.wait_for_end()
                journal.left(entry)
            except ServerStops:
                by = EndedBy.STOP
            connection.dispose()
            journal.settle(entry, ending.how, by)
    return False


async def _send_fin(connection: Connection, entry: Entry) -> None:
    await connection.half_close(is_whole=not connection.transport.says_end or is_whole(entry))


async def await_record(connection: Connection, entry: Entry, journal: Journal, number: int) -> None:
    """Wait until the client has yielded this many records, or note that it buffered one.

    Raises: ClientLeft.
    """
    changed = Signal()
    journal.awaits(entry, number, changed.set)
    limit_s = LOCK_STEP_LIMIT_S if entry.buffered is None else 0.0  # after one buffered record there is no waiting
    deadline = time.monotonic() + limit_s
    while entry.yielded < number:
        busy = entry.user_is_busy
        woken = await connection.wait_beside(changed, until=None if busy else deadline)
        if busy or entry.user_is_busy:
            deadline = time.monotonic() + limit_s
        elif woken is None and entry.yielded < number:
            entry.buffered = entry.buffered or entry.yielded + 1
            break


def _accepted(segments: tuple[bytes, ...], size: int) -> list[bytes]:
    """The first of these segments, as many as have no more bytes than this."""
    whole = []
    for segment in segments:
        size -= len(segment)
        if size < 0:
            break
        whole.append(segment)
    return whole
