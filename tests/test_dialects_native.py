"""The dialects of /api/chat and /api/generate: what is read from a recording is written as its own bytes."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from builders import in_one_test

from ollama_harness.answers import Asked, World, world_of
from ollama_harness.answers.completions.completion import Call, Completion, DoneReason, Piece, Timing
from ollama_harness.answers.completions.dialects.dialect import answered
from ollama_harness.answers.completions.dialects.native import CHAT, GENERATE
from ollama_harness.answers.completions.wanted import Wanted, wanted_of
from ollama_harness.answers.reply import go_json
from ollama_harness.answers.requests.model_use import Use
from ollama_harness.recordings.recording import Frame, Recording
from ollama_harness.recordings.store import packaged_store

pytestmark = pytest.mark.same_everywhere

STORE = packaged_store()
VERSIONS = ("0.5.7", "0.9.6", "0.12.11", "0.24.0", "0.32.15")
NEWEST = VERSIONS[-1]
DIALECTS = {"/api/chat": CHAT, "/api/generate": GENERATE}
TOOLS = {"tools": [{"type": "function", "function": {"name": "add"}}]}

#: What cannot be known of an answer, and what another model on another machine makes otherwise.
_UNKNOWN = re.compile(rb'("(?:created_at|id)":)"[^"]+"|("total_duration":)\d+')
_MEASURED = re.compile(rb'("(?:load|prompt_eval|eval)_(?:duration|count)":)\d+')


@cache
def world(version: str) -> World:
    return world_of(STORE.of_version(version), version)


def wanted(recording: Recording) -> Wanted:
    request = recording.request
    asked = Asked(method=request.method, target=request.path, headers=request.headers, body=request.content or b"")
    found = wanted_of(asked, world(recording.ollama_version))
    assert found is not None
    return found


def read(recording: Recording) -> Completion:
    found = DIALECTS[recording.request.path].read(recording)
    assert found is not None
    return found


def written(completion: Completion, like: Recording) -> Recording:
    """The completion as an answer to the request of a recording."""
    dialect = DIALECTS[like.request.path]
    return answered(dialect, completion, wanted(like), request=like.request, name=like.name)


def good() -> list[str]:
    """The recordings that hold a completion. Some requests that newer versions refuse were answered by older ones."""
    chosen = [STORE.get(id_) for id_ in STORE.ids if "/fault-" not in id_ and "-bad-format" not in id_]
    return [one.id for one in chosen if one.request.path in DIALECTS and one.response.status == 200]


def masked(data: bytes) -> bytes:
    return _UNKNOWN.sub(rb"\1\2?", data)


def unmeasured(data: bytes) -> bytes:
    return _MEASURED.sub(rb"\1?", masked(data))


def head(recording: Recording) -> list[tuple[str, str]]:
    values = ("Content-Type", "Transfer-Encoding")
    return [(name, value if name in values else "") for name, value in recording.response.headers]


@in_one_test("id_", good())
def test_what_is_read_is_written_as_the_same_bytes(id_: str) -> None:
    recording = STORE.get(id_)
    made = written(read(recording), recording)
    assert [masked(frame.data) for frame in made.frames] == [masked(frame.data) for frame in recording.frames]
    assert [frame.at_s for frame in made.frames] == [frame.at_s for frame in recording.frames]
    assert head(made) == head(recording)


def twins() -> list[tuple[str, str]]:
    """Each stream with the answer in one piece to the same request, of each version."""
    single, pairs = {}, []
    for one in map(STORE.get, good()):
        if one.id.startswith("again/"):  # a second session has the arguments of a call in another order
            continue
        fields = {key: value for key, value in one.request.json.items() if key != "stream"}
        key = one.ollama_version, one.request.path, json.dumps(fields, sort_keys=True)
        if not one.request.streams:
            single[key] = one.id
        elif not read(one).only_loads:
            pairs.append((one.id, key))
    return [(id_, single[key]) for id_, key in pairs if key in single]


@pytest.mark.parametrize(("stream", "single"), twins())
def test_a_stream_and_its_twin_in_one_piece_say_the_same(stream: str, single: str) -> None:
    one, other = STORE.get(stream), STORE.get(single)
    assert unmeasured(written(read(one), other).body) == unmeasured(other.body)
    back = written(read(other), one)
    assert unmeasured(back.frames[-1].data) == unmeasured(one.frames[-1].data)
    assert {*map(shape, back.frames)} <= {*map(shape, one.frames)}


def shape(frame: Any) -> str:
    """The keys of a record in their order, with the types of their values."""

    def of(value: Any) -> Any:
        if isinstance(value, dict):
            return [(key, of(one)) for key, one in value.items()]
        return [of(one) for one in value[:1]] if isinstance(value, list) else type(value).__name__

    return repr(of(json.loads(frame.data)))


#: What all versions say alike.
SAID_ALIKE = (
    "chat-france",
    "chat-france-nonstream",
    "chat-load",
    "chat-tools-same-nonstream",
    "chat-tools-same-stream",
    "chat-tools-stream",
    "chat-unload",
    "generate-france",
    "generate-france-nonstream",
    "generate-keep-alive-zero",
    "generate-nel",
)


@pytest.mark.parametrize("name", SAID_ALIKE)
@pytest.mark.parametrize("source", [VERSIONS[0], NEWEST])
@pytest.mark.parametrize("target", VERSIONS)
def test_what_one_version_says_another_says_in_its_own_way(name: str, source: str, target: str) -> None:
    theirs = STORE.get(f"{target}/{name}")
    made = written(read(STORE.get(f"{source}/{name}")), theirs)
    assert unmeasured(made.body) == unmeasured(theirs.body)


@pytest.mark.parametrize("source", ["0.12.11", "0.24.0", "0.32.15"])
def test_thinking_is_text_where_there_is_no_thinking(source: str) -> None:
    completion = read(STORE.get(f"{source}/chat-think-stream"))
    theirs = STORE.get("0.5.7/chat-think-nonstream")
    assert completion.thinking
    assert unmeasured(written(completion, theirs).body) == unmeasured(theirs.body)


def want(version: str, use: Use = Use.CHAT, **more: Any) -> Wanted:
    path = f"/api/{use}"
    return Wanted(path=path, use=use, version=version, model="m", **{"stream": True, **more})


def said(*pieces: Piece, **more: Any) -> Completion:
    return Completion(pieces=pieces, **{"tokens": 2, "end_s": 1.0, **more})


def records(completion: Completion, wanted: Wanted) -> list[dict[str, Any]]:
    return [json.loads(data) for _, data in DIALECTS[wanted.path].stream(completion, wanted)]


def contents(completion: Completion, wanted: Wanted) -> list[str]:
    return [record["message"]["content"] for record in records(completion, wanted)]


def test_thinking_that_was_cut_off_has_no_end() -> None:
    completion = said(Piece(thinking="a"), Piece(thinking="b"), done_reason=DoneReason.LENGTH)
    assert contents(completion, want("0.5.7")) == ["<think>", "a", "b", ""]


def test_thinking_and_calls_have_fields_of_their_own_from_0_9() -> None:
    completion = said(Piece(thinking="a"), Piece(calls=(Call(name="add", arguments={}),)))
    messages = [record["message"] for record in records(completion, want("0.9.6", body=TOOLS))]
    assert [list(message) for message in messages] == [
        ["role", "content", "thinking"],
        ["role", "content", "tool_calls"],
        ["role", "content"],
    ]


HELLO = said(Piece(text="Hel"), Piece(text="lo"))
OBJECT = said(Piece(thinking="so"), Piece(text='{"a"'), Piece(text=":1}"))


@pytest.mark.parametrize(
    ("completion", "version", "body", "expected"),
    [
        (HELLO, "0.5.7", {}, ["Hel", "lo", ""]),
        (HELLO, "0.5.7", TOOLS, ["Hello"]),
        (HELLO, "0.8.0", TOOLS, ["Hel", "lo", ""]),
        (OBJECT, NEWEST, {}, ["", '{"a"', ":1}", ""]),
        (OBJECT, NEWEST, TOOLS, ["", '{"a":1}']),
    ],
)
def test_a_text_that_may_be_a_call_comes_at_the_end(
    completion: Completion, version: str, body: dict[str, Any], expected: list[str]
) -> None:
    assert contents(completion, want(version, body=body)) == expected


def test_generate_has_no_tools_and_holds_no_text_back() -> None:
    found = records(HELLO, want("0.5.7", Use.GENERATE, body=TOOLS))
    assert [record["response"] for record in found] == ["Hel", "lo", ""]


TWO_CALLS = said(
    Piece(text="Well: "),
    Piece(
        calls=(
            Call(name="add", arguments={"b": {"d": 1, "c": [{"f": 1, "e": 2}]}, "a": 5.0}),
            Call(name="add", arguments={}),
        )
    ),
)


def calls(version: str, *, stream: bool = True, body: dict[str, Any] | None = None) -> list[list[dict[str, Any]]]:
    """The calls in each record that has some."""
    wanted = want(version, stream=stream, body=body or TOOLS)
    found = records(TWO_CALLS, wanted) if stream else [json.loads(CHAT.whole(TWO_CALLS, wanted))]
    return [record["message"]["tool_calls"] for record in found if "tool_calls" in record["message"]]


@pytest.mark.parametrize(
    ("version", "in_a_stream", "in_one_piece"),
    [
        ("0.5.7", [[None, 1]], [[None, None]]),
        ("0.9.6", [[None], [1]], [[None, 1]]),
        ("0.12.11", [[0], [1]], [[0, 1]]),
    ],
)
def test_calls_are_numbered_as_the_version_does(
    version: str, in_a_stream: list[list[int | None]], in_one_piece: list[list[int | None]]
) -> None:
    def numbers(found: list[list[dict[str, Any]]]) -> list[list[int | None]]:
        return [[call["function"].get("index") for call in record] for record in found]

    assert numbers(calls(version)) == in_a_stream
    assert numbers(calls(version, stream=False)) == in_one_piece


def test_the_text_before_a_call_is_lost_before_0_8() -> None:
    assert contents(TWO_CALLS, want("0.5.7", body=TOOLS)) == ["", ""]
    assert contents(TWO_CALLS, want("0.8.0", body=TOOLS)) == ["Well: ", "", "", ""]


def test_the_ids_of_calls_are_made_from_the_request() -> None:
    first, second = (record[0]["id"] for record in calls(NEWEST))
    assert first != second
    assert re.fullmatch(r"call_[a-z0-9]{8}", first)
    assert calls(NEWEST) == calls(NEWEST)
    assert calls(NEWEST, body={**TOOLS, "think": False})[0][0]["id"] != first
    assert "id" not in calls("0.12.9")[0][0]


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("0.13.5", b'{"a":5,"b":{"c":[{"e":2,"f":1}],"d":1}}'),
        ("0.14.0", b'{"b":{"c":[{"e":2,"f":1}],"d":1},"a":5}'),
    ],
)
def test_arguments_are_sorted_as_the_version_does(version: str, expected: bytes) -> None:
    assert b'"arguments":' + expected in CHAT.whole(TWO_CALLS, want(version, stream=False))


def test_logprobs_come_where_they_are_wanted() -> None:
    logprob = {"token": "Hi", "logprob": -0.5, "bytes": [72, 105]}
    completion = said(Piece(text="Hi", logprobs=(logprob,)))
    assert ["logprobs" in record for record in records(completion, want(NEWEST, logprobs=True))] == [True, False]
    assert ["logprobs" in record for record in records(completion, want(NEWEST))] == [False, False]


def test_logprobs_of_an_answer_in_one_piece_give_its_tokens() -> None:
    recording = STORE.get(f"{NEWEST}/chat-logprobs-nonstream")
    pieces = read(recording).pieces
    assert [piece.text for piece in pieces] == [
        piece.text for piece in read(STORE.get(f"{NEWEST}/chat-logprobs")).pieces
    ]
    assert {len(piece.logprobs) for piece in pieces} == {1}


def last(completion: Completion, wanted: Wanted) -> dict[str, Any]:
    return records(completion, wanted)[-1]


def test_a_context_is_made_where_there_is_none() -> None:
    completion = said(Piece(text="Hi"), prompt_tokens=5)
    found = last(completion, want(NEWEST, Use.GENERATE))
    assert len(found["context"]) == 5 + 2
    assert found == last(completion, want(NEWEST, Use.GENERATE))
    assert "context" not in last(completion, want(NEWEST, Use.GENERATE, raw=True))
    assert "context" not in last(completion, want(NEWEST))


def test_durations_are_milliseconds_at_first_and_zero_is_left_out() -> None:
    completion = said(Piece(text="Hi"), timing=Timing(load_ns=7, prompt_ns=1_000_001, eval_ns=0))
    old, new = (last(completion, want(version)) for version in ("0.5.7", "0.9.6"))
    assert (old["load_duration"], old["prompt_eval_duration"]) == (7, 2_000_000)
    assert new["prompt_eval_duration"] == 1_000_001
    assert [key for key in old if "eval" in key] == ["prompt_eval_duration", "eval_count"]


@pytest.mark.parametrize(("version", "expected"), [("0.9.6", True), ("0.12.11", False), ("0.32.15", True)])
def test_a_single_token_takes_no_time_in_some_versions(version: str, expected: bool) -> None:
    completion = said(Piece(text="Hi"), tokens=1, timing=Timing(eval_ns=5))
    assert ("eval_duration" in last(completion, want(version))) is expected


@pytest.mark.parametrize(
    "id_",
    [
        "0.5.7/error-chat-bad-format",  # a line with status 200
        "0.32.15/error-chat-bad-format",
        "0.32.15/error-generate-model-not-found",
        "0.32.15/fault-runner-killed-chat",  # an error at the end
        "0.32.15/fault-server-killed-generate",  # no end
    ],
)
def test_an_error_is_no_completion(id_: str) -> None:
    recording = STORE.get(id_)
    assert DIALECTS[recording.request.path].read(recording) is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]\n",
        b'{"done":true\n',
        b'{"done":true,"message":"Hello"}\n',
        b'{"done":true,"message":{"tool_calls":[{"function":{"name":"add","arguments":"{}"}}]}}\n',
        b'{"done":true,"message":{},"eval_count":"5"}\n',
        b'{"done":true,"message":{},"done_reason":"bored"}\n',
    ],
)
@pytest.mark.parametrize("name", ["chat-france", "chat-france-nonstream"])
def test_what_is_no_answer_of_ollamas_is_no_completion(body: bytes, name: str) -> None:
    recording = STORE.get(f"{NEWEST}/{name}")
    assert CHAT.read(replace(recording, frames=(Frame(at_s=0.0, data=body),))) is None


def test_calls_of_a_generate_stand_behind_the_metrics() -> None:
    wanted = want(NEWEST, Use.GENERATE, stream=False, logprobs=True)
    completion = said(Piece(text="a", logprobs=({"token": "a"},)), *TWO_CALLS.pieces)
    assert list(json.loads(GENERATE.whole(completion, wanted)))[-3:] == ["eval_count", "tool_calls", "logprobs"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('<a href="x">&', rb'"\u003ca href=\"x\"\u003e\u0026"'),
        ("\b\f\n\r\t\x01\u2028\u2029", rb'"\b\f\n\r\t\u0001\u2028\u2029"'),
        ("\x7f\x85\xa0/é🦙", '"\x7f\x85\xa0/é🦙"'.encode()),
        ("a\ud800", '"a\ufffd"'.encode()),
        (["5.0 1e5", {'"5.0': 5.0}], rb'["5.0 1e5",{"\"5.0":5}]'),
        ([0.1, -0.0, 1e16, 1e21], b"[0.1,-0,10000000000000000,1e+21]"),
        ([1e-5, 1.5e-6, 1e-7, 1e-10], b"[0.00001,0.0000015,1e-7,1e-10]"),
    ],
)
def test_json_is_as_go_writes_it(value: Any, expected: bytes) -> None:
    assert go_json(value) == expected
