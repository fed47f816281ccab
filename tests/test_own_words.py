"""Own words: FakeOllama.reply, embed and fail, `when`, and `serve --reply`."""

from __future__ import annotations

import base64
import http.client
import json
import re
import struct
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import ollama
import pytest
from builders import recording

from ollama_harness import FakeOllama
from ollama_harness.answers.completions import DIALECTS, Completion, DoneReason
from ollama_harness.cli import main
from ollama_harness.errors import FaultDoesNotApply, ReplyError
from ollama_harness.faults import (
    after_record,
    close_at,
    close_on_accept,
    drop_terminal_record,
    error_line_after_record,
    replace_with_error,
    set_header,
)
from ollama_harness.recordings.recording import Recording, Request
from ollama_harness.recordings.records import is_terminal, stream_values
from ollama_harness.recordings.store import packaged_store
from ollama_harness.server.reply_file import read_replies

pytestmark = pytest.mark.same_everywhere

STORE = packaged_store()
NEWEST, OLDER, OLDEST = "0.32.15", "0.9.6", "0.5.7"
HI = [{"role": "user", "content": "Hi there"}]
TOOLS = [{"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}]
ADD = {"name": "add", "arguments": {"b": 2, "a": [1, {"y": "<ü>", "x": None}]}}

#: What each route asks with, besides the model.
BODIES: dict[str, dict[str, Any]] = {
    "/api/chat": {"messages": HI},
    "/api/generate": {"prompt": "Hi"},
    "/v1/chat/completions": {"messages": HI},
    "/v1/completions": {"prompt": "Hi"},
    "/v1/messages": {"messages": HI, "max_tokens": 50},
    "/v1/responses": {"input": "Hi"},
}
#: Those whose answers can have thinking and calls.
CHATS = [path for path in BODIES if path not in ("/api/generate", "/v1/completions")]
#: What switches thinking on, where it is not by default.
THINK: dict[str, dict[str, Any]] = {"/v1/messages": {"thinking": {"type": "enabled", "budget_tokens": 1024}}}
OLD_ROUTES = [path for path in BODIES if path not in ("/v1/messages", "/v1/responses")]
EVERYWHERE = [
    *((NEWEST, path, stream) for path in BODIES for stream in (True, False)),
    *((version, path, stream) for version in (OLDER, OLDEST) for path in OLD_ROUTES for stream in (True, False)),
]


@pytest.fixture
def server() -> Iterator[FakeOllama]:
    with FakeOllama(speed=0) as server:
        yield server


def ask(server: FakeOllama, path: str, /, **fields: Any) -> Recording:
    """The answer to a request for a model that no recording has, as a recording."""
    body = {"model": "llama3", **BODIES.get(path, {}), **fields}
    return post(server, path, json.dumps(body).encode())


def post(server: FakeOllama, path: str, body: bytes, **headers: str) -> Recording:
    return exchange(server, "POST", path, body, {"Content-Type": "application/json", **headers})


def exchange(
    server: FakeOllama, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> Recording:
    connection = http.client.HTTPConnection(server.host, server.port, timeout=20)
    with closing(connection):
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return recording(
            response.read(),
            headers=tuple(response.getheaders()),
            status=response.status,
            reason=response.reason,
            path=path,
            request_json=json.loads(body) if body.startswith(b"{") and body.endswith(b"}") else None,
        )


def said(server: FakeOllama, path: str, /, **fields: Any) -> Completion:
    """What the answer to a request says, read back."""
    answer = ask(server, path, **fields)
    read = DIALECTS[path].read(answer)
    assert read is not None, answer.body
    return read


# --- what is said -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("version", "path", "stream"), EVERYWHERE)
def test_tokens_are_said_on_every_route_as_a_stream_and_in_one_piece(version: str, path: str, stream: bool) -> None:
    with FakeOllama(speed=0, version=version) as server:
        server.reply("Hel", "lo", " <wörld>")
        answer = ask(server, path, stream=stream)
    read = DIALECTS[path].read(answer)
    assert read is not None
    assert read.text == "Hello <wörld>"
    assert [piece.text for piece in read.pieces if piece.text] == (
        ["Hel", "lo", " <wörld>"] if stream else ["Hello <wörld>"]
    )
    assert read.done_reason is DoneReason.STOP
    assert b'"model":"llama3"' in answer.body
    media_type = answer.response.media_type
    streams = "application/x-ndjson" if path.startswith("/api/") else "text/event-stream"
    assert media_type == (streams if stream else "application/json")
    if not stream or path.startswith("/api/"):
        assert (read.tokens, read.prompt_tokens > 0) == (4, True), "the tokens and one for the end"


@pytest.mark.parametrize("path", BODIES)
def test_one_text_is_split_as_a_tokenizer_would(path: str, server: FakeOllama) -> None:
    server.reply("The answer is 42.")
    tokens = [piece.text for piece in said(server, path, stream=True).pieces if piece.text]
    assert tokens == ["The", " answer", " is", " ", "4", "2", "."]


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_may_be_empty(path: str, stream: bool, server: FakeOllama) -> None:
    server.reply("")
    read = said(server, path, stream=stream)
    assert (read.text, read.calls, read.done_reason) == ("", (), DoneReason.STOP)


@pytest.mark.parametrize("path", CHATS)
@pytest.mark.parametrize("stream", [True, False])
def test_thinking_text_and_calls_are_one_turn(path: str, stream: bool, server: FakeOllama) -> None:
    tools = [{"name": "add", "input_schema": {"type": "object"}}] if path == "/v1/messages" else TOOLS
    tools = [{"type": "function", "name": "add", "parameters": {}}] if path == "/v1/responses" else tools
    server.reply(thinking=["Let", " me"], text="So:", tool_calls=[ADD])
    read = said(server, path, stream=stream, tools=tools, **THINK.get(path, {}))
    assert read.thinking == "Let me"
    assert [(call.name, call.arguments) for call in read.calls] == [(ADD["name"], ADD["arguments"])]
    if path != "/v1/responses":  # Ollama keeps no text beside calls there
        assert read.text == "So:"
    assert b'"tool_calls"' in ask(server, "/api/chat", tools=TOOLS).body


@pytest.mark.parametrize(
    "call",
    [
        {"name": "add", "arguments": {"a": 1}},
        {"name": "add", "arguments": '{"a": 1}'},
        {"function": {"name": "add", "arguments": {"a": 1}}},
        {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}},
    ],
)
def test_a_call_is_written_in_any_form_that_messages_have(call: dict[str, Any], server: FakeOllama) -> None:
    server.reply(tool_calls=[call, {"name": "now"}])
    read = said(server, "/api/chat", tools=TOOLS)
    assert [(call.name, call.arguments) for call in read.calls] == [("add", {"a": 1}), ("now", {})]
    assert read.tokens > len(read.pieces) + 1, "a call is more than one token"


def test_a_call_that_no_tool_was_offered_for_is_noted(server: FakeOllama) -> None:
    server.reply(tool_calls=[ADD])
    assert said(server, "/api/chat").calls
    assert server.journal.entries[-1].why == "your words, with a tool call though the request offers no tools"


@pytest.mark.parametrize("path", BODIES)
def test_json_is_said_as_text(path: str, server: FakeOllama) -> None:
    server.reply(json={"city": "Zürich", "sizes": [1, 2.5, None]})
    read = said(server, path, stream=True)
    assert json.loads(read.text) == {"city": "Zürich", "sizes": [1, 2.5, None]}
    assert len(read.pieces) > 5


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/api/chat", '"done_reason":"length"'),
        ("/api/generate", '"done_reason":"length"'),
        ("/v1/chat/completions", '"finish_reason":"length"'),
        ("/v1/completions", '"finish_reason":"length"'),
        ("/v1/messages", '"stop_reason":"max_tokens"'),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_may_end_because_it_is_too_long(
    path: str,
    reason: str,
    stream: bool,
    server: FakeOllama,
) -> None:
    server.reply("Once upon", done_reason="length")
    assert reason.encode() in ask(server, path, stream=stream).body


@pytest.mark.parametrize(
    ("version", "think", "thinking", "text"),
    [
        (NEWEST, None, "Hm", "Hi"),
        (NEWEST, True, "Hm", "Hi"),
        (NEWEST, False, "", "Hi"),
        (OLDER, None, "", "<think>Hm</think>\nHi"),
        (OLDER, True, "Hm", "Hi"),
        (OLDER, False, "", "Hi"),
        (OLDEST, None, "", "<think>Hm</think>\nHi"),
        (OLDEST, False, "", "<think>Hm</think>\nHi"),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
def test_thinking_is_said_as_a_model_that_thinks_says_it(
    version: str,
    think: bool | None,
    thinking: str,
    text: str,
    stream: bool,
) -> None:
    with FakeOllama(speed=0, version=version) as server:
        server.reply("Hi", thinking="Hm")
        read = said(server, "/api/chat", stream=stream, **({} if think is None else {"think": think}))
    assert (read.thinking, read.text) == (thinking, text)


@pytest.mark.parametrize("path", ["/api/chat", "/api/generate", "/v1/chat/completions"])
def test_log_probabilities_are_there_if_they_are_asked_for(path: str, server: FakeOllama) -> None:
    server.reply("Hello", " you")
    read = said(server, path, stream=True, logprobs=True, top_logprobs=2)
    assert [entry["token"] for entry in read.logprobs] == ["Hello", " you"]
    assert [len(entry["top_logprobs"]) for entry in read.logprobs] == [2, 2]
    assert said(server, path, stream=True).logprobs == ()


def test_nothing_of_a_request_changes_the_words(server: FakeOllama) -> None:
    server.reply("one two three four")
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    read = said(server, "/api/chat", options={"stop": ["two"], "num_predict": 1}, format=schema, tools=TOOLS)
    assert (read.text, read.done_reason) == ("one two three four", DoneReason.STOP)


# --- time -------------------------------------------------------------------------------------------------------------


def times(server: FakeOllama) -> list[float]:
    """When each segment of the last answer is sent."""
    script = server.journal.entries[-1].script
    assert script is not None
    return [round(segment.at_s, 4) for segment in script.segments]


@pytest.mark.parametrize(
    ("speed", "given", "expected"),
    [
        (0, {}, [0, 0, 0, 0]),
        (2, {}, [0.01, 0.02, 0.03, 0.03]),
        (0, {"tokens_per_s": 100}, [0, 0.01, 0.02, 0.02]),
        (0, {"first_token_s": 0.01}, [0.01, 0.01, 0.01, 0.01]),
        (1, {"tokens_per_s": 100, "first_token_s": 0.03}, [0.03, 0.04, 0.05, 0.05]),
    ],
)
def test_tokens_come_at_the_pace_that_is_given_or_at_the_servers(
    speed: float, given: dict[str, float], expected: list[float]
) -> None:
    with FakeOllama(speed=speed) as server:
        server.reply("a", "b", **given)
        ask(server, "/api/chat")
        assert times(server) == expected


def test_a_gap_of_the_server_is_that_of_tokens() -> None:
    with FakeOllama(gap_s=0.005) as server:
        server.reply("a", "b")
        ask(server, "/api/chat")
        assert times(server) == [0.005, 0.01, 0.015, 0.015]


def test_the_last_record_says_how_long_it_took(server: FakeOllama) -> None:
    server.reply("a", "b", tokens_per_s=100)
    last = json.loads(ask(server, "/api/chat").body.splitlines()[-1])
    assert last["eval_duration"] == 20_000_000
    assert last["total_duration"] >= last["load_duration"] + last["prompt_eval_duration"] + last["eval_duration"]


# --- which requests ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["llama3", "smollm2:135m", "gpt-oss:120b-cloud", "hf.co/Some/Model:Q4"])
def test_every_model_is_there_and_can_do_everything(model: str, server: FakeOllama) -> None:
    server.reply("Yes", thinking="Hm")
    fields = {"tools": TOOLS, "think": True, "messages": [{**HI[0], "images": ["aGk="]}]}
    assert said(server, "/api/chat", model=model, **fields).text == "Yes"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/chat", b'{"model": "llama3", "messages": 3}'),
        ("/api/chat", b"{"),
        ("/api/chat", b""),
        ("/api/chat", b'{"messages": [{"role": "user", "content": "Hi"}]}'),
        ("/api/chat", b'{"model": "llama3", "messages": [{"role": "user", "content": "Hi"}], "top_logprobs": 99}'),
        (
            "/api/chat",
            b'{"model": "llama3", "messages": [{"role": "user", "content": "Hi"}], "options": {"top_k": ""}}',
        ),
        ("/v1/chat/completions", b'{"model": "llama3", "messages": []}'),
        ("/v1/messages", b'{"model": "llama3", "messages": [{"role": "user", "content": "Hi"}]}'),
    ],
)
def test_what_ollama_refuses_is_refused_as_it_would_be_with_the_model(
    path: str, body: bytes, server: FakeOllama
) -> None:
    with FakeOllama(speed=0, any_model=True) as other:
        expected = post(other, path, body)
    server.reply("never said", times=1)
    refused = post(server, path, body)
    assert expected.response.status >= 400
    assert (refused.response.status, refused.body) == (expected.response.status, expected.body)
    assert server.journal.entries[-1].rule
    assert said(server, "/api/chat").text == "never said", "and that was no use"


@pytest.mark.parametrize("fields", [{"messages": []}, {"messages": [], "keep_alive": 0}])
def test_a_model_that_is_only_loaded_says_nothing_and_that_is_no_use(
    fields: dict[str, Any], server: FakeOllama
) -> None:
    server.reply("Hello", times=1)
    loaded = said(server, "/api/chat", **fields)
    assert loaded.only_loads
    assert loaded.text == ""
    assert said(server, "/api/chat").text == "Hello"
    assert ask(server, "/api/chat").response.status == 404, "used up"


def test_other_routes_are_as_ever(server: FakeOllama) -> None:
    server.reply("Hello")
    assert ask(server, "/api/show").response.status == 404
    assert ask(server, "/api/embed", input="Hi").response.status == 404
    assert post(server, "/no/such/route", b"{}").response.status == 404


def test_the_newest_answers_first_and_as_often_as_it_may(server: FakeOllama) -> None:
    server.reply("always")
    server.reply("twice", times=2)
    server.play("chat-stream", times=1)
    texts = [said(server, "/api/chat").text for _ in range(4)]
    assert texts[0].startswith("The sky")
    assert texts[1:] == ["twice", "twice", "always"]
    assert [entry.answered_by for entry in server.journal.entries][1:] == ["reply"] * 3
    server.clear()
    assert ask(server, "/api/chat").response.status == 404


def test_path_and_model_narrow_the_requests(server: FakeOllama) -> None:
    server.reply("anything")
    server.reply("generated", path="/api/generate")
    server.reply("routed", model="router")
    assert said(server, "/api/chat").text == "anything"
    assert said(server, "/api/generate").text == "generated"
    assert said(server, "/v1/chat/completions", model="router:latest").text == "routed"


def test_when_looks_at_the_request(server: FakeOllama) -> None:
    seen: list[Request] = []

    def asks_for_weather(request: Request) -> bool:
        seen.append(request)
        return "weather" in request.json["messages"][-1]["content"]

    server.reply("Anything else")
    server.reply("It rains", when=asks_for_weather)
    assert said(server, "/api/chat").text == "Anything else"
    assert said(server, "/api/chat", messages=[{"role": "user", "content": "The weather?"}]).text == "It rains"
    assert [(request.method, request.path) for request in seen] == [("POST", "/api/chat")] * 2
    assert ("Content-Type", "application/json") in [(name.title(), value) for name, value in seen[0].headers]


def test_a_play_may_look_at_the_request_too(server: FakeOllama) -> None:
    server.reply("own")
    server.play("chat-stream", when=lambda request: request.json["model"] == "other", times=1)
    assert said(server, "/api/chat").text == "own"
    assert said(server, "/api/chat", model="other").text.startswith("The sky")
    assert said(server, "/api/chat", model="other").text == "own"


def test_a_when_that_raises_is_the_tests_error(server: FakeOllama) -> None:
    server.reply("Hello", when=lambda request: request.json["nope"])
    answer = ask(server, "/api/chat")
    assert answer.response.status == 501
    assert "the `when` of a reply raised KeyError('nope')" in json.loads(answer.body)["error"]
    with pytest.raises(KeyError, match="nope"):
        server.check()


def test_a_when_may_ask_the_server_itself(server: FakeOllama) -> None:
    server.reply("inner", path="/api/generate")
    server.reply("outer", when=lambda request: said(server, "/api/generate").text == "inner", path="/api/chat")
    assert said(server, "/api/chat").text == "outer"


def test_whom_ollama_does_not_let_in_hears_nothing_unless_it_stands_before_the_guard(server: FakeOllama) -> None:
    body = json.dumps({"model": "llama3", "messages": HI}).encode()
    server.reply("Hello")
    assert post(server, "/api/chat", body, Origin="https://evil.example").response.status == 403
    server.reply("Hello", before_guard=True)
    assert post(server, "/api/chat", body, Origin="https://evil.example").response.status == 200


def test_a_page_that_may_ask_gets_the_headers_for_it(server: FakeOllama) -> None:
    server.reply("Hello")
    body = json.dumps({"model": "llama3", "messages": HI}).encode()
    answer = post(server, "/api/chat", body, Origin="http://localhost:3000")
    assert answer.response.header("Access-Control-Allow-Origin") == "http://localhost:3000"


# --- faults -----------------------------------------------------------------------------------------------------------


def test_faults_strike_what_is_said(server: FakeOllama) -> None:
    server.reply("a", "b", "c", faults=(error_line_after_record(2, "boom"), set_header("X-Own", "1")))
    answer = ask(server, "/api/chat")
    records = [json.loads(line) for line in answer.body.splitlines()]
    assert [record.get("message", {}).get("content") for record in records] == ["a", "b", None]
    assert records[-1] == {"error": "boom"}
    assert answer.response.header("X-Own") == "1"


@pytest.mark.parametrize("path", BODIES)
def test_a_stream_may_be_cut_on_every_route(path: str, server: FakeOllama) -> None:
    server.reply("a", "b", "c", faults=(drop_terminal_record(),))
    answer = ask(server, path, stream=True)
    records = stream_values(answer.response.media_type, answer.body)
    assert len(records) > 2
    assert not any(map(is_terminal, records))
    server.reply("a", "b", "c", faults=(close_at(after_record(1)),))
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.post(server.url + path, json={"model": "llama3", "stream": True, **BODIES[path]})


def test_a_fault_that_strikes_nothing_is_the_tests_error(server: FakeOllama) -> None:
    server.reply("a", faults=(drop_terminal_record(),))
    answer = ask(server, "/api/chat", stream=False)
    assert json.loads(answer.body)["message"]["content"] == "a"
    (entry,) = server.journal.entries
    assert entry.why.startswith("your words; drop_terminal_record() was left out: ")
    assert entry.line.endswith("; 1 fault left out")
    with pytest.raises(FaultDoesNotApply, match=r"drop_terminal_record\(\) was left out"):
        server.check()


def test_the_servers_faults_strike_it_too_where_they_can() -> None:
    with FakeOllama(speed=0, faults=[drop_terminal_record()]) as server:
        server.reply("a")
        assert DIALECTS["/api/chat"].read(ask(server, "/api/chat")) is None
        assert said(server, "/api/chat", stream=False).text == "a"
        assert "drop_terminal_record() was left out" in server.journal.entries[-1].why


@pytest.mark.parametrize("path", BODIES)
def test_a_faults_error_has_the_shape_of_the_route(path: str, server: FakeOllama) -> None:
    server.reply("a", faults=(replace_with_error(503, "busy"),))
    faulty = ask(server, path, stream=True)
    server.fail(503, "busy")
    failed = ask(server, path, stream=True)
    assert faulty.response.status == failed.response.status == 503
    assert re.sub(rb"req_\w+", b"", faulty.body) == re.sub(rb"req_\w+", b"", failed.body)
    assert faulty.response.media_type == failed.response.media_type == "application/json"


# --- vectors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [NEWEST, OLDEST])
def test_vectors_are_given_on_every_route_as_they_are(version: str) -> None:
    with FakeOllama(speed=0, version=version) as server:
        server.embed([[0.5, -2.0], [3, 0.25]])
        native = json.loads(ask(server, "/api/embed", input=["a", "b", "c"]).body)
        assert native["embeddings"] == [[0.5, -2], [3, 0.25], [0.5, -2]]
        assert native["model"] == "llama3"
        assert native["prompt_eval_count"] == 3
        assert json.loads(ask(server, "/api/embeddings", prompt="a").body) == {"embedding": [0.5, -2]}
        openai = json.loads(ask(server, "/v1/embeddings", input=["a", "b"]).body)
        assert [one["embedding"] for one in openai["data"]] == [[0.5, -2], [3, 0.25]]
        assert server.journal.entries[-1].answered_by == "embed"


def test_vectors_are_packed_where_that_is_asked_for(server: FakeOllama) -> None:
    server.embed([[0.5, -2.0]])
    [one] = json.loads(ask(server, "/v1/embeddings", input="a", encoding_format="base64").body)["data"]
    assert struct.unpack("<2f", base64.b64decode(one["embedding"])) == (0.5, -2)


def test_vectors_follow_when_and_times_and_are_not_used_up_without_a_text(server: FakeOllama) -> None:
    server.embed([[1]], when=lambda request: request.json["input"] != "b", times=1)
    assert json.loads(ask(server, "/api/embed", input=[]).body)["embeddings"] == []
    assert ask(server, "/api/embed", input="b").response.status == 404
    assert json.loads(ask(server, "/api/embed", input="a").body)["embeddings"] == [[1]]
    assert ask(server, "/api/embed", input="a").response.status == 404
    assert ask(server, "/api/embed", input=3).response.status == 400


# --- errors -----------------------------------------------------------------------------------------------------------

_NOT_FOUND = re.compile(r"/(error|v1(-\w+)?-error)-.*model-not-found$")
REFUSED = [id_ for id_ in STORE.ids if _NOT_FOUND.search(id_) and STORE.get(id_).suffix == ".json"]


@pytest.mark.parametrize("id_", [*REFUSED, *(id_ for id_ in STORE.ids if id_.endswith("/fault-queue-full"))])
def test_an_error_is_to_the_byte_what_ollama_sends_on_that_route(id_: str) -> None:
    real = STORE.get(id_)
    value = json.loads(real.body)["error"]
    with FakeOllama(speed=0, version=real.ollama_version) as server:
        server.fail(real.response.status, value if isinstance(value, str) else value["message"])
        failed = post(server, real.request.path, real.request.content or b"")
    assert failed.response.status == real.response.status
    assert failed.response.reason == real.response.reason
    unknown = re.compile(rb"req_\w{24}")
    assert unknown.sub(b"", failed.body) == unknown.sub(b"", real.body)
    assert without_date(failed) == without_date(real)


def without_date(one: Recording) -> list[tuple[str, str]]:
    return [pair for pair in one.response.headers if pair[0] != "Date"]


def test_an_error_answers_what_cannot_be_read_and_what_is_no_route(server: FakeOllama) -> None:
    server.fail(529, "overloaded")
    assert post(server, "/v1/messages", b"{").response.reason == "status code 529"
    assert json.loads(post(server, "/no/such/route", b"").body) == {"error": "overloaded"}
    assert exchange(server, "GET", "/api/tags").response.status == 529


def test_a_server_may_fail_twice_and_then_answer(server: FakeOllama) -> None:
    server.reply("Hello")
    server.fail(503, "busy", path="/api/chat", times=2, faults=(set_header("Retry-After", "1"),))
    with ollama.Client(server.url) as client:
        for _ in range(2):
            with pytest.raises(ollama.ResponseError, match="busy") as caught:
                client.chat("llama3", HI)
            assert caught.value.status_code == 503
        assert client.chat("llama3", HI).message.content == "Hello"
    assert b"Retry-After: 1\r\n" in server.journal.entries[0].wire


# --- clients ----------------------------------------------------------------------------------------------------------


def test_the_client_of_ollama_reads_all_of_it(server: FakeOllama) -> None:
    server.embed([[0.5, 0.25]])
    server.reply("So", ":", thinking="Hm", tool_calls=[ADD])
    with ollama.Client(server.url) as client:
        parts = list(client.chat("llama3", HI, tools=TOOLS, think=True, stream=True))
        assert client.generate("llama3", "Hi").response == "So:"
        assert client.embed("nomic", "Hi").embeddings == [[0.5, 0.25]]
    assert "".join(part.message.content or "" for part in parts) == "So:"
    assert "".join(part.message.thinking or "" for part in parts) == "Hm"
    calls = [call for part in parts for call in part.message.tool_calls or ()]
    assert [(call.function.name, call.function.arguments) for call in calls] == [("add", ADD["arguments"])]
    assert parts[-1].done


# --- bad arguments ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({}, "text: there is nothing to say"),
        ({"text": 3}, "text: 3 is no text"),
        ({"text": []}, "text: [] is no text"),
        ({"text": ["a", ""]}, "of which none is empty"),
        ({"thinking": ["a", 3]}, "thinking: ['a', 3] is no text"),
        ({"text": "a", "json": {}}, "json: there is a text, too"),
        ({"json": {"a": float("nan")}}, "json: {'a': nan} is no JSON"),
        ({"json": object()}, "is no JSON"),
        ({"tool_calls": {"name": "f"}}, "tool_calls: {'name': 'f'} is no list"),
        ({"tool_calls": ["f"]}, "tool_calls[0]: 'f' is no call"),
        ({"tool_calls": [ADD, {"arguments": {}}]}, "tool_calls[1].name: the call has no name"),
        ({"tool_calls": [{"function": {"name": ""}}]}, "tool_calls[0].function.name: the call has no name"),
        ({"tool_calls": [{"name": "f", "arguments": "{"}]}, "tool_calls[0].arguments: '{' is no object"),
        ({"tool_calls": [{"name": "f", "arguments": [1]}]}, "tool_calls[0].arguments: [1] is no object"),
        ({"tool_calls": [{"name": "f", "argument": {}}]}, "a call has no field 'argument'"),
        ({"text": "a", "done_reason": "load"}, "done_reason: 'load' is none that an answer ends with"),
        ({"text": "a", "tokens_per_s": 0}, "tokens_per_s: 0 is no such number; give more than 0"),
        ({"text": "a", "tokens_per_s": float("inf")}, "tokens_per_s: inf"),
        ({"text": "a", "first_token_s": -1}, "first_token_s: -1 is no such number; give 0 or more"),
        ({"text": "a", "times": 0}, "times: 0 is too small"),
        ({"text": "a", "when": True}, "when: True is no function; give one of the request"),
        ({"text": "a", "path": "/api/tags"}, "path: '/api/tags' is none that this answers; give one of /api/chat"),
    ],
)
def test_a_wrong_reply_is_refused_with_what_is_wrong(
    arguments: dict[str, Any], sentence: str, server: FakeOllama
) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        server.reply(**arguments)
    assert ask(server, "/api/chat").response.status == 404, "nothing is arranged"


