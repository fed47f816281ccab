"""How long `serve` takes to read a long request in chunks, and whether that time grows with its size only."""

from __future__ import annotations

from itertools import product

from benchmarks import server_process, workload
from benchmarks.client_process import ClientProcess
from benchmarks.figures import Aim, Section, spread
from ollama_harness import RecordingStore

__all__ = ["AIM_S", "AIM_TIMES", "measure"]

_MB = 1_000_000
_SIZES_MB = (8, 32)
_CHUNKS_BYTES = (1024, 65536)
#: For 32 MB. A body is read, decoded from its chunks, and parsed as JSON.
AIM_S = 1.0
#: Four times the size may take so many times as long: linear, and a little for the machine.
AIM_TIMES = 6.0
_HEAD = f"POST {workload.PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n".encode()


def measure(client: ClientProcess, store: RecordingStore, *, rounds: int) -> Section:
    """Upload a JSON text of each size in chunks of each size, so many times."""
    section = Section(
        "uploads",
        "A chunked request, in seconds",
        f"From its first byte to the end of the answer, a stream of {workload.RECORDS} records; {rounds} times each.",
        ("size", "chunks of", "min", "median", "max"),
    )
    with server_process.serve_shortened(workload.shortened(store), "--speed", "0") as server:
        for chunk_bytes, size_mb in product(_CHUNKS_BYTES, _SIZES_MB):
            sizes = {"size_bytes": size_mb * _MB, "chunk_bytes": chunk_bytes, "records": workload.RECORDS}
            times = [client.upload(server.port, _HEAD, **sizes) for _ in range(rounds)]
            section.rows.append((f"{size_mb} MB", f"{chunk_bytes / 1024:.0f} KiB", *spread(times)))
    for shorter, longer in zip(section.rows[::2], section.rows[1::2], strict=True):
        what = f"{longer[0]} in chunks of {longer[1]}"
        section.aims.append(Aim(f"{what}, median s", float(longer[3]), AIM_S))
        times_as_long = float(longer[2]) / float(shorter[2])
        section.aims.append(Aim(f"{what}, times as long as {shorter[0]}", times_as_long, AIM_TIMES))
    return section
