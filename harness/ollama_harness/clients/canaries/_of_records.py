"""The canaries of records. They read with the perfect client, and then spoil the result in one way.

A canary that spoils each record is a row of a table (`_SPOILED`); one that spoils the exchange itself is a function.
Two canaries are right in an unusual way, and must pass: one first checks whether a server is there, and one is slow.
"""

from __future__ import annotations

import html
import os
import re
import threading
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

from ollama_harness.clients.adapter import Client, ExchangeFunction, Job
from ollama_harness.clients.canaries import _perfect as perfect
from ollama_harness.clients.canaries._earning import CUT, LOCK_STEP, WHOLE, over_v1
from ollama_harness.oracle.words import Layer, Verdict
from ollama_harness.recordings.recording import Request

#: More scenarios in which they must.
SILENT, ABANDONED, EXCLUDED, MEANWHILE, PROMPT = (
    "cut-before-head",
    "early-break",
    "no-proxy-list",
    "meanwhile",
    "prompt",
)

#: The same after many records: a cut, a reset and a silence.
MANY = ("cut-after-many-records", "reset-after-many-records", "stall-after-many-records")

#: How long the idle canaries are idle.
_IDLE_S = 2.0

#: Longer than the server waits for a record in lock-step.
_SLOW_S = 3.5


def deaf(job: Job, _: None = None) -> Iterator[Any]:
    """Treats every end as a normal end."""
    try:
        yield from perfect.exchange(job)
    except perfect.BadAnswer:
        return


def paranoid(job: Job, _: None = None) -> Iterator[Any]:
    """Raises although the answer is complete."""
    yield from perfect.exchange(job)
    raise perfect.BadAnswer("something must be wrong")


def hoarder(job: Job, _: None = None) -> Iterator[Any]:
    """Yields no record before the answer is complete."""
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
    """Ends its process."""
    yield from perfect.exchange(job)
    os._exit(86)


def insistent(job: Job, _: None = None) -> Iterator[Any]:
    """Sends a failed request again, although a generation is not idempotent."""
    try:
        yield from perfect.exchange(job)
    except perfect.BadAnswer:
        yield from perfect.exchange(job)


def leaking(job: Job, _: None = None) -> Iterator[Any]:
    """Never closes an answer that its user has stopped reading."""
    records = perfect.exchange(job)
    _kept.append(records)
    for record in records:  # noqa: UP028 - `yield from` would close it
        yield record


_kept: list[Iterator[Any]] = []


def astray(job: Job, _: None = None) -> Iterator[Any]:
    """Uses the proxy for excluded hosts as well."""
    yield from perfect.exchange(replace(job, url=os.environ.get("HTTP_PROXY", job.url)))


def trusting(job: Job, _: None = None) -> Iterator[Any]:
    """Treats whatever ends an answer as a normal end after ten records."""
    count = 0
    try:
        for record in perfect.exchange(job):
            yield record
            count += 1
    except (perfect.BadAnswer, OSError):
        if count < 10:
            raise


def patient(job: Job, _: None = None) -> Iterator[Any]:
    """Waits almost twice as long as its read timeout."""
    yield from perfect.exchange(replace(job, read_timeout_s=1.9 * job.read_timeout_s))


def dawdling(job: Job, _: None = None) -> Iterator[Any]:
    """Does nothing for a while before it sends its request."""
    time.sleep(_IDLE_S)
    yield from perfect.exchange(job)


def lingering(job: Job, _: None = None) -> Iterator[Any]:
    """Does nothing for a while before it reports the end of the answer."""
    yield from perfect.exchange(job)
    time.sleep(_IDLE_S)


def courteous(job: Job, _: None = None) -> Iterator[Any]:
    """First checks whether Ollama is there and what it has, as Ollama's own command line does. That is right."""
    for request in _FIRST:
        if request.path != job.request.path:
            with suppress(perfect.BadAnswer):
                list(perfect.exchange(replace(job, request=request)))
    yield from perfect.exchange(job)


_FIRST = (
    Request(method="HEAD", path="/"),
    Request(method="GET", path="/api/version"),
    Request(method="POST", path="/api/show", json={"model": "smollm2:135m"}),
)


def slow(job: Job, _: None = None) -> Iterator[Any]:
    """Is a little slow before each record, and very slow before a request in the middle of another. That is right."""
    if _under_way:
        time.sleep(_SLOW_S)
    _under_way.append(job)
    try:
        for record in perfect.exchange(job):
            time.sleep(0.005)
            yield record
    finally:
        _under_way.remove(job)


_under_way: list[Job] = []


# ------------------------------------------------------------------------------------------------- spoiled records


def _texts(change: Callable[[str], str]) -> Callable[[Any], Any]:
    """Changes every text in a record, but not the names of its fields."""
    return _values(lambda value: change(value) if isinstance(value, str) else value)


