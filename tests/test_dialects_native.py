"""The dialects of /api/chat and /api/generate: what is read from a recording is written as its own bytes."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import pytest

from ollama_harness.answers import Asked, World, world_of
from ollama_harness.answers.completions.dialect import Dialect, answered
from ollama_harness.answers.completions.native import CHAT, GENERATE
from ollama_harness.answers.completions.wanted import Wanted, wanted_of
from ollama_harness.recordings.recording import Recording
from ollama_harness.recordings.store import RecordingStore

STORE = RecordingStore()
DIALECTS = {"/api/chat": CHAT, "/api/generate": GENERATE}
_UNKNOWN = re.compile(rb'("(?:created_at|id)":)"[^"]+"|("total_duration":)\d+')


@cache
def world(version: str) -> World:
    return world_of(STORE.of_version(version), version)


def wanted(recording: Recording, version: str = "") -> Wanted:
    request = recording.request
    asked = Asked(method=request.method, target=request.path, headers=request.headers, body=request.content or b"")
    found = wanted_of(asked, world(version or recording.ollama_version))
    assert found is not None
    return found


def good() -> list[str]:
    """The recordings that hold a completion."""
    chosen = []
    for id_ in STORE.ids:
        if "/fault-" in id_ or "/error-" in id_ and "context" not in id_ and "image" not in id_:
            continue
        one = STORE.get(id_)
        if one.request.path in DIALECTS and one.response.status == 200:
            chosen.append(id_)
    return chosen


def masked(data: bytes) -> bytes:
    """Without what cannot be known: times, the whole duration, ids."""
    return _UNKNOWN.sub(rb"\1\2?", data)


@pytest.mark.parametrize("id_", good())
def test_what_is_read_is_written_as_the_same_bytes(id_: str) -> None:
    recording = STORE.get(id_)
    dialect = DIALECTS[recording.request.path]
    completion = dialect.read(recording)
    assert completion is not None
    made = answered(dialect, completion, wanted(recording), request=recording.request, name=recording.name)
    assert [masked(frame.data) for frame in made.frames] == [masked(frame.data) for frame in recording.frames]
    assert [frame.at_s for frame in made.frames] == [frame.at_s for frame in recording.frames]
