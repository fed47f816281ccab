"""The dialects of OpenAI's routes: what is read from a recording is written as its own bytes, or over another route."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
from builders import in_one_test, json_values, recording, texts
from hypothesis import given
from hypothesis import strategies as st

from ollama_harness.answers import Asked, World
from ollama_harness.answers.completions.completion import Call, Completion, DoneReason, Piece
from ollama_harness.answers.completions.dialects.dialect import EPOCH, answered
from ollama_harness.answers.completions.dialects.native import CHAT as CHAT_OWN
from ollama_harness.answers.completions.dialects.native import GENERATE
from ollama_harness.answers.completions.dialects.openai import CHAT_COMPLETIONS, TEXT_COMPLETIONS
from ollama_harness.answers.completions.wanted import Wanted, wanted_of
from ollama_harness.recordings.recording import Frame, RecordedEnd, Recording, Request, Response
from ollama_harness.recordings.records import stream_values
from ollama_harness.recordings.store import packaged_store

pytestmark = pytest.mark.same_everywhere

STORE = packaged_store()
REQUESTS = Path(__file__).parent.parent / "fixtures" / "requests"
DIALECTS = {"/v1/chat/completions": CHAT_COMPLETIONS, "/v1/completions": TEXT_COMPLETIONS}
VERSIONS = ("0.5.7", "0.9.6", "0.12.11", "0.24.0", "0.32.15")
_UNKNOWN = re.compile(rb'(?<="created":)\d+|(?<=cmpl-)\d{1,3}(?=")|(?<="id":"call_)[a-z0-9]{8}(?=")')


def wanted(request: Request, version: str) -> Wanted:
    asked = Asked(method=request.method, target=request.path, headers=request.headers, body=request.content or b"")
    found = wanted_of(asked, World(version=version))
    assert found is not None
    return found


@cache
def good() -> dict[str, Recording]:
    """The recordings that hold a completion, of the second sessions too; and whole answers to the requests."""
    names = (id_ for id_ in STORE.ids if id_.rpartition("/")[2].startswith(("v1-chat-", "v1-completions-")))
    chosen = {id_: STORE.get(id_) for id_ in names}
    for version in VERSIONS:
        for line in (REQUESTS / f"{version}.jsonl").read_text("utf-8").splitlines():
            one = json.loads(line)
            if one["end"] == "complete" and one["request"]["target"] in DIALECTS and one["request"]["body"]:
                chosen[f"requests/{version}/{one['id']}"] = recording_of(one, version)
    return {id_: one for id_, one in chosen.items() if one.response.status == 200}


def recording_of(one: dict[str, Any], version: str) -> Recording:
    """A recorded answer to a request, in one frame."""
    return Recording(
        id=f"{version}/{one['id']}",
        ollama_version=version,
        recorded_at="",
        platform="",
        request=Request(method=one["request"]["method"], path=one["request"]["target"], body=one["request"]["body"]),
        response=Response(
            status=one["status"],
            reason=one["reason"],
            headers=tuple((name, value) for name, value in one["headers"]),
            head_at_s=1.0,
        ),
        frames=(Frame(at_s=1.0, data=one["body"].encode("latin-1")),),
        ended=RecordedEnd.COMPLETE,
        ended_at_s=1.0,
    )


def read(recording: Recording) -> Completion:
    completion = DIALECTS[recording.request.path].read(recording)
    assert completion is not None
    return completion


def written(completion: Completion, request: Request, version: str) -> Recording:
    """A completion as the answer to a request."""
    return answered(DIALECTS[request.path], completion, wanted(request, version), request=request, name="made")


def masked(data: bytes) -> bytes:
    """Without what cannot be known: times and ids."""
    return _UNKNOWN.sub(b"?", data)


def records(recording: Recording) -> list[Any]:
    """The records of a stream, [DONE] among them, or the one record of one piece."""
    if recording.response.media_type == "text/event-stream":
        return stream_values("text/event-stream", recording.body)
    return [json.loads(recording.body)]


def shape(value: Any) -> Any:
    """The keys of a value in their order, and the types of what is in it."""
    match value:
        case dict():
            return [(key, shape(each)) for key, each in value.items()]
        case list():
            return [shape(each) for each in value]
    return type(value).__name__


# --- as recorded ------------------------------------------------------------------------------------------------------


@in_one_test("id_", good())
def test_what_is_read_is_written_as_the_same_bytes(id_: str) -> None:
    recording = good()[id_]
    made = written(read(recording), recording.request, recording.ollama_version)
    assert [masked(frame.data) for frame in made.frames] == [masked(frame.data) for frame in recording.frames]
    assert [frame.at_s for frame in made.frames] == [frame.at_s for frame in recording.frames]


@in_one_test("id_", good())
def test_the_head_is_the_recorded_one(id_: str) -> None:
    recording = good()[id_]
    made = written(read(recording), recording.request, recording.ollama_version)
    varies = ("Date", "Content-Length")
    assert [(name, value if name not in varies else "") for name, value in made.response.headers] == [
        (name, value if name not in varies else "") for name, value in recording.response.headers
    ]


#: Recordings of the same question, as a stream and in one piece.
TWINS = {
    "v1-chat-stream": "v1-chat-nonstream",
    "v1-chat-france-stream": "v1-chat-france-nonstream",
    "v1-chat-json-stream": "v1-chat-json-nonstream",
    "v1-chat-schema-stream": "v1-chat-schema-nonstream",
    "v1-chat-think-stream": "v1-chat-think-nonstream",
    "v1-chat-tools-two-stream": "v1-chat-tools-two-nonstream",
    "v1-chat-tools-same-stream": "v1-chat-tools-same-nonstream",
    "v1-completions-stream": "v1-completions-nonstream",
    "v1-completions-france-stream": "v1-completions-france-nonstream",
}
#: Without the usage, which a stream does not have.
_USAGE = re.compile(rb'"usage":\{[^}]*\}')


def twins() -> list[tuple[str, str, str]]:
    pairs = [(version, stream, whole) for version in VERSIONS for stream, whole in TWINS.items()]
    return [pair for pair in pairs if f"{pair[0]}/{pair[1]}" in good() and f"{pair[0]}/{pair[2]}" in good()]


@pytest.mark.parametrize(("version", "stream", "whole"), twins())
def test_a_stream_is_written_in_one_piece_as_its_twin(version: str, stream: str, whole: str) -> None:
    twin = STORE.get(f"{version}/{whole}")
    completion = read(STORE.get(f"{version}/{stream}"))
    made = written(completion, twin.request, version)
    assert shape(records(made)) == shape(records(twin))
    assert read(made).done_reason is read(twin).done_reason
    if read(twin).text == completion.text and list(read(twin).calls) == list(completion.calls):
        assert _USAGE.sub(b"", masked(made.body)) == _USAGE.sub(b"", masked(twin.body))


@pytest.mark.parametrize(("version", "stream", "whole"), twins())
def test_one_piece_is_written_as_a_stream_like_its_twin(version: str, stream: str, whole: str) -> None:
    twin = STORE.get(f"{version}/{stream}")
    completion = read(STORE.get(f"{version}/{whole}"))
    made, recorded = records(written(completion, twin.request, version)), records(twin)
    kinds = [shape(record) for record in recorded]
    assert shape(made[0]) == kinds[0]
    assert [shape(record) for record in made[-2:]] == kinds[-2:]
    assert [record for record in made if shape(record) not in kinds] == []


def test_most_twins_are_there() -> None:
    assert len(twins()) > len(VERSIONS) * (len(TWINS) - 1)


#: Recordings of the same question over Ollama's own routes, which each version answered with the same words.
OVER_OWN_ROUTES = {
    "chat-france": "v1-chat-france-stream",
    "chat-france-nonstream": "v1-chat-france-nonstream",
    "chat-format-json-stream": "v1-chat-json-stream",
    "chat-format-schema-stream": "v1-chat-schema-stream",
    "chat-logprobs": "v1-chat-logprobs-stream",
    "chat-tools-stream": "v1-chat-tools-stream",
    "chat-tools-two-stream": "v1-chat-tools-two-stream",
    "chat-tools-two-nonstream": "v1-chat-tools-two-nonstream",
    "generate-france": "v1-completions-france-stream",
    "generate-france-nonstream": "v1-completions-france-nonstream",
}
THOUGHT = [(version, "chat-think-stream", "v1-chat-think-stream") for version in ("0.5.7", "0.24.0", "0.32.15")]


@pytest.mark.parametrize(
    ("version", "own", "name"),
    [*THOUGHT, *((version, own, name) for version in VERSIONS for own, name in OVER_OWN_ROUTES.items())],
)
def test_an_answer_over_an_own_route_is_written_as_that_over_openais(version: str, own: str, name: str) -> None:
    source, recording = STORE.get(f"{version}/{own}"), STORE.get(f"{version}/{name}")
    completion = (GENERATE if own.startswith("generate") else CHAT_OWN).read(source)
    assert completion is not None
    made = written(completion, recording.request, version)
    assert [masked(frame.data) for frame in made.frames] == [masked(frame.data) for frame in recording.frames]


# --- what was not recorded, but follows -------------------------------------------------------------------------------


CHAT, TEXT = DIALECTS
HI: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}]}
TOOLS: dict[str, Any] = {**HI, "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]}
USAGE = {"stream_options": {"include_usage": True}}
HELLO = Completion(
    pieces=(Piece(text="Hello", at_s=0.1), Piece(text="!", at_s=2.1)), prompt_tokens=9, tokens=3, end_s=4.2
)


def asked(path: str, body: dict[str, Any], *, stream: bool = True) -> Request:
    return Request(method="POST", path=path, json={"model": "m", "stream": stream, **body})


def sent(completion: Completion, version: str, path: str = CHAT, **body: Any) -> list[Any]:
    """The records of a stream without [DONE], which is at its end."""
    request = asked(path, {**(HI if path == CHAT else {"prompt": "Hi"}), **body})
    *found, done = records(written(completion, request, version))
    assert done == "[DONE]"
    return found


def choices(found: list[Any]) -> list[Any]:
    return [record["choices"][0] for record in found]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("path", DIALECTS)
def test_an_answer_has_one_id_that_depends_on_the_request(path: str, version: str) -> None:
    ids = {json.dumps(record["id"]) for record in sent(HELLO, version, path)}
    others = [sent(HELLO, version, path, temperature=number / 8)[0]["id"] for number in range(8)]
    assert len(ids) == 1
    assert len(set(others)) > 1
    assert all(re.fullmatch(r"(chat)?cmpl-\d{1,3}", other) for other in others)
    assert sent(HELLO, version, path) == sent(HELLO, version, path)


@pytest.mark.parametrize(
    ("path", "version", "times"),
    [
        (CHAT, "0.24.0", [0, 2, 4]),
        (CHAT, "0.32.15", [0, 0, 0]),
        (TEXT, "0.24.0", [0, 2, 4]),
        (TEXT, "0.32.15", [0, 2, 4]),
    ],
)
def test_created_is_the_time_of_the_event_or_of_the_first(path: str, version: str, times: list[int]) -> None:
    created = [record["created"] - int(EPOCH.timestamp()) for record in sent(HELLO, version, path)]
    assert created == times


@pytest.mark.parametrize("version", VERSIONS)
def test_the_usage_of_a_chat_is_an_event_of_its_own_in_the_last_frame(version: str) -> None:
    request = asked(CHAT, HI | USAGE)
    made = written(HELLO, request, version)
    *others, last, _ = records(made)
    assert [record for record in others if "usage" in record] == []
    assert last["choices"] == []
    assert last["usage"] == {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
    assert made.frames[-1].data.count(b"data: ") == 3
    assert written(HELLO, asked(CHAT, HI), version).frames[-1].data.count(b"data: ") == 2


@pytest.mark.parametrize("version", VERSIONS)
def test_with_usage_each_event_of_a_text_has_one(version: str) -> None:
    *others, last = sent(HELLO, version, TEXT, **USAGE)
    assert [record["usage"]["total_tokens"] for record in others] == [0, 0, 0]
    assert (last["choices"], last["usage"]["total_tokens"]) == ([], 12)
    assert [*last] == ["id", "object", "created", "choices", "model", "system_fingerprint", "usage"]
    assert [record for record in sent(HELLO, version, TEXT) if "usage" in record] == []
    found = read(written(HELLO, asked(TEXT, {"prompt": "Hi"} | USAGE), version))
    assert (found.prompt_tokens, found.tokens) == (9, 3)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_load_that_asks_for_a_stream_is_one_body_of_events(version: str) -> None:
    made = written(Completion(done_reason=DoneReason.LOAD, end_s=1.0), asked(TEXT, {}), version)
    assert choices(records(made)[:-1]) == [{"text": "", "index": 0, "finish_reason": "load"}]
    assert made.response.header("Content-Type") == "text/event-stream"
    assert made.response.header("Content-Length") == str(made.size_bytes)
    assert made.response.header("Transfer-Encoding") is None
    assert read(made).done_reason is DoneReason.LOAD


@pytest.mark.parametrize(
    ("version", "delta"), [("0.24.0", {"role": "assistant", "content": ""}), ("0.32.15", {})], ids=str
)
def test_an_answer_that_says_nothing_is_its_end(version: str, delta: dict[str, Any]) -> None:
    found = choices(sent(Completion(), version))
    assert found == [{"index": 0, "delta": delta, "finish_reason": "stop"}]


@pytest.mark.parametrize(
    ("version", "deltas"),
    [
        ("0.5.7", [({"role": "assistant", "content": "{!"}, "stop")]),
        ("0.24.0", [({"role": "assistant", "content": "{!"}, "stop")]),
        ("0.32.15", [({"role": "assistant", "content": "{!"}, None), ({}, "stop")]),
    ],
    ids=str,
)
def test_a_text_that_comes_with_the_last_record(version: str, deltas: list[Any]) -> None:
    """Ollama holds a text back that may become a call."""
    held = Completion(pieces=(Piece(text="{", at_s=0.1), Piece(text="!", at_s=0.2)), end_s=0.3)
    made = written(held, asked(CHAT, TOOLS), version)
    assert len(made.frames) == 1
    assert [(one["delta"], one["finish_reason"]) for one in choices(records(made)[:-1])] == deltas


@pytest.mark.parametrize(("version", "has"), [("0.9.6", False), ("0.12.11", True), ("0.32.15", True)])
def test_thinking_is_reasoning_where_the_version_has_it(version: str, has: bool) -> None:
    thought = Completion(pieces=(Piece(thinking="Hm", at_s=0.1), Piece(text="Hi", at_s=0.2)), end_s=0.3)
    first, second, _ = choices(sent(thought, version))
    assert first["delta"] == {"role": "assistant", "content": "", **({"reasoning": "Hm"} if has else {})}
    assert "reasoning" not in second["delta"]
    [whole] = records(written(thought, asked(CHAT, HI, stream=False), version))
    assert whole["choices"][0]["message"].get("reasoning") == ("Hm" if has else None)


CALLED = Completion(
    pieces=(
        Piece(calls=(Call(name="f", arguments={"b": "<&", "a": {"d": 1, "c": 2.0}}), Call(name="g", arguments={}))),
    )
)


@pytest.mark.parametrize(
    ("version", "indexes", "reason", "whole"),
    [
        ("0.5.7", [[0, 1]], "stop", [0, 0]),
        ("0.9.6", [[0], [1]], "tool_calls", [0, 1]),
        ("0.32.15", [[0], [1]], "tool_calls", [0, 1]),
    ],
)
def test_calls_are_numbered(version: str, indexes: list[list[int]], reason: str, whole: list[int]) -> None:
    *said, end = choices(sent(CALLED, version, **TOOLS))
    assert [[call["index"] for call in one["delta"]["tool_calls"]] for one in said] == indexes
    assert end["finish_reason"] == reason
    [record] = choices(records(written(CALLED, asked(CHAT, TOOLS, stream=False), version)))
    calls = record["message"]["tool_calls"]
    assert [call["index"] for call in calls] == whole
    assert len({call["id"] for call in calls}) == 2
    assert record["finish_reason"] == "tool_calls"


@pytest.mark.parametrize(
    ("version", "arguments"),
    [
        ("0.12.11", r'{"a":{"c":2,"d":1},"b":"\u003c\u0026"}'),
        ("0.32.15", r'{"b":"\u003c\u0026","a":{"c":2,"d":1}}'),
    ],
)
def test_arguments_are_text_as_go_writes_it(version: str, arguments: str) -> None:
    first, *_ = choices(sent(CALLED, version, **TOOLS))
    assert first["delta"]["tool_calls"][0]["function"] == {"name": "f", "arguments": arguments}


def test_logprobs_are_sent_if_they_are_wanted() -> None:
    entry = {"token": "Hi", "logprob": -0.00001, "bytes": [72, 105]}
    known = Completion(pieces=(Piece(text="Hi", logprobs=(entry,)),))
    chat, text = sent(known, "0.32.15", CHAT, logprobs=True)[0], sent(known, "0.32.15", TEXT, logprobs=1)[0]
    assert [*chat["choices"][0]] == ["index", "delta", "finish_reason", "logprobs"]
    assert [*text["choices"][0]] == ["text", "index", "finish_reason", "logprobs"]
    assert chat["choices"][0]["logprobs"] == text["choices"][0]["logprobs"] == {"content": [entry]}
    assert "logprobs" not in sent(known, "0.32.15")[0]["choices"][0]
    assert "logprobs" not in sent(known, "0.9.6", logprobs=True)[0]["choices"][0]


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("id_", [id_ for id_ in STORE.ids if re.search("/fault-.*-v1-ch|/v1-error-", id_)])
def test_what_is_no_whole_answer_is_not_read(id_: str) -> None:
    assert CHAT_COMPLETIONS.read(STORE.get(id_)) is None


@pytest.mark.parametrize("frames", [[b'{"choices":'], [b"[]"], []])
def test_a_body_that_is_no_json_object_is_not_read(frames: list[bytes]) -> None:
    assert TEXT_COMPLETIONS.read(recording(*frames, media_type="application/json", path=TEXT)) is None


def test_without_numbers_there_are_as_many_tokens_as_pieces_and_one_for_the_end() -> None:
    request = asked(CHAT, HI)
    assert (read(written(HELLO, request, "0.32.15")).prompt_tokens, HELLO.tokens) == (0, 3)
    assert read(written(HELLO, request, "0.32.15")).tokens == 3
    record = {"choices": [{"text": "Hi", "finish_reason": "stop"}], "usage": {"completion_tokens": "many"}}
    assert read(recording(json.dumps(record).encode(), media_type="application/json", path=TEXT)).tokens == 2


@pytest.mark.parametrize("path", DIALECTS)
def test_an_event_that_says_nothing_is_kept(path: str) -> None:
    pauses = replace(HELLO, pieces=(HELLO.pieces[0], Piece(at_s=1.0), HELLO.pieces[1]))
    made = written(pauses, asked(path, HI | {"prompt": "Hi"}), "0.32.15")
    assert read(made).pieces == pauses.pieces


def test_the_last_bytes_of_an_event_say_when_it_came() -> None:
    made = written(HELLO, asked(CHAT, HI), "0.32.15")
    torn = [Frame(at_s=at, data=made.body[at : at + 1]) for at in range(made.size_bytes)]
    ends = accumulate(len(frame.data) for frame in made.frames)
    assert [piece.at_s for piece in read(replace(made, frames=tuple(torn))).pieces] == [end - 1 for end in ends][:2]


# --- anything ---------------------------------------------------------------------------------------------------------


calls = st.builds(Call, name=texts.filter(bool), arguments=st.dictionaries(texts, st.text("ab<\u2028") | st.integers()))
pieces = st.lists(
    st.builds(Piece, text=texts.filter(bool))
    | st.builds(Piece, thinking=texts.filter(bool))
    | st.builds(Piece, calls=st.lists(calls, min_size=1, max_size=2).map(tuple)),
    max_size=4,
)


@given(pieces, st.sampled_from(["0.12.11", "0.24.0", "0.32.15"]), st.booleans(), st.sampled_from(list(DoneReason)[:2]))
def test_what_is_written_is_read(said: list[Piece], version: str, stream: bool, why: DoneReason) -> None:
    completion = Completion(pieces=tuple(said), done_reason=why, prompt_tokens=5, tokens=7)
    found = read(written(completion, asked(CHAT, HI | USAGE, stream=stream), version))
    assert (found.text, found.thinking) == (completion.text, completion.thinking)
    assert found.calls == completion.calls
    assert (found.prompt_tokens, found.tokens) == (5, 7)
    assert found.done_reason is (DoneReason.STOP if completion.calls else why)


@given(st.sampled_from([*DIALECTS]), st.sampled_from(["application/json", "text/event-stream"]), json_values)
def test_any_body_is_read_or_not(path: str, media_type: str, value: Any) -> None:
    for body in (
        value,
        {"choices": value},
        {"choices": [value]},
        {"choices": [{"delta": value, "message": value, "text": value, "finish_reason": "stop", "logprobs": value}]},
        {"choices": [{"text": "ab", "logprobs": {"content": [value, {"token": value}, {}]}, "finish_reason": "stop"}]},
        {"choices": [{"delta": {"tool_calls": [{"function": value}, value]}, "finish_reason": "stop"}], "usage": value},
    ):
        event = b"data: " + json.dumps(body).encode() + b"\n\n"
        made = recording(event if "event" in media_type else event[6:], media_type=media_type, path=path)
        found = DIALECTS[path].read(made)
        assert found is None or found.done_reason is DoneReason.STOP
