"""The dialects of /v1/responses and /v1/messages: what is read from a recording is written as its own bytes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from builders import A_FEW, SSE
from hypothesis import given
from hypothesis import strategies as st

from ollama_harness.answers import Asked, Model, World
from ollama_harness.answers.completions.completion import Call, Completion, DoneReason, Piece
from ollama_harness.answers.completions.dialects.dialect import Dialect, answered
from ollama_harness.answers.completions.dialects.messages import MESSAGES
from ollama_harness.answers.completions.dialects.responses import RESPONSES
from ollama_harness.answers.completions.wanted import Wanted, wanted_of
from ollama_harness.recordings.recording import Frame, RecordedEnd, Recording, Request, Response
from ollama_harness.recordings.records import stream_values
from ollama_harness.recordings.store import packaged_store

pytestmark = pytest.mark.same_everywhere

REQUESTS = Path(__file__).parent.parent / "fixtures" / "requests"
STORE = packaged_store()
DIALECTS = {"/v1/responses": RESPONSES, "/v1/messages": MESSAGES}
VERSIONS = ("0.24.0", "0.32.15")
#: The recordings of these routes, and those of them that hold a whole answer.
HERE = [
    id_ for id_ in STORE.ids if re.search("v1-(messages|responses)", id_) and STORE.get(id_).request.path in DIALECTS
]
GOOD = [id_ for id_ in HERE if "/fault-" not in id_ and STORE.get(id_).response.status == 200]
ABLE = {
    "smollm2:135m": {"completion"},
    "smollm2-tools:135m": {"completion", "tools"},
    "smollm2-think:135m": {"completion", "thinking"},
    "smollm2-both:135m": {"completion", "thinking", "tools"},
}
MODELS = {name: Model(name=name, capabilities=frozenset(able)) for name, able in ABLE.items()}


def world(version: str) -> World:
    return World(version=version, models=MODELS)


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


@pytest.mark.parametrize("route", ["v1-responses", "v1-messages"])
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("stream", DoneReason.LENGTH),
        ("nonstream", DoneReason.LENGTH),
        ("france-stream", DoneReason.STOP),
        ("france-nonstream", DoneReason.STOP),
    ],
)
def test_why_a_recorded_answer_ended_is_read(route: str, name: str, reason: DoneReason) -> None:
    """A response does not say it; that of a message does."""
    assert [read(f"{version}/{route}-{name}")[2].done_reason for version in VERSIONS] == [reason] * len(VERSIONS)


# --- what real servers answered to other requests ---------------------------------------------------------------------


@cache
def answers_in_one_piece() -> dict[str, tuple[Wanted, Recording]]:
    """Good answers of the collected requests, whole ones: with instructions, tools, no input, two values in a body."""
    found = {}
    for version in VERSIONS:
        for one in map(json.loads, (REQUESTS / f"{version}.jsonl").read_text("utf-8").splitlines()):
            path, sent = one["request"]["target"].partition("?")[0], one["request"]["body"]
            if path in DIALECTS and one["status"] == 200 and ["Content-Type", "application/json"] in one["headers"]:
                want = wanted_of(Asked(method="POST", target=path, body=sent.encode()), world(version))
                assert want is not None
                headers = tuple(map(tuple, one["headers"]))
                found[f"{version}/{one['id']}"] = (
                    want,
                    recorded(path, version, headers, one["body"].encode("latin-1")),
                )
    return found


def recorded(path: str, version: str, headers: Any, *data: bytes) -> Recording:
    return Recording(
        id=f"{version}/x",
        ollama_version=version,
        recorded_at="2026-11-22T19:20:02+00:00",
        platform="Linux",
        request=Request(method="POST", path=path),
        response=Response(status=200, reason="OK", headers=headers, head_at_s=0.1),
        frames=tuple(Frame(at_s=0.1, data=each) for each in data),
        ended=RecordedEnd.COMPLETE,
        ended_at_s=0.1,
    )


def test_other_requests_get_the_bytes_that_a_real_server_gave_them() -> None:
    made = {}
    for id_, (want, real) in answers_in_one_piece().items():
        dialect = DIALECTS[want.path]
        completion = dialect.read(real)
        assert completion is not None
        made[id_] = masked([dialect.whole(completion, want)])
    assert {"0.24.0/v1resp-tools", "0.32.15/v1resp-no-input", "0.32.15/v1msg-stop"} <= made.keys()
    assert made == {id_: masked([real.body]) for id_, (_, real) in answers_in_one_piece().items()}


# --- streams and answers in one piece ---------------------------------------------------------------------------------

TWINS = [
    (id_, id_.replace("-stream", "-nonstream"))
    for id_ in GOOD
    if id_.replace("-stream", "-nonstream") in {*GOOD} - {id_}
]


@pytest.mark.parametrize(("stream", "whole"), TWINS)
def test_a_stream_is_written_in_one_piece_as_its_twin(stream: str, whole: str) -> None:
    _, dialect, completion = read(stream)
    twin = STORE.get(whole)
    assert masked([dialect.whole(completion, wanted(twin))]) == masked([twin.body])


@pytest.mark.parametrize(("stream", "whole"), TWINS)
def test_an_answer_in_one_piece_is_written_as_a_stream_like_its_twin(stream: str, whole: str) -> None:
    """It has one piece of text where the twin has many; everything else is the same."""
    recording, dialect, completion = read(stream)
    _, _, one_piece = read(whole)
    made = [record for _, frame in dialect.stream(one_piece, wanted(recording)) for record in stream_values(SSE, frame)]
    real = stream_values(SSE, recording.body)
    deltas = [index for index, record in enumerate(real) if record["type"].endswith("delta") and "usage" not in record]
    assert len(made) == len(real) - len(deltas) + 1
    del real[deltas[0] + 1 : deltas[-1] + 1]
    assert list(map(shape, made)) == list(map(shape, real))
    assert completion.text == one_piece.text


def shape(value: Any) -> Any:
    """The keys of a value in their order, with the types of what they have; `type` with its value."""
    match value:
        case dict():
            return [(key, each if key == "type" else shape(each)) for key, each in value.items()]
        case list():
            return [shape(each) for each in value]
    return type(value).__name__


# --- calls, which no recording of these routes has --------------------------------------------------------------------

WEATHER = {"type": "object", "properties": {"city": {"type": "string"}, "at": {"type": "number"}}}
BODIES: dict[str, dict[str, Any]] = {
    "/v1/responses": {
        "model": "smollm2-both:135m",
        "input": "Hi",
        "tools": [{"type": "function", "name": "get_weather", "parameters": WEATHER}],
    },
    "/v1/messages": {
        "model": "smollm2-both:135m",
        "max_tokens": 99,
        "messages": [{"role": "user", "content": "Hi"}],
        "tools": [{"name": "get_weather", "input_schema": WEATHER}],
    },
}
PARIS = Call(name="get_weather", arguments={"city": "<Paris>", "at": 1.0})
OSLO = Call(name="get_weather", arguments={"city": "Oslo"})
CALLING = Completion(
    pieces=(
        Piece(thinking="Two", at_s=0.1),
        Piece(thinking=" calls.", at_s=0.2),
        Piece(calls=(PARIS,), at_s=0.3),
        Piece(calls=(OSLO,), at_s=0.4),
    ),
    prompt_tokens=9,
    tokens=30,
    end_s=0.5,
)


def streamed(completion: Completion, path: str, **changes: Any) -> list[Any]:
    """The records of a stream."""
    want = wants(path, BODIES[path] | {"stream": True} | changes)
    return [record for _, data in DIALECTS[path].stream(completion, want) for record in stream_values(SSE, data)]


def in_one_piece(completion: Completion, path: str, **changes: Any) -> Any:
    return json.loads(DIALECTS[path].whole(completion, wants(path, BODIES[path] | changes)))


def test_calls_in_a_stream_of_responses() -> None:
    records = streamed(CALLING, "/v1/responses")
    call = ["response.output_item.added", *[f"response.function_call_arguments.{each}" for each in ("delta", "done")]]
    call = [(each, index) for index in (1, 2) for each in (*call, "response.output_item.done")]
    thinking = ["output_item.added", *["reasoning_summary_text.delta"] * 2, "reasoning_summary_text.done"]
    assert [(record["type"], record.get("output_index")) for record in records] == [
        ("response.created", None),
        ("response.in_progress", None),
        *[(f"response.{each}", 0) for each in (*thinking, "output_item.done")],
        *call,
        ("response.completed", None),
    ]
    assert [record["sequence_number"] for record in records] == list(range(len(records)))
    done = [record["item"] for record in records if record["type"] == "response.output_item.done"]
    assert records[-1]["response"]["output"] == done
    assert [(item["type"], item.get("status"), item.get("arguments")) for item in done] == [
        ("reasoning", None, None),
        ("function_call", "completed", '{"city":"\\u003cParis\\u003e","at":1}'),
        ("function_call", "completed", '{"city":"Oslo"}'),
    ]
    assert done[1]["id"] != done[2]["id"]
    assert done[1]["call_id"] != done[2]["call_id"]
    about = [record for record in records if "function_call_arguments" in record["type"]]
    assert [record["item_id"] for record in about] == [item["id"] for item in (done[1], done[1], done[2], done[2])]
    assert [record.get("delta") or record["arguments"] for record in about][::2] == [
        item["arguments"] for item in done[1:]
    ]


def test_calls_of_responses_in_one_piece() -> None:
    response = in_one_piece(CALLING, "/v1/responses")
    assert [list(item) for item in response["output"]] == [
        ["id", "type", "summary", "encrypted_content"],
        *[["id", "type", "status", "call_id", "name", "arguments"]] * 2,
    ]
    ids = [item["id"] for item in response["output"]]
    assert ids == [f"rs_{response['id']}", f"fc_{response['id']}_0", f"fc_{response['id']}_1"]


def test_calls_in_a_stream_of_messages() -> None:
    records = streamed(CALLING, "/v1/messages")
    block = ["content_block_start", "content_block_delta", "content_block_stop"]
    assert [(record["type"], record.get("index")) for record in records] == [
        ("message_start", None),
        *[(kind, 0) for kind in (*block[:2], *block[1:])],
        *[(kind, 1) for kind in block],
        *[(kind, 2) for kind in block],
        ("message_delta", None),
        ("message_stop", None),
    ]
    begun = [record["content_block"] for record in records if record["type"] == "content_block_start"][1:]
    assert [(each["type"], each["name"], each["input"]) for each in begun] == [("tool_use", "get_weather", {})] * 2
    assert [record["delta"] for record in records if record.get("delta", {}).get("type") == "input_json_delta"] == [
        {"type": "input_json_delta", "partial_json": '{"city":"\\u003cParis\\u003e","at":1}'},
        {"type": "input_json_delta", "partial_json": '{"city":"Oslo"}'},
    ]
    assert records[-2]["delta"] == {"stop_reason": "tool_use"}


def test_calls_of_messages_in_one_piece() -> None:
    message = in_one_piece(CALLING, "/v1/messages")
    assert [list(block) for block in message["content"]] == [
        ["type", "thinking"],
        *[["type", "id", "name", "input"]] * 2,
    ]
    assert [block["input"] for block in message["content"][1:]] == [{"city": "<Paris>", "at": 1}, {"city": "Oslo"}]
    assert message["stop_reason"] == "tool_use"


def test_responses_keep_no_text_beside_calls() -> None:
    """As ollama/ollama#18343 describes it: the message has begun, has the place of the call, and never ends."""
    said = Completion(pieces=(Piece(text="Well"), Piece(calls=(OSLO,)), Piece(text="!")), end_s=0.5)
    records = streamed(said, "/v1/responses")
    items = [(each["type"], each["output_index"], each["item"]["type"]) for each in records if "item" in each]
    assert items == [
        ("response.output_item.added", 0, "message"),
        ("response.output_item.added", 0, "function_call"),
        ("response.output_item.done", 0, "function_call"),
    ]
    assert [record["delta"] for record in records if "output_text" in record["type"]] == ["Well"]
    assert [item["type"] for item in records[-1]["response"]["output"]] == ["function_call"]
    assert [item["type"] for item in in_one_piece(said, "/v1/responses")["output"]] == ["function_call"]


