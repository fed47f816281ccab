"""The verdict: how a client handled an answer, compared with what a perfect client would have seen.

`judge` is pure and total. The first row of the table that matches wins:

    inconclusive  the harness itself failed                                                             harm –
    unsupported   the client has no such operation                                                      harm –
    misrouted     the request went through a proxy that the settings exclude, or past one that they
                  require                                                                               harm 5
    crash         the client's process died, or the client cannot be imported or made because of a
                  setting that does not concern the request                                             harm 4
    hang          no end by the deadline, or none while a silence was longer than the read timeout      harm 4
    silent-loss   ended normally although the answer was not complete, or records or pieces are missing harm 5
    corrupt       yielded something that is not a prefix of the reference's records or pieces           harm 6
    unsafe-retry  sent a request twice that is not idempotent, or one too many on a connection that was
                  to be closed                                                                          harm 3
    leak          left an answer open that its user no longer reads, so that Ollama goes on generating  harm 3
    false-alarm   raised although the answer was complete                                               harm 2
    buffered      ended as it should, but kept back records that had arrived, needed later bytes to
                  yield one, or was idle before its request or after the answer                         harm 2
    undocumented  raised as it should, but not an exception that its documentation names                harm 1
    pass          everything else                                                                       harm 0

After an RST the verdict does not depend on how many delivered records the system let the client read.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, assert_never

from ollama_harness.oracle.client_end import (
    ClientEnd,
    Crashed,
    Failed,
    Finished,
    Hung,
    Raised,
    Stopped,
    Unsupported,
)
from ollama_harness.oracle.comparison import View
from ollama_harness.oracle.reference import ExpectedEndKind, Reference
from ollama_harness.oracle.words import Cause, Layer, Verdict

__all__ = [
    "ClientEnd",
    "Crashed",
    "Failed",
    "Finished",
    "Hung",
    "Judgement",
    "Outcome",
    "Raised",
    "Stopped",
    "Unsupported",
    "Verdict",
    "judge",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The facts of one exchange: the records or pieces that the client yielded, how it ended, what the server saw.

    `requests` and `connections` count what reached the server. `repeated` counts how often the request itself came
    again, and `side_requests` are the request lines of all others, which are answered and judge nobody. `abandoned`:
    the client left before the server had sent everything. These texts are sentences, or "" if it did not happen:
    `misrouted` (the wrong route of the request), `unsafe_retry` (what the client sent and must not send),
    `missed_timeout` (a silence was longer than the read timeout, and the client went on waiting), `idle` (the client
    did nothing for too long). `failed_to_start`: the client could not be imported or made, because of a setting that
    does not concern the request. `leaked`: the connection of an answer that its user no longer reads stayed open.
    `buffered` is the number of the first record that was yielded only after later bytes, or None.
    """

    yielded: tuple[Any, ...]
    ending: ClientEnd
    requests: int = 0
    connections: int = 0
    repeated: int = 0
    side_requests: tuple[str, ...] = ()
    abandoned: bool = False
    misrouted: str = ""
    failed_to_start: bool = False
    unsafe_retry: str = ""
    leaked: bool = False
    buffered: int | None = None
    missed_timeout: str = ""
    idle: str = ""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict, and the reason in one sentence."""

    verdict: Verdict
    why: str


def judge(
    reference: Reference,
    outcome: Outcome,
    *,
    layer: Layer,
    documented: AbstractSet[str] | None,
    view: View,
) -> Judgement:
    """The verdict on an outcome at a layer. `documented` are the exceptions that the client documents for this end, and
    None means that it promises nothing.

    `view` compares what was yielded, records or pieces. An error that was yielded as a value counts as one raised.
    """
    end = reference.ends[layer]
    match outcome.ending:
        case Failed(reason):
            return Judgement(Verdict.INCONCLUSIVE, reason)
        case Unsupported(reason):
            return Judgement(Verdict.UNSUPPORTED, reason)
        case _ if outcome.misrouted:
            return Judgement(Verdict.MISROUTED, outcome.misrouted)
        case Raised(types) if outcome.failed_to_start:
            return Judgement(
                Verdict.CRASH, f"raised {types[0]} when it was made, because of what does not concern the request"
            )
        case Crashed(exit_code):
            return Judgement(Verdict.CRASH, f"the client's process died with exit code {exit_code}")
        case Hung(deadline_s):
            return Judgement(Verdict.HANG, f"no end after {deadline_s:g} s")
        case _ if outcome.missed_timeout:
            return Judgement(Verdict.HANG, outcome.missed_timeout)
        case Finished() | Stopped() | Raised() as ending:
            pass
        case _:
            assert_never(outcome.ending)
    found = view.compare(reference, outcome.yielded, layer)
    if isinstance(ending, Finished) and not found.reports_error:
        if end.kind is not ExpectedEndKind.COMPLETE and not (end.either and not found.beyond):
            return Judgement(Verdict.SILENT_LOSS, f"ended normally, but the answer is {end.kind} ({end.cause})")
        if found.missing:
            return Judgement(Verdict.SILENT_LOSS, f"ended normally with {found.missing}")
    if found.wrong:
        return Judgement(Verdict.CORRUPT, found.wrong)
    if outcome.unsafe_retry:
        return Judgement(Verdict.UNSAFE_RETRY, outcome.unsafe_retry)
    if outcome.leaked:
        return Judgement(Verdict.LEAK, "closed the answer, but the connection stayed open")
    raised = f"raised {ending.types[0]}" if isinstance(ending, Raised) else "yielded an error"
    if isinstance(ending, Raised) or found.reports_error:
        if end.kind is ExpectedEndKind.COMPLETE and not end.either:
            return Judgement(Verdict.FALSE_ALARM, f"{raised} although the answer is complete")
        if found.missing and end.cause is not Cause.RST and not end.cause.refusable:
            return Judgement(Verdict.BUFFERED, f"{raised}, but yielded only {found.missing} before it")
    if isinstance(ending, Raised) and documented is not None and documented.isdisjoint(ending.types):
        return Judgement(Verdict.UNDOCUMENTED, f"{raised}, which its documentation does not name")
    if outcome.buffered is not None:
        return Judgement(Verdict.BUFFERED, f"yielded record {outcome.buffered} only when later bytes had arrived")
    if outcome.idle:
        return Judgement(Verdict.BUFFERED, outcome.idle)
    if isinstance(ending, Raised) or found.reports_error:
        return Judgement(Verdict.PASS, f"{raised}: the answer is {end.kind} ({end.cause})")
    if isinstance(ending, Stopped):
        return Judgement(Verdict.PASS, f"stopped after {found.yielded}, and the server saw it leave")
    return Judgement(Verdict.PASS, f"yielded all {found.due}")
