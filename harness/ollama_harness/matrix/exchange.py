"""One exchange: a script is played to a client, and what comes of it is judged, on both sides of the wire."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ollama_harness.clients.adapter import Job
from ollama_harness.clients.worker_process import ClientReport, WorkerProcess
from ollama_harness.matrix.cells import Cell
from ollama_harness.network.route import Route
from ollama_harness.oracle.reference import Reference, first_silence
from ollama_harness.oracle.verdict import (
    Crashed,
    Failed,
    Finished,
    Judgement,
    Outcome,
    Raised,
    Stopped,
    Unsupported,
    judge,
)
from ollama_harness.script.script import ConnectionEnd, RenderedScript, Script
from ollama_harness.server.fake_ollama import FakeOllama
from ollama_harness.server.journal import EndedBy, Entry, Journal

__all__ = ["Exchange", "exchange", "problem_of", "untried"]

#: How long a request may be on its way.
_ARRIVES_S = 1.0

#: How long a client may take to leave an answer that it is through with; longer than lock-step waits for a record.
_LEAVE_S = 4.0

_IDEMPOTENT = ("GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """What was to be played, what was, what the client yielded, and the judgement.

    Of a picky script `script` is what was due to this client's request: the answer, or a refusal.
    `route` is which way the request went, where that was looked at, and `predicted` which way the doctor says it goes.
    `idle_s` is how many seconds the client let pass before its request, and after the last byte of the answer.
    """

    script: Script
    entries: tuple[Entry, ...]
    reported: ClientReport
    reference: Reference
    outcome: Outcome
    judgement: Judgement
    route: Route | None = None
    predicted: Route | None = None
    idle_s: tuple[float, float] = (0.0, 0.0)


def exchange(
    cell: Cell,
    script: Script,
    job: Job,
    server: FakeOllama,
    worker: WorkerProcess,
    meanwhile: Callable[[], Exchange] | None = None,
    before: Sequence[Exchange] = (),
) -> Exchange:
    """One exchange: play a script to a client, and judge what comes of it.

    What is judged is the request that the script is played to. A client may make others besides, as those do that ask
    first whether anything is there. `meanwhile` makes another exchange in the middle of this one; what is seen of that
    is not this one's. `before` are the exchanges of the session so far.
    """
    journal, request = server.journal, job.request
    earlier, inner = journal.entries, list[Exchange]()

    def asked() -> list[Entry]:
        return _played_to(journal.entries[len(earlier) :], script)

    def yielded(count: int) -> None:
        if mine := asked():
            journal.yielded(mine[-1], count)

    def interrupted() -> None:
        assert meanwhile is not None
        with journal.user_busy(asked()):
            inner.append(meanwhile())

    if script.awaits_request:
        server.play(script, method=request.method, path=request.path)
    else:
        server.play(script)
    begun_s = time.monotonic()
    reported = worker.exchange(
        job,
        deadline_s=cell.deadline_s,
        yielded=yielded,
        meanwhile=interrupted,
    )
    ended_s = time.monotonic()
    if job.continues and isinstance(reported.ending, Finished | Stopped | Raised):
        # A client that takes leftovers for its answer may be through before its request has arrived.
        journal.wait_for(lambda _: bool(asked()), timeout_s=_ARRIVES_S)
    # A client that is through with an answer leaves, also where the server goes on holding the connection.
    settled = journal.wait_for(lambda all_: all(one.ended_by for one in all_[len(earlier) :]), timeout_s=_LEAVE_S)
    others = {id(entry) for one in inner for entry in one.entries}
    entries = tuple(entry for entry in journal.entries[len(earlier) :] if id(entry) not in others)
    leaked = not settled and isinstance(reported.ending, Finished | Stopped | Raised)
    # A process that dies of itself is a fact whatever the server saw of it; so is one that was not asked, or that the
    # harness itself could not start.
    told = leaked or isinstance(reported.ending, Unsupported | Crashed | Failed)
    problem = None if told else _problem(journal, entries, script, job)
    idle_s = _idle_s(asked(), begun_s, ended_s)
    outcome = Outcome(
        records=tuple(record for _, record in reported.records),
        ending=reported.ending if problem is None else Failed(problem),
        requests=len(entries),
        connections=len({entry.connection for entry in entries}),
        misrouted=_misrouted(entries),
        unsafe_retry=_overreach(earlier, entries, script),
        leaked=leaked,
        buffered=next((entry.buffered for entry in asked() if entry.buffered), None),
        missed_timeout=_missed_timeout(asked(), job, ended_s),
        idle="" if job.goes_on else _idle([*(one.idle_s for one in before), idle_s], cell.scenario.most_idle_s),
    )
    played = _came_to(script, asked())
    truth = cell.reference(played)
    documented = cell.client.contract.documented(truth.ends[cell.layer].cause)
    judgement = judge(truth, outcome, layer=cell.layer, documented=documented, subject=cell.subject)
    return Exchange(
        script=played,
        entries=entries,
        reported=reported,
        reference=truth,
        outcome=outcome,
        judgement=judgement,
        idle_s=idle_s,
    )


def untried(cell: Cell, script: Script, reason: str) -> Exchange:
    """An exchange that cannot be made here."""
    ending, truth = Unsupported(reason), cell.reference(script)
    outcome = Outcome(records=(), ending=ending)
    judgement = judge(truth, outcome, layer=cell.layer, documented=frozenset())
    return Exchange(
        script=script,
        entries=(),
        reported=ClientReport((), ending),
        reference=truth,
        outcome=outcome,
        judgement=judgement,
    )


def _played_to(entries: Sequence[Entry], script: Script) -> list[Entry]:
    """The requests that this very script was played to."""
    return [entry for entry in entries if entry.script is script]


def _came_to(script: Script, asked: Sequence[Entry]) -> Script:
    """What a picky script came to: the refusal, if the last request broke a demand."""
    return script.answer_to(asked[-1].head) if asked else script


def _overreach(earlier: tuple[Entry, ...], entries: tuple[Entry, ...], script: Script) -> str:
    """What the client sent though it must not; "" if there was nothing."""
    asked = [entry for entry in entries if entry.head is not None and not _redirects(script)]
    # What was refused for its head has had no effect, and may be sent in another form (RFC 9110 section 15.5.18).
    done = [entry for entry in _played_to(asked, script) if not entry.unmet]
    repeated = [entry for entry in done if entry.head is not None and entry.head.method not in _IDEMPOTENT]
    if len(repeated) > 1:  # RFC 9110 section 9.2.2
        return f"sent {len(repeated)} times what it was asked to send once, and is not idempotent"
    closing = {entry.connection for entry in earlier if b"\r\nconnection: close\r\n" in entry.wire.lower()}
    if any(entry.connection in closing for entry in asked):  # RFC 9112 section 9.6
        return "sent another request on a connection that the answer before had declared closed"
    return ""


def _missed_timeout(asked: Sequence[Entry], job: Job, ended_s: float) -> str:
    """How the client stayed through a silence that its read timeout forbids; "" if it did not."""
    if not asked or asked[-1].script is None:
        return ""
    entry, script = asked[-1], asked[-1].script.answer_to(asked[-1].head)
    silent = first_silence(script, job.read_timeout_s)
    if silent is None or len(entry.sent) <= silent or ended_s < entry.arrived_s + entry.sent[silent][0]:
        return ""
    pause_s = script.segments[silent].at_s - (script.segments[silent - 1].at_s if silent else 0.0)
    return f"stayed through a silence of {pause_s:g} s, though its read timeout is {job.read_timeout_s:g} s"


def _idle_s(asked: Sequence[Entry], begun_s: float, ended_s: float) -> tuple[float, float]:
    """How long the server waited for the request, and the user for the end once all had been sent."""
    if not asked or not asked[-1].sent:
        return 0.0, 0.0
    return asked[0].arrived_s - begun_s, ended_s - asked[-1].arrived_s - asked[-1].sent[-1][0]


def _idle(all_s: Sequence[tuple[float, float]], most_s: float | None) -> str:
    """When a client did nothing for too long, in each of its exchanges: once may be the machine's doing."""
    before_s, after_s = map(min, zip(*all_s, strict=True))
    if most_s is not None and before_s > most_s:
        return f"did nothing for more than {most_s:g} s before each of its requests"
    if most_s is not None and after_s > most_s:
        return f"ended only more than {most_s:g} s after the last byte of each answer"
    return ""