def test_messages_keep_the_text_beside_calls() -> None:
    said = Completion(pieces=(Piece(text="Well"), Piece(calls=(OSLO,))), end_s=0.5)
    records = streamed(said, "/v1/messages")
    assert [(each["index"], each["content_block"]["type"]) for each in records if "content_block" in each] == [
        (0, "text"),
        (1, "tool_use"),
    ]
    assert [block["type"] for block in in_one_piece(said, "/v1/messages")["content"]] == ["text", "tool_use"]


def test_arguments_are_sorted_before_0_14_0() -> None:
    body = BODIES["/v1/responses"]
    want = wanted_of(
        Asked(method="POST", target="/v1/responses", body=json.dumps(body).encode()),
        World(version="0.13.5", any_model=True),
    )
    assert want is not None
    [_, call, _] = json.loads(RESPONSES.whole(CALLING, want))["output"]
    assert call["arguments"].startswith('{"at":1,"city":')


# --- what else is in a record -----------------------------------------------------------------------------------------


def test_a_response_repeats_what_the_request_said() -> None:
    schema = {"type": "object", "properties": {"b": {"type": "string"}, "a": {"type": "number", "minimum": 1.5}}}
    text = {"format": {"type": "json_schema", "name": "thing", "schema": schema, "strict": True}}
    changes = {
        "text": text,
        "instructions": "Be brief.",
        "temperature": 0.5,
        "top_p": 1.0,
        "max_output_tokens": 7,
        "truncation": "auto",
        "reasoning": {"effort": "low", "summary": "auto"},
        "background": True,
    }
    tool = {"type": "function", "name": "get_weather", "description": None, "strict": None, "parameters": WEATHER}
    whole = in_one_piece(CALLING, "/v1/responses", **changes)
    assert {key: whole[key] for key in (*changes, "tools")} == changes | {"tools": [tool]}
    assert json.dumps(whole["text"]) == json.dumps(text), "the keys of the schema are in the order of the request"
    assert list(whole["tools"][0]["parameters"]) == ["properties", "type"], "those of the parameters are sorted"
    assert json.dumps(whole["top_p"]) == "1"
    created, *_, completed = streamed(CALLING, "/v1/responses", **changes)
    for record in (created, completed):
        said = record["response"]
        assert {key: said[key] for key in (*changes, "tools")} == changes | {"tools": [tool]}
        assert list(said) == sorted(said)
        assert json.dumps(said["text"]["format"]["schema"]) == json.dumps(schema)


