"""The memory that a long recording takes: a short and a long one, each played from disk by a process of its own.

`python -m benchmarks.player_memory` measures this alone, and fails if the long one takes too much.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks import peak_memory, workload
from benchmarks.client_process import ClientProcess
from benchmarks.figures import Aim, Section
from ollama_harness import FakeOllama, RecordingStore
from ollama_harness.recordings import files as recording_files
from ollama_harness.recordings import meta as recording_meta
from ollama_harness.recordings.recording import META_SUFFIX, RecordedEnd, Recording, Request, Response
from ollama_harness.script.script import Script, http_date

__all__ = ["AIM_MB", "measure"]

#: How much more a long recording may take than a short one.
AIM_MB = 50.0
_MB = 1_000_000
_RECORD = b'{"model":"m","created_at":"2026-11-22T19:20:02.123456Z","response":"' + b"x" * 44 + b'","done":false}\n'
_ID = "1.0.0/generate-long"


def measure(*, long_mb: int = 100) -> Section:
    """The peak with a recording of 1 MB, and with one of `long_mb`."""
    section = Section(
        "player_memory",
        "Memory of the fake server",
        f"Loads a recording of {len(_RECORD)} bytes a frame from disk, plays it once without gaps, and keeps its "
        "journal; a process for each, at its peak.",
        ("body", "frames", "MB"),
    )
    peaks = []
    for size_mb in (1, long_mb):
        with tempfile.TemporaryDirectory() as folder:
            frames = _write(Path(folder), size_mb * _MB // len(_RECORD))
            peaks.append(peak_memory.of_module("benchmarks.player_memory", folder) / _MB)
        section.rows.append((f"{size_mb} MB", frames, peaks[-1]))
    section.aims.append(Aim(f"MB that {long_mb} MB take more than 1 MB", peaks[1] - peaks[0], AIM_MB))
    return section


def _write(root: Path, frames: int) -> int:
    """Put a recording of so many frames, a millisecond apart, under `root`, and return their number.

    It is written piece by piece: one that is saved as a whole would be in memory.
    """
    chunked = (("Content-Type", "application/x-ndjson"), ("Date", ""), ("Transfer-Encoding", "chunked"))
    empty = Recording(
        id=_ID,
        ollama_version="1.0.0",
        recorded_at="2026-11-22T19:20:02+00:00",
        platform="made by hand",
        request=Request(method="POST", path=workload.PATH, json={"model": "m"}),
        response=Response(status=200, reason="OK", headers=chunked, head_at_s=0.0),
        frames=(),
        ended=RecordedEnd.COMPLETE,
        ended_at_s=frames / 1000,
    )
    stem = recording_files.save(empty, root / "1.0.0")
    before, after = recording_meta.dump(empty).split('"frames": []')
    with stem.with_name(f"{stem.name}.ndjson").open("wb") as body:
        body.writelines(_RECORD for _ in range(frames))
    with stem.with_name(stem.name + META_SUFFIX).open("w", encoding="utf-8", newline="\n") as meta:
        meta.write(f'{before}"frames": [\n')
        meta.writelines(f"  [{index / 1000}, {len(_RECORD)}],\n" for index in range(1, frames))
        meta.write(f"  [{frames / 1000}, {len(_RECORD)}]\n ]{after}")
    return frames


def _play(root: Path) -> None:
    """What the measured process does."""
    store = RecordingStore(root)
    recording = store.get(_ID)
    head, first = Script.from_recording(recording).render(date=http_date()).segments[:2]
    size = len(head.data) + len(recording.frames) * len(first.data) + len(b"0\r\n\r\n")
    with FakeOllama(store=store, speed=0) as server, ClientProcess() as client:
        client.streams(server.port, workload.request(recording), count=1, size=size)
        server.journal.wait_until_settled()
        if len(server.journal.entries[0].sent) < len(recording.frames):
            raise ValueError("the recording was not played to its end")


def main() -> int:
    """Measure, or, with a folder, be what is measured."""
    if len(sys.argv) > 1:
        _play(Path(sys.argv[1]))
        print(peak_memory.of_this_process())
        return 0
    section = measure()
    for row in section.rows:
        print(*row)
    print(*section.aims)
    return 0 if all(aim.met for aim in section.aims) else 1


if __name__ == "__main__":
    sys.exit(main())
