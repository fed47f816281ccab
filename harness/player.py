"""Plays segments on a connection, on time, and writes down what really happened."""

from __future__ import annotations

import time
from collections.abc import Iterable

from harness.connection import Connection, Left, Woken
from harness.journal import EndedBy, Entry, Journal
from harness.script import HOLD_LIMIT_S, Ending, HowItEnds

__all__ = ["play"]

_ENDED_EARLY = {Woken.LEFT: EndedBy.CLIENT, Woken.STOP: EndedBy.STOP}


def play(
    connection: Connection,
    segments: Iterable[tuple[float, bytes]],
    ending: Ending,
    *,
    entry: Entry,
    journal: Journal,
    arrived_s: float,
) -> bool:
    """Write each segment (seconds, bytes) at its time and end as told; whether the connection can be used again.

    `arrived_s` is the request's arrival by `time.monotonic`; all other times count from there. A client that closes
    its side ends the play, as it ends a generation in Ollama.
    """

    def ended_early(woken: Woken) -> bool:
        if woken is Woken.LEFT:
            journal.left(entry, since_s=arrived_s)
        if woken in _ENDED_EARLY:
            connection.dispose()
            journal.settle(entry, HowItEnds.CLOSE, _ENDED_EARLY[woken])
            return True
        return False

    send, sent, clock = connection.send, entry.sent, time.monotonic
    try:
        for at_s, data in segments:
            if at_s > 0 and ended_early(connection.wait_until(arrived_s + at_s)):
                return False
            send(data)
            sent.append((clock() - arrived_s, data))
    except Left:
        ended_early(Woken.LEFT)
        return False
    if ending.at_s > 0 and ended_early(connection.wait_until(arrived_s + ending.at_s)):
        return False
    match ending.how:
        case HowItEnds.KEEP_OPEN:
            journal.settle(entry, ending.how, EndedBy.SERVER)
            return True
        case HowItEnds.CLOSE:
            connection.half_close()
            journal.settle(entry, ending.how, EndedBy.SERVER)
            connection.close()
        case HowItEnds.RESET:
            connection.reset()
            journal.settle(entry, ending.how, EndedBy.SERVER)
        case HowItEnds.HALF_CLOSE | HowItEnds.HOLD:
            if ending.how is HowItEnds.HALF_CLOSE:
                connection.half_close()
            woken = connection.wait_until(time.monotonic() + HOLD_LIMIT_S)
            if woken is Woken.LEFT:
                journal.left(entry, since_s=arrived_s)
            connection.dispose()
            # The script is over once nothing more is sent: that the client leaves is the end it asked for.
            journal.settle(entry, ending.how, EndedBy.STOP if woken is Woken.STOP else EndedBy.SERVER)
    return False