def test_a_response_says_nothing_of_what_was_left_out() -> None:
    response = in_one_piece(CALLING, "/v1/responses")
    defaults = {"instructions": None, "max_output_tokens": None, "reasoning": None, "temperature": 1, "top_p": 1}
    assert {key: response[key] for key in defaults} == defaults
    assert (response["truncation"], response["text"]) == ("disabled", {"format": {"type": "text"}})


def test_the_same_request_gets_the_same_bytes_and_another_gets_other_ids() -> None:
    found = [
        DIALECTS[path].whole(CALLING, wants(path, body | change))
        for change in ({}, {}, {"temperature": 0.3})
        for path, body in BODIES.items()
    ]
    assert found[:2] == found[2:4]
    ids = [re.findall(rb'"(?:call|resp|msg)_\w*\d\w*"', each) for each in found]
    assert len({*ids[0], *ids[1]} & {*ids[4], *ids[5]}) == 0
    assert len({*ids[0], *ids[1]}) >= 6


def test_a_model_that_was_only_loaded_says_nothing() -> None:
    loaded = Completion(done_reason=DoneReason.LOAD, end_s=0.2)
    want = wants("/v1/responses", {"model": "smollm2:135m", "input": [], "stream": True})
    assert want.only_loads
    records = [record for _, data in RESPONSES.stream(loaded, want) for record in stream_values(SSE, data)]
    assert [record["type"] for record in records] == [
        "response.created",
        "response.in_progress",
        "response.completed",
    ]
    assert records[-1]["response"]["usage"]["total_tokens"] == 0


