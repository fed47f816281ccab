"""What a server can do, as rows: its faults and its recordings. `ollama-harness list` prints the same."""

from __future__ import annotations

from collections.abc import Iterable

from ollama_harness.faults import FAULTS, PLACES
from ollama_harness.recordings.recording import Recording

__all__ = ["fault_rows", "recording_row"]


def fault_rows() -> Iterable[dict[str, object]]:
    """The faults, and then the places where they strike."""
    for kinds in (FAULTS, PLACES):
        for one in kinds.values():
            yield {"fault": f"{one.name}({one.parameters})", "group": one.group, "summary": one.summary}


def recording_row(one: Recording) -> dict[str, object]:
    """What people choose a recording by."""
    return {
        "recording": one.id,
        "request": f"{one.request.method} {one.request.path}",
        "status": one.response.status,
        "frames": len(one.frames),
        "bytes": one.size_bytes,
        "seconds": round(one.ended_at_s, 3),
        "end": str(one.ended),
        "intervention": one.intervention,
        "note": one.note,
    }
