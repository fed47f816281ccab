"""Faults of the connection: it is refused, or it ends where it should not."""

from __future__ import annotations

from dataclasses import replace

from ollama_harness.errors import FaultDoesNotApply
from ollama_harness.faults.definition import Place, fault
from ollama_harness.faults.places import after_record, before_head
from ollama_harness.script.script import ConnectionEnd, Script, ScriptEnd

__all__ = [
    "close_after_answer",
    "close_at",
    "close_on_accept",
    "half_close_at",
    "never_read",
    "refuse",
    "reset_after_answer",
    "reset_at",
    "reset_on_accept",
]


@fault("Refuse the connection: nothing listens on the port.")
def refuse(script: Script) -> Script:
    return _without_request(script, ConnectionEnd.REFUSE)


@fault("Accept the connection and close it (FIN) before anything is read.")
def close_on_accept(script: Script) -> Script:
    return _without_request(script, ConnectionEnd.CLOSE)


@fault("Accept the connection and reset it (RST) once a request has arrived, before anything is read.")
def reset_on_accept(script: Script) -> Script:
    return _without_request(script, ConnectionEnd.RESET)


@fault("Accept the connection, and neither read nor send anything, like a suspended process.")
def never_read(script: Script) -> Script:
    return _without_request(script, ConnectionEnd.IGNORE)


@fault("Close the connection (FIN) at a place.", after_record(3))
def close_at(script: Script, place: Place) -> Script:
    script, index = place.split(script)
    return script.cut(index, ConnectionEnd.CLOSE)


@fault("Reset the connection (RST) at a place, once the system has delivered all bytes before it.", after_record(3))
def reset_at(script: Script, place: Place) -> Script:
    script, index = place.split(script)
    return script.cut(index, ConnectionEnd.RESET)


@fault("Close only the server's side (FIN) at a place, and go on reading until the client leaves.", before_head())
def half_close_at(script: Script, place: Place) -> Script:
    script, index = place.split(script)
    return script.cut(index, ConnectionEnd.HALF_CLOSE)


@fault("Close the connection (FIN) after a whole answer, unannounced, as a server does with an idle connection.")
def close_after_answer(script: Script) -> Script:
    return _after_answer(script, ConnectionEnd.CLOSE)


@fault("Reset the connection (RST) after a whole answer, unannounced.")
def reset_after_answer(script: Script) -> Script:
    return _after_answer(script, ConnectionEnd.RESET)


def _without_request(script: Script, how: ConnectionEnd) -> Script:
    return replace(script, segments=(), ending=ScriptEnd(how=how, at_s=0.0), awaits_request=False)


def _after_answer(script: Script, how: ConnectionEnd) -> Script:
    if script.ending.how is not ConnectionEnd.KEEP_OPEN:
        raise FaultDoesNotApply(f"this script does not keep the connection open: it ends with {script.ending.how}")
    return replace(script, ending=replace(script.ending, how=how))
