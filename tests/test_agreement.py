"""When a record that a client yields is right."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_harness.oracle.record_comparison import agrees, essential
from ollama_harness.recordings.records import ndjson_lines, parse_json
from ollama_harness.recordings.store import RecordingStore

LIBRARY = RecordingStore()
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
        ("created_at", "2026-11-22T19:18:48Z"),
    ],
)
def test_what_was_not_sent_may_not_be_handed_out(path: str, value: Any) -> None:
    assert agrees(changed(path, value), CHAT) is not None


@pytest.mark.parametrize(
    "same", ["2026-11-22T19:18:47.772576Z", "2026-11-22T19:18:47.772576+00:00", "2026-11-22T20:18:47.772576+01:00"]
)
def test_a_parsed_time_is_right_to_the_microsecond(same: str) -> None:
    assert agrees(changed("created_at", same), CHAT) is None


def test_a_null_may_be_said_by_leaving_out() -> None:
    assert agrees({"done": True}, {"done": True, "response": None}) is None


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
