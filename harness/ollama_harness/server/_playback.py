"""Plays segments on a connection, on time, and writes down what really happened."""

from __future__ import annotations

import time
from collections.abc import Iterable

from ollama_harness.script.segments import ConnectionEnd, RenderedSegment, ScriptEnd
from ollama_harness.server.connection import ClientLeft, Connection, WakeReason
from ollama_harness.server.journal import EndedBy, Entry, Journal

__all__ = ["ended_early", "play"]

#: In lock-step: how long a record may stay away before it counts as kept back. Then the rest is sent at once.
LOCK_STEP_LIMIT_S = 3.0

_ENDED_EARLY = {WakeReason.LEFT: EndedBy.CLIENT, WakeReason.STOP: EndedBy.STOP}


def play(
    connection: Connection,
    segments: Iterable[RenderedSegment],
    ending: ScriptEnd,
    *,
    entry: Entry,
    journal: Journal,
) -> bool:
    """Write each segment (seconds, bytes) at its time and end as told; whether the connection can be used again.

    Times count from the arrival that the entry holds. A client that closes its side ends the play, as it ends a
    generation in Ollama.
    """

    def ended(woken: WakeReason) -> bool:
        return ended_early(connection, woken, entry=entry, journal=journal)

    send, sent, clock, arrived_s = connection.send, entry.sent, time.monotonic, entry.arrived_s
    try:
        for at_s, data, awaits in segments:
            if at_s > 0 and ended(connection.wait_until(arrived_s + at_s)):
                return False
            if awaits > entry.yielded and ended(_await_record(connection, entry, journal, awaits)):
                return False
            send(data)
            sent.append((clock() - arrived_s, data))
    except ClientLeft:
        ended(WakeReason.LEFT)
        return False
    if ending.at_s > 0 and ended(connection.wait_until(arrived_s + ending.at_s)):
        return False
    match ending.how:
        case ConnectionEnd.KEEP_OPEN:
            journal.settle(entry, ending.how, EndedBy.SERVER)
            return True
        case ConnectionEnd.CLOSE:
            connection.half_close()
            journal.settle(entry, ending.how, EndedBy.SERVER)
            connection.close()
        case ConnectionEnd.RESET:
            connection.reset()
            journal.settle(entry, ending.how, EndedBy.SERVER)
        case ConnectionEnd.IGNORE:
            journal.settle(entry, ending.how, EndedBy.SERVER)  # there is nothing more to see
            connection.wait_for_stop()
            connection.dispose()
        case ConnectionEnd.REFUSE:
            raise AssertionError("a connection that was to be refused has been accepted")
        case ConnectionEnd.HALF_CLOSE | ConnectionEnd.HOLD:
            if ending.how is ConnectionEnd.HALF_CLOSE:
                connection.half_close()
            woken = connection.wait_for_end()
            if woken is WakeReason.LEFT:
                journal.left(entry)
            connection.dispose()
            # The script is over once nothing more is sent: that the client leaves is the end it asked for.
            journal.settle(entry, ending.how, EndedBy.STOP if woken is WakeReason.STOP else EndedBy.SERVER)
    return False


def ended_early(connection: Connection, woken: WakeReason, *, entry: Entry, journal: Journal) -> bool:
    """Whether this is the client leaving or the server stopping; then the connection is let go of, which is noted."""
    if woken is WakeReason.LEFT:
        journal.left(entry)
    if woken in _ENDED_EARLY:
        connection.dispose()
        journal.settle(entry, ConnectionEnd.CLOSE, _ENDED_EARLY[woken])
        return True
    return False


def _await_record(connection: Connection, entry: Entry, journal: Journal, number: int) -> WakeReason:
    """Wait until the client's user has been handed so many records, or note that this record was kept back."""
    journal.awaits(entry, number)
    patience_s = LOCK_STEP_LIMIT_S if entry.buffered is None else 0.0
    limit = time.monotonic() + patience_s
    while not journal.wait_for(lambda _: entry.yielded >= number, timeout_s=0.05):
        if (woken := connection.woken_by_now()) is not WakeReason.TIME:
            return woken
        if entry.user_is_busy:
            limit = time.monotonic() + patience_s
        elif time.monotonic() >= limit:
            entry.buffered = entry.buffered or entry.yielded + 1
            break
    return WakeReason.TIME
