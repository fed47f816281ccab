"""The dialects of /v1/responses and /v1/messages: what is read from a recording is written as its own bytes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import cache
from typing import Any

import pytest

from ollama_harness.answers import Asked, World, world_of
from ollama_harness.answers.completions.completion import Completion
from ollama_harness.answers.completions.dialect import Dialect, answered
from ollama_harness.answers.completions.messages import MESSAGES
from ollama_harness.answers.completions.responses import RESPONSES
from ollama_harness.answers.completions.wanted import Wanted, wanted_of
from ollama_harness.recordings.recording import Recording
from ollama_harness.recordings.store import RecordingStore

STORE = RecordingStore()
DIALECTS = {"/v1/responses": RESPONSES, "/v1/messages": MESSAGES}
VERSIONS = ("0.24.0", "0.32.15")
GOOD = [
    id_
    for id_ in STORE.ids
    if "/fault-" not in id_ and (one := STORE.get(id_)).request.path in DIALECTS and one.response.status == 200
]


@cache
def world(version: str) -> World:
    return world_of(STORE.of_version(version), version)


def wanted(recording: Recording, **changes: Any) -> Wanted:
    request = recording.request
    return wants(request.path, {**request.json, **changes}, recording.ollama_version)


def wants(path: str, body: Any, version: str = VERSIONS[-1], **more: Any) -> Wanted:
    found = wanted_of(Asked(method="POST", target=path, body=json.dumps(body).encode()), world(version))
    assert found is not None
    return found


def read(id_: str) -> tuple[Recording, Dialect, Completion]:
    recording = STORE.get(id_)
    dialect = DIALECTS[recording.request.path]
    completion = dialect.read(recording)
    assert completion is not None
    return recording, dialect, completion


def masked(frames: Iterable[bytes]) -> list[bytes]:
    """Without what cannot be known: times and ids. The nth id is `ID n`, so one that comes again is seen to."""
    ids: dict[bytes, bytes] = {}

    def name(found: re.Match[bytes]) -> bytes:
        return ids.setdefault(found[0], b'"ID %d"' % len(ids))

    return [_ID.sub(name, _TIME.sub(rb"\1:0", frame)) for frame in frames]


def head(recording: Recording) -> list[tuple[str, str]]:
    """The headers, without the values of Date and of Content-Length, since ids are numbers of any length."""
    unknown = ("Date", "Content-Length")
    return [(name, "" if name in unknown else value) for name, value in recording.response.headers]


_TIME = re.compile(rb'("(?:created_at|completed_at)"):\d+')
_ID = re.compile(rb'"(?:(?:resp|rs)_\d{1,6}|msg_(?:\d{1,6}|[0-9a-f]{24})|fc_\d{1,6}_\d|call_[0-9a-z]{8})"')


@pytest.mark.parametrize("id_", GOOD)
def test_what_is_read_is_written_as_the_same_bytes(id_: str) -> None:
    recording, dialect, completion = read(id_)
    made = answered(dialect, completion, wanted(recording), request=recording.request, name=recording.name)
    assert masked(frame.data for frame in made.frames) == masked(frame.data for frame in recording.frames)
    assert head(made) == head(recording)


@pytest.mark.parametrize("id_", GOOD)
def test_what_is_read_is_written_at_the_recorded_times(id_: str) -> None:
    """The events that come of one record are some microseconds apart on a real server."""
    recording, dialect, completion = read(id_)
    made = answered(dialect, completion, wanted(recording), request=recording.request, name=recording.name)
    assert [frame.at_s for frame in made.frames] == pytest.approx([frame.at_s for frame in recording.frames], abs=0.005)
