"""One exchange: a script is played to a client, and the client is judged.

Two reports are compared. The client's process reports the records and the end that the client saw. The server's journal
reports the requests that arrived, the bytes that were sent, and how each connection ended. `exchange` makes the server
play the script, gives the job to the client's process, and waits until the journal is settled. In between it passes
messages: when the client has told of a record, the journal notes it, so that lock-step can send the next. First the
journal is compared with the plan (`problem_of`). If the server did something else than planned, nothing can be said
about the client, and the verdict is inconclusive. Otherwise `judge` compares the client's report with the reference.
The journal also shows what no client reports: requests that were sent twice, answers left open, idle time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

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
from ollama_harness.script.script import ConnectionEnd, Script
from ollama_harness.server.fake_ollama import FakeOllama
from ollama_harness.server.journal import EndedBy, Entry, Journal

__all__ = ["Exchange", "exchange", "late", "problem_of", "untried"]

#: A silence of this part of a read timeout is as good as the whole: the client's clock starts earlier than ours.
_LATE = 0.8

#: How long a request may need to arrive.
_ARRIVES_S = 1.0

#: How long a client may need to close an answer that it has finished. It is longer than lock-step waits for a record.
_LEAVE_S = 4.0

#: How late the server may note what it has sent, so that a client has read it by then. A busy machine needs long.
_NOTED_S = 0.2

_IDEMPOTENT = ("GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """What was planned, what was played, what the client yielded, and the judgement.

    If the script is picky, `script` is the part that this client's request deserves: the answer, or a refusal.
    `route` is the route of the request, if that was observed. `idle_s` are the seconds that passed before the client's
    request, and after the last byte of the answer.
    """

    script: Script
    entries: tuple[Entry, ...]
    reported: ClientReport
    reference: Reference
    outcome: Outcome
    judgement: Judgement
    route: Route | None = None
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
    """Play a script to a client, and judge the client.

    The request that gets the script is judged. A client may make other requests as well: some first check whether the
    server is there. `meanwhile` makes another exchange in the middle of this one, whose requests do not count here.
    `before` are the earlier exchanges of the session.
    """
    journal, request = server.journal, job.request
    in_step = cell.reference(script) if any(segment.awaits for segment in script.segments) else None
    if in_step is not None:
        script = _awaiting_more_than(script, cell.view.records_told(in_step, ()))
    earlier, inner = journal.entries, list[Exchange]()

    def answered() -> list[Entry]:
        return _played_to(journal.entries[len(earlier) :], script)

    def told(yielded: Sequence[Any]) -> None:
        if in_step is not None and (mine := answered()):
            journal.yielded(mine[-1], cell.view.records_told(in_step, yielded))

    def interrupted() -> None:
        assert meanwhile is not None
        with journal.user_busy(answered()):
            inner.append(meanwhile())

    if script.awaits_request:
        server.play(script, method=request.method, path=request.path, before_guard=True)
    else:
        server.play(script, before_guard=True)
    begun_s = time.monotonic()
    reported = worker.exchange(
        job,
        deadline_s=cell.deadline_s,
        told=told,
        meanwhile=interrupted,
    )
    ended_s = time.monotonic()
    if job.reuses_session and isinstance(reported.ending, Finished | Stopped | Raised):
        # A client that reads old bytes as its answer may finish before its request has arrived.
        journal.wait_for(lambda _: bool(answered()), timeout_s=_ARRIVES_S)
    # A client that has finished an answer leaves, even if the server keeps the connection open.
    settled = journal.wait_for(lambda all_: all(one.ended_by for one in all_[len(earlier) :]), timeout_s=_LEAVE_S)
    others = {id(entry) for one in inner for entry in one.entries}
    entries = tuple(entry for entry in journal.entries[len(earlier) :] if id(entry) not in others)
    leaked = not settled and isinstance(reported.ending, Finished | Stopped | Raised)
    # If the process crashed, was not used or did not start, that is a fact, whatever the server saw.
    decided = leaked or isinstance(reported.ending, Unsupported | Crashed | Failed)
    problem = None if decided else _problem(journal, entries, script, job)
    if problem is None and not decided and not isinstance(reported.ending, Finished | Stopped):
        problem = late(answered(), job)  # a client that ended normally has not timed out
    idle_s = _idle_s(answered(), begun_s, ended_s)
    outcome = Outcome(
        yielded=tuple(one for _, one in reported.yielded),
        ending=reported.ending if problem is None else Failed(problem),
        requests=len(entries),
        connections=len({entry.connection for entry in entries}),
        repeated=max(0, len(answered()) - 1),
        side_requests=tuple(entry.request_line for entry in entries if entry.script is not script),
        abandoned=isinstance(reported.ending, Stopped) or any(entry.ended_by is EndedBy.CLIENT for entry in answered()),
        misrouted=_misrouted(entries),
        unsafe_retry=_unsafe_retry(earlier, entries, script, retries=cell.client.contract.retries),
        leaked=leaked,
        buffered=next((entry.buffered for entry in answered() if entry.buffered), None),
        missed_timeout=_missed_timeout(answered(), job, ended_s),
        idle="" if job.keeps_session else _idle([*(one.idle_s for one in before), idle_s], cell.scenario.most_idle_s),
    )
    played = _answer_due(script, answered())
    truth = cell.reference(played) if in_step is None or played is not script else in_step
    documented = cell.client.contract.documented(truth.ends[cell.layer].cause)
    judgement = judge(truth, outcome, layer=cell.layer, documented=documented, view=cell.view)
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
    """The result for an exchange that cannot be made here."""
    ending, truth = Unsupported(reason), cell.reference(script)
    outcome = Outcome(yielded=(), ending=ending)
    judgement = judge(truth, outcome, layer=cell.layer, documented=frozenset(), view=cell.view)
    return Exchange(
        script=script,
        entries=(),
        reported=ClientReport((), ending),
        reference=truth,
        outcome=outcome,
        judgement=judgement,
    )


def _awaiting_more_than(script: Script, told: int) -> Script:
    """The script in lock-step without waiting for its first records, which say nothing that a client must yield."""
    segments = (replace(one, awaits=one.awaits if one.awaits > told else 0) for one in script.segments)
    return replace(script, segments=tuple(segments)) if told else script


def _played_to(entries: Sequence[Entry], script: Script) -> list[Entry]:
    """The requests to which this script was played."""
    return [entry for entry in entries if entry.script is script]


def _answer_due(script: Script, answered: Sequence[Entry]) -> Script:
    """The part of a picky script that was due: the refusal, if the last request broke a condition."""
    return script.answer_to(answered[-1].head) if answered else script


def _unsafe_retry(earlier: tuple[Entry, ...], entries: tuple[Entry, ...], script: Script, *, retries: int = 0) -> str:
    """A request that the client must not send, in words; "" if there was none. `retries` are documented."""
    requests = [entry for entry in entries if entry.head is not None and not _redirects(script)]
    # A request that was refused for its head had no effect, and may be sent in another form (RFC 9110 section 15.5.18).
    done = [entry for entry in _played_to(requests, script) if not entry.unmet]
    repeated = [entry for entry in done if entry.head is not None and entry.head.method not in _IDEMPOTENT]
    if len(repeated) > 1 + retries:  # RFC 9110 section 9.2.2
        often = "once" if not retries else f"{1 + retries} times at most, as its documentation says"
        return f"sent a request {len(repeated)} times that is not idempotent, and should be sent {often}"
    closing = {entry.connection for entry in earlier if b"\r\nconnection: close\r\n" in entry.wire.lower()}
    if any(entry.connection in closing for entry in requests):  # RFC 9112 section 9.6
        return "sent another request on a connection that the answer before had declared closed"
    return ""


def _missed_timeout(answered: Sequence[Entry], job: Job, ended_s: float) -> str:
    """How the client waited through a silence that its read timeout forbids, in words; "" if it did not."""
    if not answered or answered[-1].script is None:
        return ""
    entry, script = answered[-1], answered[-1].script.answer_to(answered[-1].head)
    silent = first_silence(script, job.read_timeout_s)
    if silent is None or len(entry.sent) <= silent:
        return ""
    if ended_s < entry.arrived_s + entry.sent[silent][0] - _NOTED_S:
        return ""
    pause_s = script.segments[silent].at_s - (script.segments[silent - 1].at_s if silent else 0.0)
    return f"waited through a silence of {pause_s:g} s, although its read timeout is {job.read_timeout_s:g} s"


def _idle_s(answered: Sequence[Entry], begun_s: float, ended_s: float) -> tuple[float, float]:
    """How long the server waited for the request, and the user for the end after the last byte was sent."""
    if not answered or not answered[-1].sent:
        return 0.0, 0.0
    return answered[0].arrived_s - begun_s, ended_s - answered[-1].arrived_s - answered[-1].sent[-1][0]


def _idle(all_s: Sequence[tuple[float, float]], most_s: float | None) -> str:
    """How a client was idle for too long in every exchange, in words. A busy machine may slow down one."""
    before_s, after_s = map(min, zip(*all_s, strict=True))
    if most_s is not None and before_s > most_s:
        return f"did nothing for more than {most_s:g} s before each of its requests"
    if most_s is not None and after_s > most_s:
        return f"ended more than {most_s:g} s after the last byte of each answer"
    return ""


def _misrouted(entries: tuple[Entry, ...]) -> str:
    absolute = any(entry.head is not None and "://" in entry.head.target for entry in entries)
    return "the request was written for a proxy, and there is none" if absolute else ""


def _redirects(script: Script) -> bool:
    return script.head is not None and script.head.header("location") is not None


def _problem(journal: Journal, entries: tuple[Entry, ...], script: Script, job: Job) -> str | None:
    """What went wrong on the server's side, so that nothing can be said about the client; None if nothing did."""
    if script.ending.how is ConnectionEnd.REFUSE:
        return None
    if not journal.connections:
        return "the client never connected"
    return problem_of(entries, script, job)


