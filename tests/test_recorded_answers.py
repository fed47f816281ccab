"""What answers a request from the recordings: its own recording, or the nearest made to fit."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest

from ollama_harness.answers import Asked, World
from ollama_harness.recordings.recording import Recording
from ollama_harness.recordings.store import packaged_store
from ollama_harness.server.recorded_answers import RecordedAnswer, RecordedAnswers, request_of

pytestmark = pytest.mark.same_everywhere

VERSIONS = packaged_store().versions
NEWEST = "0.32.15"
MODEL = "smollm2:135m"
HI = [{"role": "user", "content": "Hi there"}]
HI_ALONE = {"role": "user", "content": "Hi"}
TOOLS = [{"type": "function", "function": {"name": "get_weather"}}]
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


@cache
def answers(version: str = NEWEST) -> RecordedAnswers:
    return RecordedAnswers(store=None, version=version, speed=0, gap_s=None, faults=())


def post(path: str, **body: Any) -> Asked:
    return Asked(method="POST", target=path, body=json.dumps({"model": MODEL, **body}).encode())


def of(recording: Recording) -> Asked:
    request = recording.request
    return Asked(method=request.method, target=request.path, headers=request.headers, body=request.content or b"")


def made(asked: Asked, version: str = NEWEST) -> RecordedAnswer:
    here = answers(version)
    assert here.same(asked, here.world) is None
    found = here.made(asked, here.world)
    assert found is not None
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_each_recording_that_nothing_was_done_to_answers_its_own_request(version: str) -> None:
    here = answers(version)
    plain = [one for one in here.recordings if one.intervention is None]
    found = {one.id: here.same(of(one), here.world) for one in plain}
    assert len(plain) > 150
    assert [id_ for id_, answer in found.items() if answer is None or answer.why != "the same request"] == []
    assert all(answer.recording.intervention is None for answer in found.values() if answer)


def test_what_was_done_to_the_server_answers_no_request() -> None:
    here = answers()
    [killed] = [one for one in here.recordings if one.name == "fault-server-killed-generate"]
    found = here.same(of(killed), here.world)
    assert found is not None
    assert found.recording.name == "generate-long", "the same request to a server that was left alone"
    [cold] = [one for one in here.recordings if one.name == "fault-queue-full"]
    assert here.same(of(cold), here.world) is None


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        (post("/api/generate", prompt="New"), "generate-france"),
        (post("/api/generate", prompt="New", stream=False), "generate-france"),
        (post("/api/generate", prompt="Write a long story.", options={"num_predict": 3}), "generate-france"),
        (post("/api/generate", keep_alive="7s"), "generate-keep-alive"),
        (post("/api/chat", messages=HI), "chat-france"),
        (post("/v1/chat/completions", messages=HI), "v1-chat-france"),
        (post("/v1/messages", messages=HI, max_tokens=9, stream=True), "v1-messages-france"),
        (post("/api/chat", messages=HI, logprobs=True), "chat-logprobs"),
        (post("/api/chat", messages=[{"role": "user", "content": "Weather?"}], tools=TOOLS), "chat-tools-"),
        (post("/api/chat", messages=[{"role": "user", "content": "Why is the sky blue?"}]), "chat-"),
        (post("/api/chat", messages=[HI_ALONE], options={"num_predict": 5}), "chat-all-options"),
        (post("/api/chat", messages=[HI_ALONE]), "chat-france"),  # because chat-all-options was cut at 8 tokens
    ],
)
def test_what_is_nearest(asked: Asked, name: str) -> None:
    found = made(asked)
    assert found.recording.id.startswith(f"{NEWEST}/{name}")
    assert found.why == "the nearest, made to fit"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"stream": False},
        {"format": "json"},
        {"format": SCHEMA, "stream": False},
        {"think": True},
        {"think": True, "format": SCHEMA},
        {"tools": TOOLS},
        {"tools": TOOLS, "think": True, "stream": False},
        {"logprobs": True, "top_logprobs": 3},
        {"options": {"num_predict": 2, "stop": ["x"]}},
        {"messages": [{"role": "user", "content": "Ünïcode \u2028 🙂"}]},
    ],
)
def test_every_kind_of_request_gets_a_whole_answer(version: str, more: dict[str, Any]) -> None:
    answer = made(post("/api/chat", **{"messages": HI, "options": {"seed": 7}, **more}), version)
    recording = answer.recording
    assert (recording.response.status, recording.ollama_version) == (200, version)
    last = json.loads(recording.body.splitlines()[-1])
    assert (last["model"], last["done"]) == (MODEL, True)


def test_the_same_request_gets_the_same_bytes_and_another_model_its_name() -> None:
    here, asked = answers(), post("/api/chat", model="llama3.2", messages=HI, tools=TOOLS, logprobs=True)
    first = here.made(asked, here.world)
    other = RecordedAnswers(store=None, version=NEWEST, speed=0, gap_s=None, faults=())
    second = other.made(asked, other.world)
    assert first is not None
    assert second is not None
    assert first.recording.body == second.recording.body
    assert first.recording.body.count(b'"model":"llama3.2"') == len(first.recording.frames)


def test_an_answer_that_was_cut_ends_by_itself_where_nothing_cuts_it() -> None:
    asked = post("/api/chat", messages=[{"role": "user", "content": "Why is the sky blue?"}], stream=False)
    answer = json.loads(made(asked).recording.body)
    assert (answer["done_reason"], answer["message"]["content"][-1]) == ("stop", ".")
    assert "sky" in answer["message"]["content"]


def test_what_no_model_answers_is_not_made() -> None:
    here = answers()
    asked = Asked(method="GET", target="/nowhere")
    assert (here.same(asked, here.world), here.made(asked, here.world)) == (None, None)
    assert here.nearest_names(asked) == []
    assert "tags" in here.nearest_names(Asked(method="DELETE", target="/api/tags"))


def test_an_answer_is_made_once() -> None:
    here, asked = answers(), post("/api/chat", messages=HI, options={"seed": 1})
    assert here.made(asked, here.world) is here.made(asked, here.world)


@pytest.mark.parametrize("body", [b"", b"{", b"null", b"\xff\xfe", b'{"model": "m"}', b'{"model": "m"} x'])
def test_any_body_can_be_read(body: bytes) -> None:
    asked = Asked(method="POST", target="/api/chat?x=y", headers=(("Host", "a"),), body=body)
    request = request_of(asked, World(version=NEWEST))
    assert (request.method, request.path, request.headers) == ("POST", "/api/chat", (("Host", "a"),))
    assert request.json is None or request.body is None
    assert (request.json == {"model": "m"}) is body.startswith(b'{"model"')
