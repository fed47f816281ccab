"""What TLS and an upstream cost each record of a stream: from its write until the client has it.

The server behind everything is a FakeOllama in this process, which plays a stream with a gap before each segment. A
client in another process asks it without anything between, through TLS, through a `serve` that sends the request on to
it, and through both. The journal has the moment at which each record was written, and the client the moment at which it
arrived; the two clocks are the same one. So what it costs to take up the request does not count.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import server_process, workload
from benchmarks.client_process import ClientProcess
from benchmarks.figures import Aim, Section, percentile
from benchmarks.process_usage import raise_open_files
from ollama_harness import FakeOllama, RecordingStore

__all__ = ["AIM_MS", "measure"]

#: What an upstream may add to a record.
AIM_MS = 1.0
_GAP_S = 0.02
_MANY = 200
_UPSTREAM = "an upstream"


def measure(client: ClientProcess, store: RecordingStore, *, rounds: int) -> Section:
    """So many streams one after another through each of them, and many at once through an upstream."""
    section = Section(
        "in-front",
        "TLS and an upstream, in milliseconds a record",
        f"From its write until the client has it: {workload.RECORDS} records, {1 / _GAP_S:.0f} a second, {rounds} "
        "streams one after another. “more”: than with nothing in front, at the median.",
        ("in front", "p50", "p99", "max", "more"),
    )
    if len({time.get_clock_info(name).implementation for name in ("monotonic", "perf_counter")}) > 1:
        section.sentences.append("Not measured here: the clocks of this system are not one.")
        return section
    raise_open_files()
    request, plain_ms = workload.request(workload.shortened(store)), 0.0
    for name in ("nothing", "TLS", _UPSTREAM, "TLS and an upstream"):
        with FakeOllama(version=None, tls="good" if name == "TLS" else None) as behind:
            behind.play(workload.script(store, gap_s=_GAP_S), path=workload.PATH)
            with _in_front(behind, name) as (port, trust):
                taken = [one for _ in range(rounds) for one in _taken_ms(client, behind, port, trust, request)]
                middle = percentile(taken, 50)
                plain_ms = plain_ms or middle
                section.rows.append((name, middle, percentile(taken, 99), max(taken), middle - plain_ms))
                if name != _UPSTREAM:
                    continue
                section.aims.append(Aim("what an upstream adds to a record, ms", middle - plain_ms, AIM_MS))
                arrived = client.arrivals(port, request, count=_MANY, records=workload.RECORDS).times
                lost = _MANY * workload.RECORDS - sum(map(len, arrived))
                section.aims.append(Aim(f"records lost of {_MANY} streams through an upstream", lost, 0))
    return section


def _taken_ms(client: ClientProcess, behind: FakeOllama, port: int, trust: str | None, request: bytes) -> list[float]:
    """How long each record of one stream took to the client."""
    behind.journal.clear()
    arrivals = client.arrivals(port, request, count=1, records=workload.RECORDS, trust=trust)
    behind.journal.wait_until_settled()
    (entry,) = behind.journal.entries
    written = [entry.arrived_s + at_s for at_s, _ in entry.sent[: workload.RECORDS]]
    arrived = [arrivals.since[0] + at_s for at_s in arrivals.times[0]]
    return [(late - early) * 1000 for early, late in zip(written, arrived, strict=True)]


@contextlib.contextmanager
def _in_front(behind: FakeOllama, name: str) -> Iterator[tuple[int, str | None]]:
    """The port that a client connects to, and the file with the certificate that it trusts."""
    with tempfile.TemporaryDirectory() as folder:
        trust = Path(folder) / "ca.pem"
        if behind.certificate is not None:
            trust.write_bytes(behind.certificate.ca_pem)
        if _UPSTREAM not in name:
            yield behind.port, str(trust) if behind.certificate is not None else None
            return
        tls = ("--tls", "good", "--tls-ca", str(trust)) if "TLS" in name else ()
        with server_process.serve("--upstream", behind.url, *tls) as server:
            yield server.port, str(trust) if tls else None