@pytest.mark.parametrize(
    ("change", "tokens"),
    [
        ({}, len(f"userHiget_weather{json.dumps(WEATHER)}") // 4),
        ({"tools": []}, 1),
        ({"tools": [], "system": "x" * 40}, 11),
        ({"tools": [], "system": [{"type": "text", "text": "é" * 20}]}, 11),
        ({"tools": [], "messages": [{"role": "", "content": []}]}, 1),
        ({"tools": [], "messages": [{"role": "user", "content": [{"type": "text", "text": "x" * 40}]}]}, 11),
    ],
)
def test_the_start_of_a_message_estimates_the_prompt(change: dict[str, Any], tokens: int) -> None:
    start = streamed(CALLING, "/v1/messages", **change)[0]
    assert start["message"]["usage"] == {"input_tokens": tokens, "output_tokens": 0}


def test_a_prompt_of_blocks_counts_all_that_can_be_read_of_them() -> None:
    used = {"type": "tool_use", "id": "x", "name": "abcd", "input": {"a": 1}}
    result = {"type": "tool_result", "tool_use_id": "x", "content": [{"type": "text", "text": "x" * 25}, 1]}
    messages = [{"role": "user", "content": [used, result]}]
    start = streamed(CALLING, "/v1/messages", tools=[], messages=messages)[0]
    assert start["message"]["usage"]["input_tokens"] == (4 + 4 + len('{"a":1}') + 25) // 4


def test_a_stream_of_one_record_knows_its_tokens_at_the_start() -> None:
    text = Completion(pieces=(Piece(text='{"held": "back"}', at_s=0.1),), prompt_tokens=77, end_s=0.2)
    start = streamed(text, "/v1/messages")[0]
    assert start["message"]["usage"]["input_tokens"] == 77


# --- reading ----------------------------------------------------------------------------------------------------------


def test_errors_and_cut_streams_hold_no_completion() -> None:
    bad = [STORE.get(id_) for id_ in HERE if id_ not in GOOD]
    assert {one.response.status for one in bad} >= {200, 404}
    assert [DIALECTS[one.request.path].read(one) for one in bad] == [None] * len(bad)


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"{", b'{"error": "x"}', b'{"object": "response", "output": []}'])
@pytest.mark.parametrize("path", DIALECTS)
def test_a_body_that_is_no_answer_holds_no_completion(path: str, data: bytes) -> None:
    recording = recorded(path, VERSIONS[-1], (("Content-Type", "application/json"),), data)
    found = DIALECTS[path].read(recording)
    assert (found is None) == (path == "/v1/messages" or b"output" not in data)


