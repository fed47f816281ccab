"""The endpoints of OpenAI's and Anthropic's kind: what they refuse, in which words, and in which shape."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from builders import A_FEW
from hypothesis import given
from hypothesis import strategies as st

from ollama_harness.answers import RULES, Asked, Model, Refusal, Reply, Step, World, answer
from ollama_harness.recordings.recording import Recording
from ollama_harness.recordings.store import packaged_store

pytestmark = pytest.mark.same_everywhere

REQUESTS = Path(__file__).parent.parent / "fixtures" / "requests"
VERSIONS = ("0.5.7", "0.9.6", "0.12.11", "0.24.0", "0.32.15")
NEWEST = VERSIONS[-1]
#: What a request gets after it has passed Go's server and the guard.
STEPS = (Step.REQUEST, Step.MODEL)
ROUTES = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses", "/v1/messages")
ABLE = {
    "smollm2:135m": {"completion"},
    "smollm2-tools:135m": {"completion", "tools"},
    "smollm2-think:135m": {"completion", "thinking"},
    "smollm2-embed:135m": {"embedding"},
}
MODELS = {name: Model(name=name, capabilities=frozenset(able)) for name, able in ABLE.items()}
PLAIN, EMBEDS = "smollm2:135m", "smollm2-embed:135m"
HI = [{"role": "user", "content": "Hi"}]
GOOD: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"model": PLAIN, "messages": HI},
    "/v1/completions": {"model": PLAIN, "prompt": "Hi"},
    "/v1/embeddings": {"model": EMBEDS, "input": "sky"},
    "/v1/responses": {"model": PLAIN, "input": "Hi"},
    "/v1/messages": {"model": PLAIN, "max_tokens": 4, "messages": HI},
}
RULES_HERE = [rule for rule in RULES.values() if rule.reply.__module__.endswith(".compatible") and rule.step in STEPS]


def world(version: str, **more: Any) -> World:
    return World(version=version, models=MODELS, **more)


def post(path: str, body: Any, version: str = NEWEST, **more: Any) -> Reply | None:
    """What refuses a request; `body` is JSON, or the bytes that are sent."""
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    found = answer(Asked(method="POST", target=path, body=sent), world(version, **more), steps=STEPS)
    return found.reply if found else None


def message(reply: Reply | None) -> str | None:
    """The text of an error in the shape of either kind."""
    return json.loads(reply.body)["error"]["message"] if reply else None


def masked(text: str) -> str:
    return re.sub(r"req_[0-9a-f]{24}", "req_ID", text)


# --- what real servers answered ---------------------------------------------------------------------------------------


@cache
def asked_by_id(version: str) -> dict[str, dict[str, Any]]:
    """Requests to these routes with the answers of a real server, without those that the guard answers."""
    lines = (REQUESTS / f"{version}.jsonl").read_text("utf-8").splitlines()
    found = {one["id"]: one for one in map(json.loads, lines) if one["id"].startswith(("v1", "path-v1-models-"))}
    return {
        id_: one
        for id_, one in found.items()
        if one["status"] not in (307, 405) and ["Content-Type", "text/plain"] not in one["headers"]
    }


def asked_of(real: dict[str, Any]) -> Asked:
    request = real["request"]
    return Asked(method=request["method"], target=request["target"], body=(request["body"] or "").encode())


def asked_again(recording: Recording) -> Asked:
    request = recording.request
    body = json.dumps(request.json) if request.json is not None else (request.body or "")
    return Asked(method="POST", target=request.path, body=str(body).encode())


def without_date(headers: Iterable[Iterable[str]]) -> list[tuple[str, ...]]:
    return sorted(line for line in map(tuple, headers) if line[0] not in ("Date", "Content-Length"))


Said = tuple[int, list[tuple[str, ...]], str]


def said_by_rule(asked: Asked, version: str) -> Said | None:
    """Status, head and body of what refuses a request."""
    found = answer(asked, world(version), steps=STEPS)
    if found is None:
        return None
    return found.reply.status, without_date(found.reply.headers), masked(found.reply.body.decode("latin-1"))


@pytest.mark.parametrize("version", VERSIONS)
def test_bad_requests_get_what_a_real_server_gave_them(version: str) -> None:
    bad = {id_: one for id_, one in asked_by_id(version).items() if one["status"] >= 300}
    assert bad
    assert {id_: said_by_rule(asked_of(one), version) for id_, one in bad.items()} == {
        id_: (one["status"], without_date(one["headers"]), masked(one["body"])) for id_, one in bad.items()
    }


@pytest.mark.parametrize("version", VERSIONS)
def test_what_a_real_server_took_is_left_alone_or_taken_too(version: str) -> None:
    good = {id_: one for id_, one in asked_by_id(version).items() if one["status"] < 300}
    assert good
    found = {id_: answer(asked_of(one), world(version), steps=STEPS) for id_, one in good.items()}
    assert {id_: one.reply.status if one else good[id_]["status"] for id_, one in found.items()} == {
        id_: one["status"] for id_, one in good.items()
    }


@cache
def recorded_errors() -> dict[str, Recording]:
    store = packaged_store()
    return {
        one.id: one
        for version in VERSIONS
        for one in store.of_version(version)
        if one.request.path in ROUTES and one.response.status >= 400 and one.response.media_type != "text/plain"
    }


def test_recorded_errors_come_out_of_rules() -> None:
    recorded = recorded_errors()
    assert recorded
    assert {id_: said_by_rule(asked_again(one), one.ollama_version) for id_, one in recorded.items()} == {
        id_: (one.response.status, without_date(one.response.headers), masked(one.body.decode("latin-1")))
        for id_, one in recorded.items()
    }


# --- rules ------------------------------------------------------------------------------------------------------------


def rules_of(example: str, rule: Refusal) -> set[str]:
    """The rules that an example gets, over the versions in which this rule holds."""
    found = []
    for version in filter(rule.holds_in, VERSIONS):
        if (real := asked_by_id(version).get(example)) is not None:
            found.append(answer(asked_of(real), world(version), steps=STEPS))
        elif (recording := recorded_errors().get(f"{version}/{example}")) is not None:
            found.append(answer(asked_again(recording), world(version), steps=STEPS))
    return {one.rule.id for one in found if one is not None}


def test_the_examples_of_a_rule_get_it() -> None:
    examples = [(rule, example) for rule in RULES_HERE for example in rule.examples]
    assert examples
    assert [(rule.id, example) for rule, example in examples if rule.id in rules_of(example, rule)] == [
        (rule.id, example) for rule, example in examples
    ]


def test_there_are_rules_of_these_endpoints() -> None:
    assert {"v1-body", "v1-handler", "v1-handler-model", "v1-cloud-off"} <= {rule.id for rule in RULES_HERE}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_good_request_is_refused_by_none(version: str) -> None:
    assert {path: post(path, GOOD[path], version) for path in ROUTES} == dict.fromkeys(ROUTES)


@pytest.mark.parametrize("version", VERSIONS[-2:])
@pytest.mark.parametrize("path", ROUTES)
def test_a_model_of_the_cloud_is_refused_in_ollamas_own_shape(path: str, version: str) -> None:
    reply = post(path, GOOD[path] | {"model": "m:120b-cloud"}, version)
    assert reply is not None
    said = {"error": "ollama cloud is disabled: remote model is unavailable"}
    assert (reply.status, json.loads(reply.body)) == (403, said)
    assert post(path, GOOD[path] | {"model": "cloud:latest"}, version) != reply
    assert post(path, GOOD[path] | {"model": "m:120b-cloud"}, version, cloud=True, any_model=True) is None


@pytest.mark.parametrize("path", ROUTES[3:])
def test_a_route_that_is_not_there_yet_has_no_rules(path: str) -> None:
    assert [post(path, b"x", version) for version in VERSIONS[:3]] == [None] * 3


IMAGES_AND_SOUNDS: list[tuple[str, Any, str, str | None]] = [
    ("/v1/images/generations", {}, "0.24.0", "prompt is required"),
    ("/v1/images/generations", {"prompt": "x"}, "0.24.0", "model is required"),
    ("/v1/images/edits", {"prompt": "x", "model": PLAIN}, "0.24.0", "image is required"),
    ("/v1/images/generations", {"prompt": "x", "model": "nosuch"}, "0.24.0", "model 'nosuch' not found"),
    ("/v1/images/generations", {}, "0.12.11", None),
    ("/v1/images/generations", {}, NEWEST, None),
    (
        "/v1/audio/transcriptions",
        {"model": PLAIN},
        "0.24.0",
        "failed to parse multipart form: request Content-Type isn't multipart/form-data",
    ),
    ("/v1/audio/transcriptions", {}, "0.12.11", None),
]


def test_images_and_sounds_are_refused_by_version() -> None:
    assert [
        (path, body, version, message(post(path, body, version))) for path, body, version, _ in IMAGES_AND_SOUNDS
    ] == IMAGES_AND_SOUNDS


@pytest.mark.parametrize("path", ROUTES[3:])
def test_the_head_of_a_stream_stays_when_the_model_is_refused(path: str) -> None:
    reply = post(path, GOOD[path] | {"model": "nosuch", "stream": True})
    assert reply is not None
    assert {("Cache-Control", "no-cache"), ("Connection", "keep-alive")} < set(reply.headers)


# --- words ------------------------------------------------------------------------------------------------------------

PNG = "data:image/png;base64,"
OLD_TYPE_ERROR = (
    "json: cannot unmarshal object into Go struct field .messages.tool_calls.function.arguments of type string"
)
NO_IMAGE_URLS = "image URLs are not currently supported, please use base64 encoded data instead"
INVALID = "invalid message format"


def said(**content: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", **content}]}


def image(url: Any) -> dict[str, Any]:
    return said(content=[{"type": "image_url", "image_url": {"url": url}}])


def called(arguments: Any) -> dict[str, Any]:
    return {"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": arguments}}]}]}


CHAT_WORDS: list[tuple[dict[str, Any], str, str | None]] = [
    (said(), NEWEST, "invalid message content type: <nil>"),
    (said(content=True), NEWEST, "invalid message content type: bool"),
    (said(content={}), "0.5.7", "invalid message content type: map[string]interface {}"),
    (said(content=["x"]), NEWEST, INVALID),
    (said(content=[{"type": "video"}]), NEWEST, INVALID),
    (said(content=[{"type": "text", "text": 1}]), "0.5.7", INVALID),
    (said(content=[{"type": "text", "text": "x"}]), "0.5.7", None),
    (said(content=[{"type": "input_audio"}]), NEWEST, "invalid input_audio format"),
    (
        said(content=[{"type": "input_audio", "input_audio": {}}]),
        NEWEST,
        "invalid input_audio format: missing data",
    ),
    (
        said(content=[{"type": "input_audio", "input_audio": {"data": "a b"}}]),
        NEWEST,
        "invalid input_audio base64 data: illegal base64 data at input byte 1",
    ),
    (said(content=[{"type": "input_audio", "input_audio": {"data": "aaaa"}}]), "0.12.11", INVALID),
    (image("http://x/y.png"), "0.12.11", "invalid image input"),
    (image("https://x/y.png"), NEWEST, NO_IMAGE_URLS),
    (image("data:image/gif;base64,aaaa"), NEWEST, "invalid image input"),
    (image(PNG + "!"), "0.12.11", INVALID),
    (image(PNG + "!"), NEWEST, "invalid image input"),
    (image(1), NEWEST, INVALID),
    (image("data:;base64,aaaa"), "0.9.6", "invalid image input"),
    (called("x"), "0.5.7", "invalid tool call arguments"),
    (called("[]"), NEWEST, "invalid tool call arguments"),
    (called('{"a": 1} x'), NEWEST, "invalid tool call arguments"),
    (called('{"a": 1}'), NEWEST, None),
    (called({}), "0.9.6", OLD_TYPE_ERROR),
    (
        called({}),
        NEWEST,
        "json: cannot unmarshal object into Go struct field "
        "ChatCompletionRequest.messages.0.tool_calls.0.function.arguments of type string",
    ),
    ({"messages": []}, NEWEST, "[] is too short - 'messages'"),
    ({"stop": [1, "x"]}, NEWEST, None),
    ({"reasoning_effort": "much"}, "0.9.6", None),
    (
        {"reasoning_effort": "max"},
        "0.12.11",
        'invalid reasoning value: \'max\' (must be "high", "medium", "low", or "none")',
    ),
    (
        {"reasoning": {"effort": "much"}},
        "0.24.0",
        'invalid reasoning value: \'much\' (must be "high", "medium", "low", "max", or "none")',
    ),
    ({"reasoning_effort": "low"}, "0.12.11", '"smollm2:135m" does not support thinking'),
    ({"reasoning_effort": "none"}, NEWEST, None),
    ({"top_logprobs": 21}, "0.12.11", "top_logprobs must be between 0 and 20"),
    ({"top_logprobs": 21}, "0.9.6", None),
    (
        {"response_format": {"type": "json_schema", "json_schema": {"schema": 1}}},
        NEWEST,
        'invalid format: "1"; expected "json" or a valid JSON Schema object',
    ),
    ({"response_format": {"type": "json_object"}}, NEWEST, None),
    (
        {"tools": "x"},
        NEWEST,
        "json: cannot unmarshal string into Go struct field ChatCompletionRequest.tools of type []api.Tool",
    ),
]


def test_a_chat_is_refused_in_these_words() -> None:
    path = ROUTES[0]
    assert [
        (change, version, message(post(path, GOOD[path] | change, version))) for change, version, _ in CHAT_WORDS
    ] == CHAT_WORDS


REQUEST_WORDS: list[tuple[str, dict[str, Any], str | None]] = [
    ("/v1/completions", {"stop": ["a", 1]}, "invalid type for 'stop' field: float64"),
    ("/v1/completions", {"stop": 1}, None),
    ("/v1/completions", {"logprobs": 30}, "top_logprobs must be between 0 and 20"),
    ("/v1/embeddings", {"input": {}}, "invalid input type"),
    ("/v1/embeddings", {"encoding_format": "FLOAT"}, None),
    (
        "/v1/responses",
        {"input": 1},
        "input must be a string or array: json: cannot unmarshal number into Go value of type []jsontext.Value",
    ),
    ("/v1/responses", {"input": [{}]}, "input[0]: input item missing required 'type' field"),
    ("/v1/responses", {"input": [{"type": "x"}]}, 'input[0]: unknown input item type: "x"'),
    (
        "/v1/responses",
        {"input": [{"role": "user", "content": "x"}, {"role": "user", "content": [{"type": "x"}]}]},
        "input[1]: content[0]: unknown content type: x",
    ),
    (
        "/v1/responses",
        {"input": [{"role": "user", "content": [{"type": "input_file"}]}]},
        "file inputs are not currently supported",
    ),
    (
        "/v1/responses",
        {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "http://x"}]}]},
        NO_IMAGE_URLS,
    ),
    (
        "/v1/responses",
        {"input": [{"type": "function_call", "arguments": "{"}]},
        "failed to parse function call arguments: unexpected end of JSON input",
    ),
    (
        "/v1/responses",
        {"input": [{"type": "reasoning", "summary": []}, {"type": "function_call_output", "output": "x"}]},
        None,
    ),
    ("/v1/responses", {"input": None}, None),
    ("/v1/messages", {"messages": []}, "messages is required"),
    ("/v1/messages", {"max_tokens": -1}, "max_tokens is required and must be positive"),
    ("/v1/messages", said(), "unexpected end of JSON input"),
    (
        "/v1/messages",
        said(content=1),
        "json: cannot unmarshal number into Go value of type []anthropic.ContentBlock",
    ),
    (
        "/v1/messages",
        said(content=[{"text": 1}]),
        "json: cannot unmarshal number into Go struct field .0.text of type string",
    ),
    ("/v1/messages", said(content=[{"type": "image"}]), "invalid image source"),
    (
        "/v1/messages",
        said(content=[{"type": "image", "source": {"type": "url"}}]),
        "invalid image source type: url. Only base64 images are supported.",
    ),
    (
        "/v1/messages",
        said(content=[{"type": "tool_use", "id": "x"}]),
        "tool_use block missing required 'name' field",
    ),
    (
        "/v1/messages",
        said(content=[{"type": "tool_result", "content": [{"type": "image"}]}]),
        "invalid tool_result image source",
    ),
    (
        "/v1/messages",
        {"tools": [{"name": "f", "input_schema": "x"}]},
        'invalid input_schema for tool "f": '
        "json: cannot unmarshal string into Go value of type api.ToolFunctionParameters",
    ),
    (
        "/v1/messages",
        {"tools": [{"name": "f", "input_schema": {"type": "object"}}]},
        "registry.ollama.ai/library/smollm2:135m does not support tools",
    ),
    ("/v1/messages", {"thinking": {"type": "enabled"}}, None),
]


def test_a_request_is_refused_in_these_words() -> None:
    assert [
        (path, change, message(post(path, GOOD[path] | change, "0.24.0"))) for path, change, _ in REQUEST_WORDS
    ] == REQUEST_WORDS


def test_an_old_stream_makes_an_empty_piece_of_an_error() -> None:
    wrong = {"stream": True, "response_format": {"type": "json_schema", "json_schema": {"schema": [1]}}}
    reply = post(ROUTES[0], GOOD[ROUTES[0]] | wrong, "0.9.6")
    assert reply is not None
    assert reply.headers == (("Content-Type", "text/event-stream"),)
    assert (reply.status, json.loads(reply.body.removeprefix(b"data: "))["model"]) == (200, "")


@pytest.mark.parametrize(
    ("version", "path", "type_"),
    [
        ("0.12.11", ROUTES[0], "api_error"),
        ("0.24.0", ROUTES[0], "not_found_error"),
        ("0.24.0", ROUTES[4], "not_found_error"),
    ],
)
def test_errors_of_handlers_have_a_type_since_a_version(version: str, path: str, type_: str) -> None:
    reply = post(path, GOOD[path] | {"model": "nosuch"}, version)
    assert reply is not None
    assert json.loads(reply.body)["error"]["type"] == type_


# --- properties -------------------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(("type", "role", "content", "text", "source", "function", "input")), inner, max_size=3
        )
    ),
    max_leaves=8,
)
FIELDS = [
    "model",
    "messages",
    "stream",
    "stop",
    "tools",
    "response_format",
    "reasoning",
    "reasoning_effort",
    "prompt",
    "input",
    "encoding_format",
    "dimensions",
    "max_tokens",
    "thinking",
    "system",
    "instructions",
    "text",
    "top_logprobs",
    "logprobs",
]


@A_FEW
@given(st.sampled_from(ROUTES), st.sampled_from(VERSIONS), st.binary(max_size=40))
def test_any_bytes_are_refused_or_left_alone(path: str, version: str, body: bytes) -> None:
    reply = post(path, body, version)
    assert reply is None or 400 <= reply.status < 600


@A_FEW
@given(st.sampled_from(ROUTES), st.sampled_from(VERSIONS), st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=3))
def test_any_fields_are_refused_or_left_alone_and_twice_the_same(path: str, version: str, change: Any) -> None:
    reply = post(path, GOOD[path] | change, version)
    assert reply == post(path, GOOD[path] | change, version)
    assert reply is None or reply.status >= 400 or reply.body.startswith(b"data: ")