def _misrouted(entries: tuple[Entry, ...]) -> str:
    absolute = any(entry.head is not None and "://" in entry.head.target for entry in entries)
    return "the request was meant for a proxy, and there is none" if absolute else ""


def _redirects(script: Script) -> bool:
    return script.head is not None and script.head.header("location") is not None


def _problem(journal: Journal, entries: tuple[Entry, ...], script: Script, job: Job) -> str | None:
    """What went wrong on the server's side, so that nothing can be said of the client; None if all is well."""
    if script.ending.how is ConnectionEnd.REFUSE:
        return None
    if not journal.connections:
        return "the client never connected"
    return problem_of(entries, script, job)


def problem_of(entries: Sequence[Entry], script: Script, job: Job) -> str | None:
    """Where the server did not do to these requests what was planned; None if it did."""
    answered = _played_to(entries, script)
    if not answered and not job.continues:  # a request on a connection that is dead, or poisoned, never arrives
        lines = ", ".join(entry.request_line for entry in entries) or "none"
        return f"the client did not make the request of the recording, but: {lines}"
    for entry in answered:
        planned = script.answer_to(entry.head).render(date=entry.date)
        sent = [data for _, data in entry.sent]
        segments = [segment.data for segment in planned.segments]
        if sent != segments[: len(sent)]:
            return "the server sent other bytes than planned"
        if (late_s := _longest_delay_s(entry, planned)) > job.read_timeout_s / 2:
            return f"the server paused {late_s:.1f} s longer than planned, and the client may have given up for that"
        early = entry.ended_by is EndedBy.CLIENT or entry.client_left_s is not None
        if len(sent) < len(segments) and not early:
            return f"the server sent {len(sent)} of {len(segments)} planned segments"
        if not early and entry.ended is not planned.ending.how:
            return f"the connection ended with {entry.ended}, planned was {planned.ending.how}"
    return None


def _longest_delay_s(entry: Entry, planned: RenderedScript) -> float:
    """By how much a silence was longer than planned; in lock-step none is planned."""
    if any(segment.awaits for segment in planned.segments):
        return 0.0
    really = [0.0, *(at_s for at_s, _ in entry.sent)]
    due = [0.0, *(segment.at_s for segment in planned.segments)]
    gaps = zip(pairwise(really), pairwise(due), strict=False)
    return max(((b - a) - (d - c) for (a, b), (c, d) in gaps), default=0.0)
