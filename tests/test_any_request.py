"""Any bytes at all as a request get an answer or a refusal, never a traceback and never a hang; and the same twice.

The bytes are random, or a recorded request with some of its bytes replaced, which gets further.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from builders import A_FEW
from hypothesis import given
from hypothesis import strategies as st
from pytest_httpserver import HTTPServer

from ollama_harness import FakeOllama, RecordingStore
from ollama_harness.answers import Asked
from ollama_harness.answers.go.go_body import read_go_body
from ollama_harness.answers.go.go_request import read_go_head
from ollama_harness.matrix._raw_socket import connect, leave_and_read
from ollama_harness.recordings.store import packaged_store
from ollama_harness.script.script import Script
from ollama_harness.server._answers import Answerer
from ollama_harness.server._choices import Choices
from ollama_harness.server._expectations import Expectations
from ollama_harness.server._running_programme import RunningProgramme
from ollama_harness.server.recorded_answers import RecordedAnswers

REQUESTS = Path(__file__).parent.parent / "fixtures" / "requests"
VERSIONS = packaged_store().versions


@functools.cache
def recorded() -> list[bytes]:
    """The requests that the newest recorded server was sent, as bytes."""
    lines = (REQUESTS / f"{VERSIONS[-1]}.jsonl").read_text("utf-8").splitlines()
    return list(dict.fromkeys(wire_of(json.loads(line)["request"]) for line in lines))


def wire_of(request: dict[str, Any]) -> bytes:
    if request.get("raw"):
        return str(request["raw"]).encode("latin-1")
    body = (request["body"] or "").encode()
    headers = {"Host": "127.0.0.1:11434", **request["headers"], "Content-Length": str(len(body))}
    lines = [f"{request['method']} {request['target']} HTTP/1.1", *(f"{name}: {headers[name]}" for name in headers)]
    return "\r\n".join([*lines, "", ""]).encode() + body


#: What a byte or some is replaced by: what means something in HTTP or JSON, or anything.
PIECES = st.sampled_from(
    [
        *(b"", b"\r\n", b"\r\n\r\n", b"\n", b" ", b":", b"/", b"%", b"?", b"\x00", b"\xff", b"0", b"-1", b"1e400"),
        *(b'"', b"{", b"}", b"[", b"]", b",", b"\\", b"\\ud800", b"null", b"true", b"[" * 2000, b'{"a":' * 300),
    ]
) | st.binary(max_size=9)
EDITS = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 9), PIECES), max_size=3)


@st.composite
def edited(draw: st.DrawFn) -> bytes:
    """A recorded request with some bytes replaced."""
    wire = draw(st.sampled_from(recorded()))
    for place, size, piece in draw(EDITS):
        at = int(place * len(wire))
        wire = wire[:at] + piece + wire[at + size :]
    return wire


ANY = st.binary(min_size=1, max_size=300) | edited()


def undated(wire: bytes) -> bytes:
    return re.sub(rb"(?m)^Date: .*?\r$", b"Date:", wire)


# ------------------------------------------------------------------------------------------------ without a socket


@functools.cache
def store() -> RecordingStore:
    return packaged_store()


@functools.cache
def answerer(version: str, number: int, *, any_model: bool) -> Answerer:
    """One of two that share nothing but the recordings: what one has kept, the other does not know."""
    recorded = RecordedAnswers(store=store(), version=version, speed=0, gap_s=None, faults=())
    programme = RunningProgramme(recorded)
    return Answerer(
        recorded,
        programme,
        Choices(programme, lambda: None),
        Expectations(HTTPServer()),
        lambda world: replace(world, any_model=any_model),
    )


def answered(version: str, number: int, wire: bytes, *, any_model: bool) -> bytes:
    """What answers the first request in these bytes, after which no more will come."""
    read = read_go_head(wire, ended=True)
    assert read is not None
    steps = answerer(version, number, any_model=any_model)
    steps.forget_changes()
    asked = Asked.of(read.head, b"", flaw=read.flaw)
    chosen = steps.refusal(asked)
    if chosen is None:
        body = read_go_body(wire[read.head.size :], read.head, ended=True)
        asked = Asked.of(read.head, body.data, body_error=body.error or "")
        chosen = steps.answer(asked, read.head)
    assert isinstance(chosen.answer, Script)
    assert chosen.by
    assert chosen.step
    return chosen.answer.render(date="").wire


@pytest.mark.parametrize("version", VERSIONS)
@given(wire=ANY, any_model=st.booleans())
def test_any_bytes_have_one_answer(version: str, wire: bytes, any_model: bool) -> None:
    once, again, other = (answered(version, number, wire, any_model=any_model) for number in (1, 1, 2))
    assert re.match(rb"HTTP/1\.[01] [2-5]\d\d [ -~]+\r\n", once)
    assert once == again == other


# ------------------------------------------------------------------------------------------------ through a socket


@pytest.fixture(scope="module")
def server() -> Iterator[FakeOllama]:
    with FakeOllama(speed=0) as server:
        yield server


def sent_back(server: FakeOllama, wire: bytes) -> bytes:
    server.clear()
    with connect(server.port) as sock:
        sock.sendall(wire)
        return undated(leave_and_read(sock).data)


@A_FEW
@given(wire=ANY)
def test_any_bytes_are_answered_twice_with_the_same_bytes_and_harm_no_other_client(
    wire: bytes, server: FakeOllama
) -> None:
    once = sent_back(server, wire)
    assert once.startswith(b"HTTP/1.")
    assert server.journal.wait_until_settled()
    assert all(entry.status and entry.step for entry in server.journal.entries)
    assert sent_back(server, wire) == once
    assert sent_back(server, b"HEAD / HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.0 200 OK\r\n")