@pytest.mark.parametrize("path", DIALECTS)
def test_events_are_read_however_they_were_cut(path: str) -> None:
    dialect, want = DIALECTS[path], wants(path, BODIES[path] | {"stream": True})
    body = b"".join(data for _, data in dialect.stream(CALLING, want))
    pieces = [body[at : at + 7] for at in range(0, len(body), 7)]
    found = dialect.read(recorded(path, VERSIONS[-1], (("Content-Type", SSE),), *pieces))
    assert found is not None
    assert (found.thinking, found.calls, found.tokens) == ("Two calls.", (PARIS, OSLO), 30)


JSON = st.recursive(
    st.none() | st.integers() | st.sampled_from(("message", "reasoning", "text", "tool_use", "function_call", "{")),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(("type", "text", "content", "summary", "usage", "input", "name", "arguments")), inner
        )
    ),
    max_leaves=8,
)
PLACES = [
    "content",
    "output",
    "usage",
    "delta",
    "response",
    "item",
    "content_block",
    "stop_reason",
    "max_output_tokens",
]


@A_FEW
@given(
    st.sampled_from([id_ for id_ in GOOD if "tools" in id_ or "nonstream" in id_]),
    st.dictionaries(st.sampled_from(PLACES), JSON, min_size=1),
)
def test_an_answer_of_another_shape_is_read_as_far_as_it_goes(id_: str, changes: dict[str, Any]) -> None:
    """A recording of one's own may be of anything."""
    real = STORE.get(id_)
    if real.response.media_type == SSE:
        records = [
            record | {key: changes[key] for key in changes if key in record} for record in stream_values(SSE, real.body)
        ]
        body = b"".join(b"data: " + json.dumps(record).encode() + b"\n\n" for record in records)
    else:
        body = json.dumps(json.loads(real.body) | changes).encode()
    found = DIALECTS[real.request.path].read(
        recorded(real.request.path, real.ollama_version, real.response.headers, body)
    )
    assert found is None or isinstance(found.text + found.thinking, str)


VALUES = st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5)
CALLS = st.builds(Call, name=st.text(min_size=1, max_size=5), arguments=st.dictionaries(st.text(max_size=3), VALUES))
TEXTS = st.lists(st.text(min_size=1, max_size=5), max_size=3)


@st.composite
def completions(draw: st.DrawFn) -> Completion:
    """Thinking, and then text or calls."""
    thinking, calls = draw(TEXTS), draw(st.lists(CALLS, max_size=2))
    said = [Piece(text=text) for text in draw(TEXTS)] if not calls else [Piece(calls=(call,)) for call in calls]
    reason = draw(st.sampled_from((DoneReason.STOP, DoneReason.LENGTH))) if not calls else DoneReason.STOP
    return Completion(
        pieces=(*(Piece(thinking=text) for text in thinking), *said),
        done_reason=reason,
        prompt_tokens=draw(st.integers(0, 99)),
        tokens=99 if reason is DoneReason.LENGTH else draw(st.integers(0, 98)),
    )


