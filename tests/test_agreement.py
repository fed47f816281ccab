"""When a record that a client yields is right."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_harness.files.json_text import ndjson_lines, parse_json
from ollama_harness.matrix.scenarios import SCENARIOS
from ollama_harness.oracle.record_comparison import agrees, essential, fractional
from ollama_harness.oracle.reference import reference
from ollama_harness.recordings.store import packaged_store
from ollama_harness.script.script import Script

pytestmark = pytest.mark.same_everywhere

LIBRARY = packaged_store()
NEWEST = LIBRARY.newest
CALL = {"id": "call_1", "function": {"index": 0, "name": "get_weather", "arguments": {"city": "Paris", "n": 1}}}
CHAT = {
    "model": "m",
    "created_at": "2026-11-22T19:18:47.772576195Z",
    "message": {"role": "assistant", "content": "Hi", "thinking": "hm", "tool_calls": [CALL]},
    "done": True,
    "done_reason": "stop",
    "eval_count": 3,
}


def changed(path: str, value: Any = None) -> dict[str, Any]:
    """CHAT with one field changed, or without it."""
    record: Any = copy.deepcopy(CHAT)
    *parents, last = (int(step) if step.isdigit() else step for step in path.split("."))
    at = record
    for step in parents:
        at = at[step]
    if value is None:
        del at[last]
    else:
        at[last] = value
    return dict(record)


def test_what_was_sent_is_right() -> None:
    assert agrees(CHAT, CHAT) is None


@pytest.mark.parametrize(
    "path", ["model", "created_at", "eval_count", "message.tool_calls.0.id", "message.tool_calls.0.function.index"]
)
def test_a_typed_client_may_leave_out_what_its_types_do_not_know(path: str) -> None:
    assert agrees(changed(path), CHAT) is None


@pytest.mark.parametrize(
    "path",
    [
        "done",
        "done_reason",
        "message",
        "message.content",
        "message.thinking",
        "message.tool_calls",
        "message.tool_calls.0.function.name",
        "message.tool_calls.0.function.arguments",
        "message.tool_calls.0.function.arguments.city",
    ],
)
def test_the_essential_may_not_be_left_out(path: str) -> None:
    assert "was left out" in str(agrees(changed(path), CHAT))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("done", 1),
        ("eval_count", True),
        ("eval_count", 4),
        ("message.content", "Hi "),
        ("confidence", 0.5),
        ("message.tool_calls.0.function.arguments.unit", "celsius"),
        ("message.tool_calls", [CALL, CALL]),
        ("eval_count", 3.0),
        ("message.tool_calls.0.function.arguments.n", 1.0),
        ("created_at", "2026-11-22T19:18:48Z"),
        ("created_at", "2026-11-22T19:18:47.772Z"),
        ("created_at", "2026-11-22T19:18:47.772577Z"),
    ],
)
def test_a_field_that_was_not_sent_may_not_be_yielded(path: str, value: Any) -> None:
    assert agrees(changed(path, value), CHAT) is not None


@pytest.mark.parametrize(
    "same", ["2026-11-22T19:18:47.772576Z", "2026-11-22T19:18:47.772576+00:00", "2026-11-22T20:18:47.772576+01:00"]
)
def test_a_parsed_time_is_right_to_the_microsecond(same: str) -> None:
    assert agrees(changed("created_at", same), CHAT) is None


@pytest.mark.parametrize(
    "path",
    ["model", "created_at", "done", "eval_count", "message.content", "message.tool_calls.0.id"],
)
def test_a_client_of_whole_objects_may_leave_out_nothing(path: str) -> None:
    assert agrees(CHAT, CHAT, subject=None) is None
    assert "was left out" in str(agrees(changed(path), CHAT, subject=None))


def test_a_client_of_whole_objects_converts_nothing() -> None:
    parsed = changed("created_at", "2026-11-22T19:18:47.772576+00:00")
    assert agrees(parsed, CHAT) is None
    assert agrees(parsed, CHAT, subject=None) is not None
    assert agrees({}, {"response": None}) is None
    assert agrees({}, {"response": None}, subject=None) is not None


def test_a_typed_client_may_say_1_as_1_0_where_the_exchange_has_fractions() -> None:
    sent = ({"logprobs": [{"logprob": -0.5}], "eval_count": 1}, {"logprobs": [{"logprob": 0}], "eval_count": 2})
    fractions = fractional(sent)
    assert fractions == {"logprobs.logprob"}
    assert agrees({"logprobs": [{"logprob": 0.0}]}, sent[1], fractions=fractions) is None
    assert agrees({"logprobs": [{"logprob": 0.0}]}, sent[1]) is not None
    assert agrees({"eval_count": 2.0}, sent[1], fractions=fractions) is not None
    assert agrees({"logprobs": [{"logprob": 0.5}]}, sent[1], fractions=fractions) is not None
    assert agrees({"logprobs": [{"logprob": 0.0}], "eval_count": 2}, sent[1], subject=None) is not None


def test_a_scenario_names_what_may_not_be_left_out_besides() -> None:
    sent = {"response": "a", "logprobs": [{"token": "a", "logprob": -1.5, "bytes": [97]}]}
    asked = ("logprobs.token", "logprobs.logprob")
    assert agrees({"response": "a"}, sent) is None
    assert agrees({"response": "a"}, sent, subject=asked) == "logprobs was left out"
    assert agrees({"response": "a", "logprobs": [{"token": "a"}]}, sent, subject=asked) == (
        "logprobs.0.logprob was left out"
    )
    assert agrees({"response": "a", "logprobs": [{"token": "a", "logprob": -1.5}]}, sent, subject=asked) is None
    assert agrees({"response": "a", "logprobs": []}, sent, subject=("logprobs",)) is not None


@pytest.mark.parametrize(("name", "field"), [(one.name, field) for one in SCENARIOS.values() for field in one.subject])
def test_each_field_of_a_subject_is_sent_and_missed(name: str, field: str) -> None:
    records = [
        record
        for recording in LIBRARY.names(NEWEST, SCENARIOS[name].recordings)
        for record in reference(Script.from_recording(LIBRARY.get(f"{NEWEST}/{recording}"), speed=0)).records
    ]
    without = [essential(record) for record in records]
    assert any(agrees(*pair, subject=(field,)) is not None for pair in zip(without, records, strict=True))
    assert not any(agrees(*pair) for pair in zip(without, records, strict=True))


def test_a_null_may_be_left_out() -> None:
    assert agrees({"done": True}, {"done": True, "response": None}) is None


ZEROS = [
    ({"message": {"content": ""}, "done": False}, {"message": {"content": "", "thinking": ""}}),
    ({"models": [{"model": "a"}]}, {"models": [{"model": "a", "context_length": 0}]}),
    ({"done": True, "done_reason": ""}, {"done": True, "response": ""}),
]
CALL = {"message": {"tool_calls": [{"function": {"name": "f", "arguments": {"a": 0}}}]}}


@pytest.mark.parametrize(("sent", "yielded"), ZEROS)
def test_types_with_zero_values_cannot_tell_what_was_not_sent(sent: Any, yielded: Any) -> None:
    assert agrees(yielded, sent, zeros=True) is None
    assert agrees(yielded, sent) is not None


@pytest.mark.parametrize(
    ("sent", "yielded"),
    [
        ({"done": True}, {"done": False}),
        ({"response": "a"}, {"response": ""}),
        ({"embeddings": [[0, 1]]}, {"embeddings": [[1]]}),
        (CALL, {"message": {"tool_calls": [{"function": {"name": "f", "arguments": {}}}]}}),
    ],
)
def test_types_with_zero_values_lose_nothing_else(sent: Any, yielded: Any) -> None:
    assert agrees(yielded, sent, zeros=True) is not None
    assert agrees(sent, yielded, zeros=True) is not None


@pytest.mark.parametrize(
    ("sent", "lost"),
    [
        ({"embeddings": [[0.1, 0.2]]}, {}),
        ({"embeddings": [[0.1, 0.2]]}, {"embeddings": [[0.1]]}),
        ({"status": "success"}, {}),
        ({"error": "boom"}, {}),
        ({"models": [{"model": "a"}]}, {}),
        ({"models": [{"model": "a"}]}, {"models": []}),
    ],
)
def test_each_kind_of_answer_has_its_essential(sent: Any, lost: Any) -> None:
    assert agrees(sent, sent) is None
    assert agrees(lost, sent) is not None


@given(
    st.sampled_from(["chat-stream", "generate-stream", "chat-tools-stream", "chat-think-stream", "pull-stream"]),
    st.data(),
)
def test_no_text_can_change_unnoticed(name: str, data: st.DataObject) -> None:
    """A property over the recordings: change one character of what is essential, and it is wrong."""
    records = [parse_json(line) for line in ndjson_lines(LIBRARY.get(f"0.32.15/{name}").body)]
    record = data.draw(st.sampled_from(records))
    yielded = copy.deepcopy(record)
    holder = yielded.get("message", yielded)
    field = "content" if "message" in yielded else "response" if "response" in yielded else "status"
    holder[field] += data.draw(st.characters(codec="utf-8"))
    assert agrees(record, record) is None
    assert agrees(yielded, record) is not None
    assert agrees(essential(record), record) is None
