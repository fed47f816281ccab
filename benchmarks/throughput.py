"""Streams per second: the fake server compared with the bare one, alternately, on the same bytes.

Both servers are threads of this process, the client is a process of its own; the server that is not being asked only
waits for a connection. One round is one keep-alive connection with requests one after another. Rounds alternate (fake,
bare, fake, bare, …), and each fake round is compared with the bare round next to it, so that a machine that gets slower
for a while slows both. The processor time of this process in a round is that of the server's thread, as nothing else
runs here: it says what a stream costs, however long the machine makes it wait.
"""

from __future__ import annotations

import time

from benchmarks import workload
from benchmarks.bare import BareServer
from benchmarks.client_process import ClientProcess
from benchmarks.figures import Aim, Section, spread
from ollama_harness import FakeOllama, Recording, RecordingStore, Script

__all__ = ["AIM_RATIO", "measure"]

AIM_RATIO = 0.6
#: A recording that the server finds by its request, among all of its version.
MATCHED = "generate-stream"
_STREAMS = 150


def measure(client: ClientProcess, store: RecordingStore, *, rounds: int) -> Section:
    """Rounds of both servers: for a stream given by `play`, and for one that the server finds by the request."""
    section = Section(
        "throughput",
        "Streams per second",
        f"One keep-alive connection, {_STREAMS} requests a round, no gaps; {rounds} rounds of each server, in turn "
        f"({rounds // 2} where the request is matched). The ratio is taken round by round.",
        ("stream", "what", "min", "median", "max"),
    )
    recording = workload.shortened(store)
    with FakeOllama(store=store) as server:
        server.play(workload.script(store), path=workload.PATH)
        ratio = _compare(section, client, server, recording, workload.script(store), "play()", rounds)
    section.aims.append(Aim("median ratio, play()", ratio, AIM_RATIO, at_least=True))
    recording = store.get(f"{store.newest}/{MATCHED}")
    with FakeOllama(store=store, speed=0) as server:
        _compare(section, client, server, recording, Script.from_recording(recording, speed=0), "matched", rounds // 2)
    return section


def _compare(
    section: Section,
    client: ClientProcess,
    server: FakeOllama,
    recording: Recording,
    script: Script,
    name: str,
    rounds: int,
) -> float:
    """Add the rows of one stream; the median of the ratios."""
    segments, request = workload.segments(script), workload.request(recording)
    size = sum(len(segment) for segment in segments)

    def a_round(port: int) -> tuple[float, float]:
        """Streams per second, and microseconds of processor time for each stream."""
        cpu = time.process_time()
        seconds = client.streams(port, request, count=_STREAMS, size=size)
        return _STREAMS / seconds, (time.process_time() - cpu) * 1e6 / _STREAMS

    with BareServer(segments) as other:
        for port in (server.port, other.port):
            a_round(port)  # to warm up
        pairs = [(a_round(server.port), a_round(other.port)) for _ in range(rounds)]
    fake, bare = zip(*pairs, strict=True)
    ratios = [ours[0] / theirs[0] for ours, theirs in pairs]
    stream = f"{len(script.record_ends())} records, {name}"
    section.rows.append((stream, "FakeOllama, streams/s", *spread([speed for speed, _ in fake])))
    section.rows.append((stream, "bare server, streams/s", *spread([speed for speed, _ in bare])))
    section.rows.append((stream, "ratio", *spread(ratios)))
    section.rows.append((stream, "FakeOllama, CPU µs/stream", *spread([cpu for _, cpu in fake])))
    section.rows.append((stream, "bare server, CPU µs/stream", *spread([cpu for _, cpu in bare])))
    return spread(ratios)[1]