def _values(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Changes every value in a record that is neither an object nor a list."""

    def changed(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: changed(inner) for key, inner in value.items()}
        return list(map(changed, value)) if isinstance(value, list) else change(value)

    return changed


def _without(*names: str) -> Callable[[Any], Any]:
    """Leaves out fields."""
    return lambda record: {key: value for key, value in record.items() if key not in names}


#: The canaries that spoil each record: name, change, and the only scenario in which the change shows.
_SPOILED: tuple[tuple[str, Callable[[Any], Any], str], ...] = (
    ("float-maker", _values(lambda value: float(value) if type(value) is int else value), WHOLE),
    ("nfc", _texts(lambda text: unicodedata.normalize("NFC", text)), "text-decomposed"),
    ("crlf-folder", _texts(lambda text: text.replace("\r\n", "\n")), "text-crlf"),
    ("html-unescaper", _texts(html.unescape), "text-entities"),
    ("bom-dropper", _texts(lambda text: text.replace("\ufeff", "")), "text-u-feff"),
    ("nul-dropper", _texts(lambda text: text.replace("\0", "")), "text-nul"),
    ("surrogate-replacer", _texts(lambda text: re.sub("[\ud800-\udfff]", "\ufffd", text)), "lone-surrogate"),
)


def _canary(
    exchange: ExchangeFunction,
    earns: dict[str | None, Verdict],
    *,
    deadline_s: float | None = None,
) -> Client:
    return Client(
        name=f"canary-{exchange.__name__}",
        distribution="",
        layer=Layer.OLLAMA,
        contract=perfect.CLIENTS[0].contract,
        exchange=exchange,
        earns=earns,
        deadline_s=deadline_s,
    )


def _spoiler(
    name: str, change: Callable[[Any], Any], earns: dict[str | None, Verdict], *, layer: Layer = Layer.OLLAMA
) -> Client:
    def exchange(job: Job, _: None = None) -> Iterator[Any]:
        yield from map(change, perfect.exchange(job))

    return replace(_canary(exchange, earns), name=f"canary-{name}", layer=layer, spoils=change)


CLIENTS = [
    *perfect.CLIENTS,
    _canary(deaf, over_v1({WHOLE: Verdict.PASS, CUT: Verdict.SILENT_LOSS})),
    _canary(paranoid, over_v1({WHOLE: Verdict.FALSE_ALARM, CUT: Verdict.PASS})),
    _canary(hoarder, over_v1({WHOLE: Verdict.PASS, CUT: Verdict.BUFFERED, LOCK_STEP: Verdict.BUFFERED})),
    _canary(vague, over_v1({WHOLE: Verdict.PASS, CUT: Verdict.UNDOCUMENTED})),
    _canary(insistent, over_v1({WHOLE: Verdict.PASS, SILENT: Verdict.UNSAFE_RETRY})),
    _canary(leaking, over_v1({WHOLE: Verdict.PASS, ABANDONED: Verdict.LEAK})),
    _canary(astray, {WHOLE: Verdict.PASS, EXCLUDED: Verdict.MISROUTED}),
    _canary(trusting, over_v1({CUT: Verdict.PASS, **dict.fromkeys(MANY, Verdict.SILENT_LOSS)})),
    _canary(patient, over_v1({WHOLE: Verdict.PASS, "pause-just-over-timeout": Verdict.HANG})),
    _canary(dawdling, over_v1({WHOLE: Verdict.PASS, PROMPT: Verdict.BUFFERED})),
    _canary(lingering, over_v1({WHOLE: Verdict.PASS, PROMPT: Verdict.BUFFERED})),
    _canary(courteous, over_v1(dict.fromkeys((WHOLE, CUT, LOCK_STEP, MEANWHILE, PROMPT), Verdict.PASS))),
    _canary(slow, over_v1(dict.fromkeys((WHOLE, CUT, LOCK_STEP, MEANWHILE), Verdict.PASS))),
    *(
        _spoiler(name, change, {CUT: Verdict.PASS, **over_v1({found_by: Verdict.CORRUPT})})
        for name, change, found_by in _SPOILED
    ),
    _spoiler("logprobs-dropper", _without("logprobs"), {CUT: Verdict.PASS, "logprobs": Verdict.CORRUPT}),
    _spoiler(
        "empty-handed",
        lambda record: record if "done" in record else {},
        {CUT: Verdict.PASS, "models": Verdict.CORRUPT},
    ),
    _spoiler(
        "inventor",
        lambda record: {**record, "confidence": 1.0},
        over_v1({WHOLE: Verdict.CORRUPT, CUT: Verdict.CORRUPT}),
    ),
    # An HTTP library yields whole objects, so that not even a field that nobody misses may be gone.
    _spoiler("field-dropper", _without("created_at"), {WHOLE: Verdict.CORRUPT}, layer=Layer.HTTP),
    # It hangs whatever the machine's load, so its deadline may be short.
    _canary(hanging, {WHOLE: Verdict.HANG}, deadline_s=2.0),
    _canary(crashing, {WHOLE: Verdict.CRASH}),
]
