"""Which recording answers a request, and why."""

from __future__ import annotations

from typing import Any

import pytest
from builders import DONE, HELLO, line, recording
from ollama_harness.server._matching import Match, Matcher, Nearest, received

from ollama_harness.recordings.recording import Recording, Request
from ollama_harness.recordings.store import RecordingStore
from ollama_harness.script.http1 import RequestHead

MODEL = "smollm2:135m"
HI = [{"role": "user", "content": "Hi there"}]
TOOLS = [{"type": "function", "function": {"name": "f"}}]


def match(request: Request, recordings: list[Recording], *, any_model: bool = False) -> Match | Nearest:
    return Matcher(recordings, any_model=any_model).match(request)


@pytest.fixture(scope="module")
def recordings() -> list[Recording]:
    return RecordingStore().of_version("0.32.15")


def post(path: str, **json: Any) -> Request:
    return Request(method="POST", path=path, json={"model": MODEL, **json})


@pytest.mark.parametrize(
    ("request_", "name"),
    [
        (post("/api/generate", prompt="New"), "generate-stream"),
        (post("/api/generate", prompt="New", stream=True), "generate-stream"),
        (post("/api/generate", prompt="New", stream=False), "generate-nonstream"),
        (post("/api/generate", prompt="New", format="json"), "generate-format-json"),
        (post("/api/generate", prompt="New", raw=False, format="", think=False, truncate=True), "generate-stream"),
        (post("/api/generate"), "generate-load"),
        (post("/api/generate", keep_alive="0s"), "generate-keep-alive-zero"),
        (post("/api/generate", keep_alive=0), "generate-keep-alive-zero"),
        (post("/api/chat", messages=HI), "chat-stream"),
        (post("/api/chat", messages=HI, stream=False), "chat-nonstream"),
        (post("/api/chat", messages=[]), "chat-load"),
        (post("/api/chat", messages=HI, logprobs=True), "chat-logprobs"),
        (post("/api/chat", model="smollm2-tools:135m", messages=HI, tools=TOOLS), "chat-tools-text"),
        (post("/api/chat", model="smollm2-think:135m", messages=HI, think=True), "chat-think-stream"),
        (post("/api/embed", model="smollm2-embed:135m", input="x"), "embed-three"),
        (Request(method="GET", path="/api/tags"), "tags"),
        (Request(method="HEAD", path="/api/tags"), "tags-head"),
        (Request(method="GET", path="/api/tags", headers=(("Origin", "http://evil.example"),)), "error-foreign-origin"),
    ],
)
def test_what_decides_decides(request_: Request, name: str, recordings: list[Recording]) -> None:
    found = match(request_, recordings)
    assert isinstance(found, Match), found.why
    assert found.recording.name == name


def test_each_recording_that_nothing_was_done_to_answers_its_own_request(recordings: list[Recording]) -> None:
    assert recordings
    for one in recordings:
        found = match(one.request, recordings)
        assert isinstance(found, Match), (one.id, found.why)
        assert found.recording.request == one.request, one.id
        assert found.why.startswith("the same request")
        assert found.recording.intervention is None or one.intervention is not None


def test_a_recorded_error_answers_only_its_own_request(recordings: list[Recording]) -> None:
    errors = [one for one in recordings if one.response.status >= 400 and isinstance(one.request.json, dict)]
    assert errors
    for one in errors:
        other = Request(method="POST", path=one.request.path, json={**one.request.json, "user": "somebody else"})
        found = match(other, recordings)
        assert isinstance(found, Nearest) or found.recording.response.status < 400, one.id


def test_a_server_that_something_was_done_to_comes_last(recordings: list[Recording]) -> None:
    by_name = {one.name: one for one in recordings}
    asked = by_name["fault-server-killed-generate"].request
    found = match(asked, recordings)
    assert isinstance(found, Match)
    assert found.recording.name == "generate-long"
    assert "chosen before" in found.why


def test_a_recording_of_an_intervention_comes_last_however_long_it_is() -> None:
    killed = recording(
        line(HELLO), line(DONE), id="1.0.0/killed", intervention="the server was killed", request_json={}
    )
    plain = recording(line(DONE), id="1.0.0/plain", request_json={})
    found = match(killed.request, [killed, plain])
    assert isinstance(found, Match)
    assert found.recording is plain


def test_a_note_decides_nothing() -> None:
    noted = recording(line(HELLO), line(DONE), id="1.0.0/noted", note="a comment", request_json={})
    short = recording(line(DONE), id="1.0.0/short", request_json={})
    found = match(noted.request, [short, noted])
    assert isinstance(found, Match)
    assert found.recording is noted


def test_what_comes_nearest_is_named_with_the_field_that_differs(recordings: list[Recording]) -> None:
    found = match(post("/api/chat", model="llama3", messages=HI), recordings)
    assert isinstance(found, Nearest)
    assert found.recording is not None
    assert found.recording.name == "chat-stream"
    assert found.why == f'nearest is 0.32.15/chat-stream; model: recorded "{MODEL}", asked "llama3"'
    assert isinstance(match(post("/api/chat", model="llama3", messages=HI), recordings, any_model=True), Match)


def test_the_wrong_method_and_an_unknown_path_are_said(recordings: list[Recording]) -> None:
    wrong = match(Request(method="DELETE", path="/api/tags"), recordings)
    assert isinstance(wrong, Nearest)
    assert 'method: recorded "GET", asked "DELETE"' in wrong.why
    assert match(Request(method="GET", path="/nowhere"), recordings) == Nearest(
        None, "no recording has the path /nowhere"
    )


def test_the_same_request_gets_the_same_answer_whatever_the_order(recordings: list[Recording]) -> None:
    asked = post("/api/generate", prompt="New")
    assert match(asked, recordings) == match(asked, list(reversed(recordings)))


@pytest.mark.parametrize("body", [b"[1, 2]", b'"text"', b"5"])
def test_a_body_of_json_that_is_no_object_is_not_an_empty_body(body: bytes, recordings: list[Recording]) -> None:
    head = RequestHead("POST", "/api/chat", "HTTP/1.1", (), 0)
    assert isinstance(match(received(head, body), recordings), Nearest)


@pytest.mark.parametrize("body", [b"", b"{", b"null", b"\xff\xfe", b'{"model": "m"}'])
def test_any_body_can_be_received(body: bytes) -> None:
    head = RequestHead("POST", "/api/chat?x=y", "HTTP/1.1", (("Host", "a"),), 0)
    request = received(head, body)
    assert (request.method, request.path, request.headers) == ("POST", "/api/chat", (("Host", "a"),))
    assert request.json is None or request.body is None


@pytest.mark.parametrize("version", RecordingStore().versions)
def test_an_ordinary_request_never_gets_an_error(version: str) -> None:
    recordings = RecordingStore().of_version(version)
    for request, name in (
        (post("/api/generate", prompt="New"), "generate-stream"),
        (post("/api/generate", prompt="New", stream=False), "generate-nonstream"),
        (post("/api/chat", messages=HI), "chat-stream"),
        (post("/api/chat", messages=HI, stream=False), "chat-nonstream"),
    ):
        found = match(request, recordings)
        assert isinstance(found, Match)
        assert found.recording.response.status == 200
        assert found.recording.intervention is None
        assert found.recording.name.partition("-")[0] == name.partition("-")[0]
