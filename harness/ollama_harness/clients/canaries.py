"""Clients that are wrong on purpose. Each must earn exactly its verdict, or the harness cannot be trusted.

All of them read with the perfect client and then spoil what it sees in one way.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ollama_harness.clients import perfect
from ollama_harness.clients.adapter import Client, ExchangeFunction, Job
from ollama_harness.oracle.reference import Layer
from ollama_harness.oracle.verdict import Verdict

#: The scenarios in which canaries must show what they are.
WHOLE, CUT, SILENT, LOCK_STEP, ABANDONED, EXCLUDED = (
    "stream",
    "cut-after-record",
    "cut-before-head",
    "lock-step",
    "early-break",
    "no-proxy-list",
)


def deaf(job: Job, _: None = None) -> Iterator[Any]:
    """Takes every end for a good one."""
    try:
        yield from perfect.exchange(job)
    except perfect.BadAnswer:
        return


def paranoid(job: Job, _: None = None) -> Iterator[Any]:
    """Raises although all is well."""
    yield from perfect.exchange(job)
    raise perfect.BadAnswer("something must be wrong")


def inventor(job: Job, _: None = None) -> Iterator[Any]:
    """Hands out a field that was never sent."""
    for record in perfect.exchange(job):
        yield {**record, "confidence": 1.0}


def hoarder(job: Job, _: None = None) -> Iterator[Any]:
    """Hands out records only once the answer is whole."""
    yield from list(perfect.exchange(job))


def vague(job: Job, _: None = None) -> Iterator[Any]:
    """Raises an exception that no documentation names."""
    try:
        yield from perfect.exchange(job)
    except perfect.BadAnswer as error:
        raise RuntimeError("something went wrong") from error


def hanging(job: Job, _: None = None) -> Iterator[Any]:
    """Never ends."""
    yield from perfect.exchange(job)
    threading.Event().wait()


def crashing(job: Job, _: None = None) -> Iterator[Any]:
    """Takes its process down with it."""
    yield from perfect.exchange(job)
    os._exit(86)


def insistent(job: Job, _: None = None) -> Iterator[Any]:
    """Asks again when an answer fails, although a generation is not idempotent."""
    try:
        yield from perfect.exchange(job)
    except perfect.BadAnswer:
        yield from perfect.exchange(job)


def leaking(job: Job, _: None = None) -> Iterator[Any]:
    """Never lets an answer go that nobody reads any more."""
    records = perfect.exchange(job)
    _kept.append(records)
    for record in records:  # noqa: UP028 - `yield from` would close it
        yield record


_kept: list[Iterator[Any]] = []


def astray(job: Job, _: None = None) -> Iterator[Any]:
    """Asks the proxy, whatever is excluded."""
    yield from perfect.exchange(replace(job, url=os.environ.get("HTTP_PROXY", job.url)))


def _canary(exchange: ExchangeFunction, earns: dict[str | None, Verdict], *, deadline_s: float | None = None) -> Client:
    return Client(
        name=f"canary-{exchange.__name__}",
        distribution="",
        layer=Layer.OLLAMA,
        contract=perfect.CLIENTS[0].contract,
        exchange=exchange,
        earns=earns,
        deadline_s=deadline_s,
    )


CLIENTS = [
    _canary(deaf, {WHOLE: Verdict.PASS, CUT: Verdict.SILENT_LOSS}),
    _canary(paranoid, {WHOLE: Verdict.FALSE_ALARM, CUT: Verdict.PASS}),
    _canary(inventor, {WHOLE: Verdict.CORRUPT, CUT: Verdict.CORRUPT}),
    _canary(hoarder, {WHOLE: Verdict.PASS, CUT: Verdict.BUFFERED, LOCK_STEP: Verdict.BUFFERED}),
    _canary(vague, {WHOLE: Verdict.PASS, CUT: Verdict.UNDOCUMENTED}),
    _canary(insistent, {WHOLE: Verdict.PASS, SILENT: Verdict.UNSAFE_RETRY}),
    _canary(leaking, {WHOLE: Verdict.PASS, ABANDONED: Verdict.LEAK}),
    _canary(astray, {WHOLE: Verdict.PASS, EXCLUDED: Verdict.MISROUTED}),
    # It hangs whatever the machine's load, so its deadline may be short.
    _canary(hanging, {WHOLE: Verdict.HANG}, deadline_s=1.0),
    _canary(crashing, {WHOLE: Verdict.CRASH}),
]
