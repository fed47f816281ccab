"""How late records are: a gap of 20 ms before each segment, one stream and 20 streams at once.

A segment's lateness is the time at which the server had written it (the journal's `sent`) minus the time planned for
it, both from the arrival of the request. Drift is the mean lateness of the last ten segments of a stream minus that of
its first ten. All connections are open before; then the requests are sent one right after the other.

The client (a process of its own) says when each segment had arrived, from the sending of its request. The least delay
of any segment of a stream is the time that the server took to take up the request (the plan counts from there) and
to deliver; it is a row of its own, and the rows “arrived” are without it.

For comparison as many threads only sleep until the same times, with no server at all: what this machine and this
Python can do at best.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Sequence

from benchmarks import workload
from benchmarks.client_process import ClientProcess
from benchmarks.figures import Aim, Section, percentile
from ollama_harness import FakeOllama, RecordingStore

__all__ = ["AIM_P99_MS", "measure"]

#: Streams at once -> the aim for the 99th percentile.
AIM_P99_MS = {1: 1.0, 20: 3.0}
#: Lateness may not grow by more than this over a stream; it is the noise of a mean of ten.
AIM_DRIFT_MS = 0.5
_GAP_S = 0.02
_TEN = 10

Streams = list[list[float]]


def measure(client: ClientProcess, store: RecordingStore, *, rounds: int) -> Section:
    """`rounds` times 20 streams at once, and twice as often one alone."""
    section = Section(
        "lateness",
        "Lateness of records, in milliseconds",
        f"{workload.RECORDS} records, a gap of {_GAP_S * 1000:.0f} ms before each segment. “written”: by the server's "
        "journal; “arrived”: by the client, less the time that the request took to be taken up; “only sleeping”: "
        "threads without a server.",
        ("streams at once", "what", "count", "p50", "p99", "max", "drift"),
    )
    script = workload.script(store, gap_s=_GAP_S)
    planned = [send.at_s for send in script.segments]
    ends, request = workload.ends(script), workload.request(workload.shortened(store))
    for count, aim in AIM_P99_MS.items():
        written: Streams = []
        arrived: Streams = []
        slept: Streams = []
        for _ in range(rounds if count > 1 else 2 * rounds):
            with FakeOllama(version=None) as server:
                server.play(script, path=workload.PATH)
                arrived += client.arrivals(server.port, request, count=count, ends=ends)
                server.journal.wait_until_settled()
                written += [[at_s for at_s, _ in entry.sent] for entry in server.journal.entries]
            slept += _only_sleep(planned, count=count)
        taken_up = [min(_late_ms(stream, planned)) for stream in arrived]
        arrived = [[at_s - least / 1000 for at_s in stream] for stream, least in zip(arrived, taken_up, strict=True)]
        for what, times in (("written", written), ("arrived", arrived), ("only sleeping", slept)):
            section.rows.append((count, what, *_figures(times, planned)))
        section.rows.append((count, "request taken up", len(taken_up), *_percentiles(taken_up), "–"))
        *_, p99, _, drift = _figures(written, planned)
        streams = "1 stream" if count == 1 else f"{count} streams"
        section.aims.append(Aim(f"p99 of {streams}, written, ms", p99, aim))
        section.aims.append(Aim(f"drift of {streams}, written, ms", drift, AIM_DRIFT_MS))
    return section


def _figures(times: Streams, planned: Sequence[float]) -> tuple[int, float, float, float, float]:
    """How many, p50, p99, maximum and drift, the last four in milliseconds."""
    late = [_late_ms(stream, planned) for stream in times]
    every = [value for stream in late for value in stream]
    drift = statistics.mean(statistics.mean(stream[-_TEN:]) - statistics.mean(stream[:_TEN]) for stream in late)
    return len(every), *_percentiles(every), drift


def _late_ms(stream: Sequence[float], planned: Sequence[float]) -> list[float]:
    return [(at_s - due_s) * 1000 for at_s, due_s in zip(stream, planned, strict=True)]


def _percentiles(values: Sequence[float]) -> tuple[float, float, float]:
    return percentile(values, 50), percentile(values, 99), max(values)


def _only_sleep(planned: Sequence[float], *, count: int) -> Streams:
    """The lateness of `count` threads that only sleep until the planned times."""
    streams: Streams = [[] for _ in range(count)]

    def sleep(times: list[float]) -> None:
        since = time.monotonic()
        for at_s in planned:
            time.sleep(max(0.0, since + at_s - time.monotonic()))
            times.append(time.monotonic() - since)

    threads = [threading.Thread(target=sleep, args=(times,)) for times in streams]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return streams