def test_tokens_and_a_text_are_one_too_many(server: FakeOllama) -> None:
    with pytest.raises(ValueError, match="text: there are tokens, too"):
        server.reply("a", text="b")


@pytest.mark.parametrize(
    ("vectors", "sentence"),
    [
        ([], "there is no vector"),
        ("abc", "there is no vector"),
        ([[1], []], "vector 2 is no list of numbers"),
        ([[1, 2], [1]], "vector 2 has 1 numbers, and the first has 2"),
        ([["a"]], "vector 1 has 'a', which is no number"),
        ([[1e300]], "no number that a float32 can hold"),
    ],
)
def test_wrong_vectors_are_refused(vectors: Any, sentence: str, server: FakeOllama) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        server.embed(vectors)


@pytest.mark.parametrize("status", [200, 399, 600, True, "503"])
def test_a_status_that_is_no_error_is_refused(status: Any, server: FakeOllama) -> None:
    with pytest.raises(ValueError, match="give one from 400 to 599"):
        server.fail(status, "busy")


def test_what_strikes_before_a_request_cannot_strike_words(server: FakeOllama) -> None:
    with pytest.raises(FaultDoesNotApply, match="strikes before a request is read"):
        server.reply("a", faults=(close_on_accept(),))
    with pytest.raises(FaultDoesNotApply, match="nothing that `when` could look at"):
        server.play("chat-stream", close_on_accept(), when=lambda _: True)
    with pytest.raises(TypeError, match="is no fault"):
        server.reply("a", faults=("close",))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=re.escape("give faults=[drop_terminal_record()]")):
        server.reply("a", faults=drop_terminal_record())  # type: ignore[arg-type]