@A_FEW
@given(completions(), st.sampled_from(sorted(DIALECTS)), st.booleans())
def test_any_completion_is_read_as_it_was_written(said: Completion, path: str, stream: bool) -> None:
    limit = {"max_tokens": 99} if path == "/v1/messages" else {"max_output_tokens": 99}
    want = wants(path, BODIES[path] | limit | {"stream": stream})
    made = answered(DIALECTS[path], said, want, request=Request(method="POST", path=path), name="x")
    found = DIALECTS[path].read(made)
    assert found is not None
    assert (found.thinking, found.text, found.calls) == (said.thinking, said.text, said.calls)
    assert (found.done_reason, found.prompt_tokens, found.tokens) == (
        said.done_reason,
        said.prompt_tokens,
        said.tokens,
    )


# --- what a request decides -------------------------------------------------------------------------------------------

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
DECIDED: list[tuple[str, dict[str, Any], str, Any]] = [
    ("/v1/responses", {"max_output_tokens": 7}, "num_predict", 7),
    ("/v1/responses", {}, "num_predict", None),
    ("/v1/responses", {}, "format", ""),
    ("/v1/responses", {"text": {"format": {"type": "text"}}}, "format", ""),
    ("/v1/responses", {"text": {"format": {"type": "json_object"}}}, "format", "json"),
    ("/v1/responses", {"text": {"format": {"type": "json_schema", "name": "x", "schema": SCHEMA}}}, "format", SCHEMA),
    ("/v1/responses", {"text": {"format": {"type": "json_schema", "name": "x"}}}, "format", ""),
    ("/v1/responses", {}, "thinks", True),
    ("/v1/responses", {"reasoning": {"effort": "low"}}, "thinks", True),
    ("/v1/responses", {"reasoning": {"effort": "none"}}, "thinks", False),
    ("/v1/messages", {"max_tokens": 7}, "num_predict", 7),
    ("/v1/messages", {"stop_sequences": ["a", "b"]}, "stop", ("a", "b")),
    ("/v1/messages", {}, "stop", ()),
    (
        "/v1/messages",
        {"system": [{"type": "text", "text": "x"}], "messages": [{"role": "user"} | {"content": []}]},
        "only_loads",
        False,
    ),
    ("/v1/messages", {"messages": [{"role": "user", "content": []}]}, "only_loads", True),
    ("/v1/messages", {}, "thinks", True),
    ("/v1/messages", {"thinking": {"type": "enabled"}}, "thinks", True),
    ("/v1/messages", {"thinking": {"type": "adaptive"}}, "thinks", True),
    ("/v1/messages", {"thinking": {"type": "disabled"}}, "thinks", False),
    ("/v1/messages", {"thinking": {"type": "enabled"}, "model": "smollm2:135m"}, "thinks", False),
]


def test_these_fields_decide_about_the_answer() -> None:
    assert [
        (path, change, name, getattr(wants(path, BODIES[path] | change), name)) for path, change, name, _ in DECIDED
    ] == DECIDED


@pytest.mark.parametrize(
    ("change", "old", "new"),
    [
        ({"thinking": {"type": "enabled"}}, True, True),
        ({"thinking": {"type": "adaptive"}}, False, True),
        ({"output_config": {"effort": "low"}}, False, True),
        ({"output_config": {"effort": "low"}, "thinking": {"type": "disabled"}}, False, False),
        ({"output_config": {}}, False, False),
        ({}, False, False),
    ],
)
def test_an_unknown_model_thinks_over_messages_if_it_is_asked_to(change: dict[str, Any], old: bool, new: bool) -> None:
    body = json.dumps(BODIES["/v1/messages"] | {"model": "unknown"} | change).encode()
    asked = Asked(method="POST", target="/v1/messages", body=body)
    found = [wanted_of(asked, World(version=version, any_model=True)) for version in VERSIONS]
    assert [want.thinks for want in found if want] == [old, new]


def test_disabled_thinking_counts_for_nothing_in_an_old_version() -> None:
    body = BODIES["/v1/messages"] | {"thinking": {"type": "disabled"}}
    assert [wants("/v1/messages", body, version).thinks for version in VERSIONS] == [True, False]
