"""The stream that is played: 53 records made from a recording, and the request for it."""

from __future__ import annotations

from dataclasses import replace

from ollama_harness import Recording, RecordingStore, Script
from ollama_harness.script.script import http_date

__all__ = ["PATH", "RECORDING", "RECORDS", "request", "script", "segments", "shortened"]

RECORDS = 53
RECORDING = "0.32.15/generate-long"
PATH = "/api/generate"


def shortened(store: RecordingStore) -> Recording:
    """The first 52 records of the recording, and its last one, which has `done`; under a name of its own."""
    recording = store.get(RECORDING)
    frames = (*recording.frames[: RECORDS - 1], recording.frames[-1])
    return replace(recording, id=f"{RECORDING}-{RECORDS}", frames=frames)


def script(store: RecordingStore, *, gap_s: float | None = None) -> Script:
    """The stream as a script: without pauses, or with `gap_s` before each segment."""
    made = Script.from_recording(shortened(store), speed=0, gap_s=gap_s)
    if len(made.record_ends()) != RECORDS:
        raise ValueError(f"{RECORDING} does not give {RECORDS} records")
    return made


def segments(made: Script) -> list[bytes]:
    """The exact bytes of each segment, with the current date."""
    return [segment.data for segment in made.render(date=http_date()).segments]


def request(recording: Recording) -> bytes:
    """The request of a recording as ollama-python sends it."""
    body = recording.request.content or b""
    lines = [
        f"{recording.request.method} {recording.request.path} HTTP/1.1",
        "Host: 127.0.0.1:11434",
        "Accept: application/json",
        "Accept-Encoding: gzip, deflate",
        "Connection: keep-alive",
        "User-Agent: ollama-python/0.6.0 (x86_64 linux) Python/3.12.0",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
