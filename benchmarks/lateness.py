"""How late records are: 20 records a second in each stream, one stream and up to a thousand at once.

All connections are open before; then the requests are sent one right after the other, which is the worst moment for a
server. The client is a process of its own and reads all streams in one loop.

“first record”: when the client had it, minus when it was due after the request was sent. So this counts the time that
the request waited for its turn. “arrived”: the same for every record, less the least delay of any record of its stream,
which is the time to take up the request (the server's plan counts from there) and to deliver. “written”: the moment at
which the server had written a record (the journal's `sent`) minus the moment planned for it, both from the arrival of
the request; a server in a process of its own does not tell. Drift is the mean lateness of the last ten records of a
stream minus that of its first ten.

“only waiting” is one thread that sleeps until the same moments, one after the other, with no server at all: what this
machine and this Python can do at best.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks import server_process, workload
from benchmarks.client_process import Arrivals, ClientProcess
from benchmarks.figures import Aim, Section, Value, percentile
from benchmarks.peers import AIMOCK, PeerMissing, aimock
from benchmarks.process_usage import raise_open_files
from ollama_harness import FakeOllama, RecordingStore

__all__ = ["AIM_P99_MS", "measure"]

#: Streams at once -> the aim for the 99th percentile; None: there is no aim.
AIM_P99_MS = {1: 1.0, 200: 5.0, 500: None, 1000: 50.0}
#: The aim for the 99th percentile of first records, with the most streams.
AIM_FIRST_MS = 200.0
#: Lateness of one stream may not grow by more than this; it is the noise of a mean of ten.
AIM_DRIFT_MS = 0.5
GAP_S = 0.05
#: With so many streams the peer is measured too.
_BESIDE_PEER = 200
_TEN = 10

Streams = list[list[float]]
_DUE_S = [GAP_S * number for number in range(1, workload.RECORDS + 1)]


@dataclass(frozen=True, slots=True)
class _Measured:
    """One server under so many streams: its name, what arrived, and what its journal says was written, if it tells."""

    count: int
    server: str
    arrived: Arrivals
    written: Streams | None = None


def measure(
    client: ClientProcess, store: RecordingStore, *, counts: Sequence[int] = tuple(AIM_P99_MS), alone: int
) -> Section:
    """Once so many streams at once, for each of `counts`; one stream `alone` times."""
    raise_open_files()
    section = Section(
        "lateness",
        "Lateness of records, in milliseconds",
        f"{workload.RECORDS} records in each stream, {1 / GAP_S:.0f} a second, all requests at the same moment. “first "
        "record”: from the request; “arrived”: by the client, less the time that the request took to be taken up; "
        "“written”: by the server's journal; “only waiting”: a thread without a server.",
        ("streams at once", "server", "what", "count", "lost", "p50", "p99", "max", "drift"),
    )
    busy = []
    for count in counts:
        rounds = alone if count == 1 else 1
        for measured in (_in_process(client, store, count, rounds), _serve(client, store, count, rounds)):
            _add(section, measured, count * rounds)
            busy.append(measured.arrived.busy)
        if count == _BESIDE_PEER:
            try:
                _add(section, _peer(client, store, count), count)
            except PeerMissing as missing:
                section.sentences.append(f"{missing}.")
        slept = _figures(_only_wait(count), _DUE_S)
        section.rows.append((count, "–", "only waiting", count * workload.RECORDS, "–", *slept))
    section.sentences.append(f"The client used at most {max(busy):.0%} of a core, so it was not what limited the rest.")
    return section


def _in_process(client: ClientProcess, store: RecordingStore, count: int, rounds: int) -> _Measured:
    with FakeOllama(version=None) as server:
        server.play(workload.script(store, gap_s=GAP_S), path=workload.PATH)
        arrived = _arrivals(client, server.port, store, count, rounds)
        server.journal.wait_until_settled()
        written = [[at_s for at_s, _ in entry.sent[: workload.RECORDS]] for entry in server.journal.entries]
    return _Measured(count, "FakeOllama", arrived, written)


def _serve(client: ClientProcess, store: RecordingStore, count: int, rounds: int) -> _Measured:
    with server_process.serve_shortened(workload.shortened(store), "--gap", str(GAP_S)) as server:
        return _Measured(count, "serve", _arrivals(client, server.port, store, count, rounds))


def _peer(client: ClientProcess, store: RecordingStore, count: int) -> _Measured:
    request = workload.request(workload.shortened(store))
    with aimock(records=workload.RECORDS, gap_s=GAP_S) as server:
        client.streams(server.port, request, count=1, records=workload.RECORDS)  # to warm up
        return _Measured(count, AIMOCK, _arrivals(client, server.port, store, count, 1))


def _arrivals(client: ClientProcess, port: int, store: RecordingStore, count: int, rounds: int) -> Arrivals:
    request = workload.request(workload.shortened(store))
    runs = [client.arrivals(port, request, count=count, records=workload.RECORDS) for _ in range(rounds)]
    return Arrivals(
        [times for run in runs for times in run.times],
        [since for run in runs for since in run.since],
        max(run.busy for run in runs),
    )


def _add(section: Section, measured: _Measured, streams: int) -> None:
    """Add the rows of one server, and the aims that are for it."""
    count, server, times = measured.count, measured.server, measured.arrived.times
    lost = streams * workload.RECORDS - sum(map(len, times))
    there = [stream for stream in times if stream]
    first = [_late_ms(stream[:1], _DUE_S)[0] for stream in there]
    taken_up = [min(_late_ms(stream, _DUE_S)) for stream in there]
    arrived = [[at_s - least / 1000 for at_s in stream] for stream, least in zip(there, taken_up, strict=True)]
    rows: list[tuple[Value, ...]] = [
        (count, server, "first record", len(first), streams - len(first), *_percentiles(first), "–"),
        (count, server, "arrived", sum(map(len, there)), lost, *_figures(arrived, _DUE_S)),
    ]
    if measured.written is not None:
        figures = _figures(measured.written, _DUE_S)
        rows.append((count, server, "written", sum(map(len, measured.written)), "–", *figures))
    section.rows.extend(rows)
    if server == AIMOCK:
        return
    name = f"{server}, 1 stream" if count == 1 else f"{server}, {count:,} streams"
    section.aims.append(Aim(f"{name}: records lost", lost, 0))
    if (aim := AIM_P99_MS.get(count)) is not None:
        section.aims.append(Aim(f"{name}: p99, arrived, ms", float(rows[1][6]), aim))
    if count == 1:
        section.aims.append(Aim(f"{name}: drift, arrived, ms", float(rows[1][8]), AIM_DRIFT_MS))
    if count == max(AIM_P99_MS):
        section.aims.append(Aim(f"{name}: p99 of first records, ms", float(rows[0][6]), AIM_FIRST_MS))


def _figures(times: Streams, due: Sequence[float]) -> tuple[float, float, float, float]:
    """p50, p99, maximum and drift, in milliseconds. Streams that broke have no drift."""
    late = [_late_ms(stream, due) for stream in times]
    every = [value for stream in late for value in stream]
    whole = [statistics.mean(one[-_TEN:]) - statistics.mean(one[:_TEN]) for one in late if len(one) == len(due)]
    return *_percentiles(every), statistics.mean(whole) if whole else float("nan")


def _late_ms(stream: Sequence[float], due: Sequence[float]) -> list[float]:
    return [(at_s - due_s) * 1000 for at_s, due_s in zip(stream, due, strict=False)]


def _percentiles(values: Sequence[float]) -> tuple[float, float, float]:
    return percentile(values, 50), percentile(values, 99), max(values)


def _only_wait(count: int) -> Streams:
    """The lateness of one thread that sleeps until each moment of `count` streams, which begin evenly over one gap."""
    streams: Streams = [[] for _ in range(count)]
    begins = [GAP_S * index / count for index in range(count)]
    since = time.monotonic()
    for due_s in _DUE_S:
        for begin_s, times in zip(begins, streams, strict=True):
            wait_s = since + begin_s + due_s - time.monotonic()
            if wait_s > 0:
                time.sleep(wait_s)
            times.append(time.monotonic() - since - begin_s)
    return streams