def problem_of(entries: Sequence[Entry], script: Script, job: Job) -> str | None:
    """How the server's answers to these requests differ from the plan; None if they do not."""
    answered = _played_to(entries, script)
    if not answered and not job.reuses_session:  # a request on a dead connection never arrives
        lines = ", ".join(entry.request_line for entry in entries) or "none"
        return f"the client did not send the request of the recording; it sent: {lines}"
    for entry in answered:
        planned = script.answer_to(entry.head).render(date=entry.date)
        sent = [data for _, data in entry.sent]
        segments = [segment.data for segment in planned.segments]
        if sent != segments[: len(sent)]:
            return "the server sent other bytes than planned"
        early = entry.ended_by is EndedBy.CLIENT or entry.client_left_s is not None
        if len(sent) < len(segments) and not early:
            return f"the server sent {len(sent)} of {len(segments)} planned segments"
        if not early and entry.ended is not planned.ending.how:
            return f"the connection ended with {entry.ended}, and {planned.ending.how} was planned"
    return None


def late(answered: Sequence[Entry], job: Job) -> str | None:
    """How the server was silent for so much longer than planned that a client may have timed out; None if it was not.

    In lock-step no times are planned.
    """
    for entry in answered:
        if entry.script is None:
            continue
        planned = entry.script.answer_to(entry.head)
        if any(segment.awaits for segment in planned.segments):
            continue
        really = pairwise([0.0, *(at_s for at_s, _ in entry.sent)])
        due = pairwise([0.0, *(segment.at_s for segment in planned.segments)])
        for (sent_s, next_s), (from_s, to_s) in zip(really, due, strict=False):
            silent_s, late_s = next_s - sent_s, (next_s - sent_s) - (to_s - from_s)
            if silent_s > _LATE * job.read_timeout_s >= to_s - from_s:
                return f"the server paused {late_s:.1f} s longer than planned, so the client may have timed out"
    return None
