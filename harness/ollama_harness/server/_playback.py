"""Plays segments on a connection, on time, and notes in the journal what really happened.

`play` runs in the connection's thread. Before each segment it waits until the segment is due. The wait also ends when
the client closes its side or the server stops, and then the play ends early. A segment is noted in the entry only after
the system has accepted all of its bytes, with the time of that moment: so the journal never has bytes that were not
sent, though a client may read them a moment before they are in the journal. Then the ending is carried out and the
entry is settled, which tells every reader of the journal that it will not change any more. The entry is settled after
the FIN or the RST is sent, and before waiting for the client's own FIN, which may take a second.

In lock-step a segment also waits until the client has yielded a number of records. The program that runs the client
notes them with `Journal.yielded`. If a record does not come in time, it is noted as buffered, and the rest of the
script is sent without any more waiting for records.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from ollama_harness.script.segments import ConnectionEnd, RenderedSegment, ScriptEnd
from ollama_harness.server.connection import ClientLeft, Connection, WakeReason
from ollama_harness.server.journal import EndedBy, Entry, Journal

__all__ = ["ended_early", "play"]

#: In lock-step: how long the client may take to yield a record before it counts as buffered.
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
    """Write each segment at its time, then do what `ending` says; returns whether the connection can be used again.

    Times count from `entry.arrived_s`. A client that closes its side ends the play, as it ends a generation in Ollama.
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
            journal.settle(entry, ending.how, EndedBy.SERVER)  # now: the client leaving would not be noticed
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
            # The script ended with its last byte. The client leaving is the end that the script waits for.
            journal.settle(entry, ending.how, EndedBy.STOP if woken is WakeReason.STOP else EndedBy.SERVER)
    return False


def ended_early(connection: Connection, woken: WakeReason, *, entry: Entry, journal: Journal) -> bool:
    """Close the connection and note it, if the client left or the server stops; returns whether one of them is so."""
    if woken is WakeReason.LEFT:
        journal.left(entry)
    if woken in _ENDED_EARLY:
        connection.dispose()
        journal.settle(entry, ConnectionEnd.CLOSE, _ENDED_EARLY[woken])
        return True
    return False


def _await_record(connection: Connection, entry: Entry, journal: Journal, number: int) -> WakeReason:
    """Wait until the client has yielded this many records, or note that it buffered one."""
    journal.awaits(entry, number)
    limit_s = LOCK_STEP_LIMIT_S if entry.buffered is None else 0.0  # after one buffered record there is no waiting
    deadline = time.monotonic() + limit_s
    while not journal.wait_for(lambda _: entry.yielded >= number, timeout_s=0.05):
        if (woken := connection.woken_by_now()) is not WakeReason.TIME:
            return woken
        if entry.user_is_busy:
            deadline = time.monotonic() + limit_s
        elif time.monotonic() >= deadline:
            entry.buffered = entry.buffered or entry.yielded + 1
            break
    return WakeReason.TIME