# --- the command line -------------------------------------------------------------------------------------------------


def test_replies_of_a_file_are_said(tmp_path: Path, server: FakeOllama) -> None:
    path = tmp_path / "replies.json"
    path.write_text(
        '[{"text": ["a", "b"], "done_reason": "length"}, {"tool_calls": [{"name": "f"}], "thinking": null}]'
    )
    first, second = read_replies(path)
    server.reply(**first)
    assert (said(server, "/api/chat").text, said(server, "/api/chat").done_reason) == ("ab", DoneReason.LENGTH)
    server.reply(**second)
    assert [call.name for call in said(server, "/api/chat").calls] == ["f"]


def test_a_text_file_is_the_text_without_its_last_line_end(tmp_path: Path) -> None:
    path = tmp_path / "reply.txt"
    path.write_bytes("Grüezi,\r\nyou\n".encode())
    assert read_replies(path) == [{"text": "Grüezi,\nyou"}]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.txt", "", "a.txt: is empty; write into it what the model is to say"),
        ("a.json", "{", "a.json: line 1, column 2: is no JSON"),
        ("a.json", "[]", 'a.json: has no reply; give one, like {"text": "Hello"}'),
        ("a.json", "3", "a.json: is no JSON object"),
        ("a.json", '[{"text": "a"}, "b"]', "a.json: [1]: is no JSON object"),
        ("a.json", '{"txt": "a"}', "a.json: txt: is no field of a reply; the fields are text, thinking"),
        ("a.json", '[{"text": 3}]', "a.json: [0].text: 3 is no text; give a text"),
        ("a.json", '{"tool_calls": [{}]}', "a.json: tool_calls[0].name: the call has no name"),
        ("a.json", '{"text": "a", "tokens_per_s": 0}', "a.json: tokens_per_s: 0 is no such number; give more than 0"),
        ("a.json", "{}", "a.json: text: there is nothing to say"),
    ],
)
def test_a_wrong_file_of_replies_is_refused(
    name: str, content: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(ReplyError, match=re.escape(sentence)):
        read_replies(path)
    with pytest.raises(SystemExit) as end:
        main(["serve", "--port", "0", "--reply-file", str(path)])
    assert end.value.code == 2
    assert sentence in capsys.readouterr().err


def test_there_is_one_source_of_replies(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["serve", "--port", "0", "--reply", "a", "--reply-file", "b"])
    assert end.value.code == 2
    assert "give one of them" in capsys.readouterr().err
