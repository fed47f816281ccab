"""Streams per second: the fake server compared with the bare one and with its peer, alternately.

One round is one keep-alive connection with requests one after another; the client is a process of its own. Rounds
alternate (fake, bare, fake, bare, …), and each fake round is compared with the round next to it, so that a machine that
gets slower for a while slows all.

“serve” is `ollama-harness serve`, and each server that it is compared with is a process too. “in process”
both servers are threads of this process; the one that is not being asked only waits. The processor time of this process
in a round is then that of the server, as nothing else runs here: it says what a stream costs, however long the machine
makes it wait.
"""

from __future__ import annotations

import contextlib
import time

from benchmarks import server_process, workload
from benchmarks.bare import BareServer
from benchmarks.client_process import ClientProcess
from benchmarks.figures import Aim, Section, Value, spread
from benchmarks.peers import AIMOCK, PeerMissing, aimock
from ollama_harness import FakeOllama, Recording, RecordingStore, Script

__all__ = ["AIM_IN_PROCESS", "AIM_PEER", "AIM_SERVE", "measure"]

#: Of the bare server's streams per second.
AIM_SERVE, AIM_IN_PROCESS = 0.6, 0.8
#: Of the peer's.
AIM_PEER = 3.0
#: A recording that the server finds by its request, among all of its version.
MATCHED = "generate-stream"
_STREAMS = 150

Rows = list[tuple[Value, ...]]


def measure(client: ClientProcess, store: RecordingStore, *, rounds: int) -> Section:
    """Rounds of all servers: in processes of their own, in this one, and for a stream that is found by the request."""
    section = Section(
        "throughput",
        "Streams per second",
        f"{workload.RECORDS} records; one keep-alive connection, {_STREAMS} requests a round, no gaps; {rounds} rounds "
        f"of each server, in turn ({rounds // 2} where the request is matched). The ratio is taken round by round.",
        ("servers", "what", "min", "median", "max"),
    )
    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(server_process.serve_shortened(workload.shortened(store), "--speed", "0"))
        others = {"bare server": stack.enter_context(server_process.bare()).port}
        try:
            others[AIMOCK] = stack.enter_context(aimock(records=workload.RECORDS, gap_s=0)).port
        except PeerMissing as missing:
            section.sentences.append(f"{missing}.")
        ratios = _processes(
            section.rows, client, workload.request(workload.shortened(store)), ours.port, others, rounds
        )
    section.aims.append(Aim("median ratio, serve to the bare server", ratios["bare server"], AIM_SERVE, at_least=True))
    if AIMOCK in ratios:
        section.aims.append(Aim(f"median ratio, serve to {AIMOCK}", ratios[AIMOCK], AIM_PEER, at_least=True))
    with FakeOllama(store=store) as server:
        server.play(workload.script(store), path=workload.PATH)
        ratio = _threads(
            section.rows, client, server, workload.shortened(store), workload.script(store), "play", rounds
        )
    section.aims.append(Aim("median ratio, in process, play()", ratio, AIM_IN_PROCESS, at_least=True))
    recording = store.get(f"{store.newest}/{MATCHED}")
    with FakeOllama(store=store, speed=0) as server:
        script = Script.from_recording(recording, speed=0)
        _threads(section.rows, client, server, recording, script, "matched", rounds // 2)
    return section


def _processes(
    rows: Rows, client: ClientProcess, request: bytes, port: int, others: dict[str, int], rounds: int
) -> dict[str, float]:
    """Add the rows of servers in processes; the median of the ratios to each of the others."""

    def a_round(port: int) -> float:
        return _STREAMS / client.streams(port, request, count=_STREAMS, records=workload.RECORDS)

    for one in (port, *others.values()):
        a_round(one)  # to warm up
    ours: list[float] = []
    theirs: dict[str, list[float]] = {name: [] for name in others}
    for _ in range(rounds):
        ours.append(a_round(port))
        for name, other in others.items():
            theirs[name].append(a_round(other))
    where = "processes"
    rows.append((where, "serve, streams/s", *spread(ours)))
    ratios = {name: [mine / his for mine, his in zip(ours, speeds, strict=True)] for name, speeds in theirs.items()}
    for name, speeds in theirs.items():
        rows.append((where, f"{name}, streams/s", *spread(speeds)))
        rows.append((where, f"ratio to {name}", *spread(ratios[name])))
    return {name: spread(values)[1] for name, values in ratios.items()}


def _threads(
    rows: Rows,
    client: ClientProcess,
    server: FakeOllama,
    recording: Recording,
    script: Script,
    name: str,
    rounds: int,
) -> float:
    """Add the rows of one stream in this process; the median of the ratios."""
    segments, request, records = workload.segments(script), workload.request(recording), len(script.record_ends())

    def a_round(port: int) -> tuple[float, float]:
        """Streams per second, and microseconds of processor time for each stream."""
        cpu = time.process_time()
        seconds = client.streams(port, request, count=_STREAMS, records=records)
        return _STREAMS / seconds, (time.process_time() - cpu) * 1e6 / _STREAMS

    with BareServer(segments) as other:
        for port in (server.port, other.port):
            a_round(port)  # to warm up
        pairs = [(a_round(server.port), a_round(other.port)) for _ in range(rounds)]
    fake, bare = zip(*pairs, strict=True)
    ratios = [ours[0] / theirs[0] for ours, theirs in pairs]
    where = f"in process, {name}"
    rows.append((where, "FakeOllama, streams/s", *spread([speed for speed, _ in fake])))
    rows.append((where, "bare server, streams/s", *spread([speed for speed, _ in bare])))
    rows.append((where, "ratio to bare server", *spread(ratios)))
    rows.append((where, "FakeOllama, CPU µs/stream", *spread([cpu for _, cpu in fake])))
    rows.append((where, "bare server, CPU µs/stream", *spread([cpu for _, cpu in bare])))
    return spread(ratios)[1]
