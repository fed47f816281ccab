"""The scenarios of rare forms: what a perfect client sees in each."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ollama_harness.matrix.cells import planned_scenarios
from ollama_harness.matrix.scenarios import scenario
from ollama_harness.oracle.pieces import PieceKind
from ollama_harness.oracle.reference import Cause, ExpectedEndKind, Layer, Reference, reference
from ollama_harness.recordings.store import RecordingStore

pytestmark = pytest.mark.same_everywhere


def seen(store: RecordingStore, version: str, name: str) -> list[Reference]:
    """What a perfect client sees of a scenario, on each of its recordings."""
    planned = planned_scenarios(store, version, scenario(name))
    return [reference(script) for one in planned for script in one.scripts]


def calls(record: Any) -> list[tuple[str, int, Any]]:
    """The id, the index and the city of each call."""
    functions = [(one["id"], one["function"]) for one in record["message"].get("tool_calls", ())]
    return [(id_, function["index"], function["arguments"]["city"]) for id_, function in functions]


@pytest.mark.parametrize("version", RecordingStore().versions)
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("tool-calls-in-one-record", [[("call_a", 0, "Paris"), ("call_b", 1, "Oslo")], []]),
        ("tool-calls-one-index", [[("call_a", 0, "Paris")], [("call_b", 0, "Oslo")], []]),
        ("tool-calls-one-id", [[("call_a", 0, "Paris"), ("call_a", 1, "Oslo")], []]),
        ("tool-call-in-terminal-record", [[("call_a", 0, "Paris")]]),
    ],
)
def test_each_call_is_in_the_records(store: RecordingStore, version: str, name: str, expected: list[Any]) -> None:
    (one,) = seen(store, version, name)
    assert list(map(calls, one.records)) == expected
    assert one.ends[Layer.OLLAMA].kind is ExpectedEndKind.COMPLETE


def test_arguments_may_be_a_text(store: RecordingStore) -> None:
    (one,) = seen(store, store.newest, "tool-call-arguments-text")
    assert one.records[0]["message"]["tool_calls"][0]["function"]["arguments"] == '{"city":"Paris"}'


def test_thinking_text_and_a_call_are_in_one_record(store: RecordingStore) -> None:
    (one,) = seen(store, store.newest, "thinking-and-tool-call")
    message = one.records[0]["message"]
    assert message["content"]
    assert message["thinking"]
    assert message["tool_calls"]


def test_the_whole_answer_is_thinking(store: RecordingStore) -> None:
    (one,) = seen(store, store.newest, "answer-in-thinking")
    messages = [record["message"] for record in one.records]
    assert {message["content"] for message in messages} == {""}
    assert all(message["thinking"] for message in messages[:-1])


def pieces(one: Reference, kind: PieceKind) -> list[Any]:
    return [piece[kind] for said in one.said for piece in said.pieces if kind in piece]


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("tool-calls-one-index-v1", ["call_a", "call_b"]),
        ("tool-calls-one-id-v1", ["call_a", "call_a"]),
        ("tool-calls-and-text-messages", ["toolu_a", "toolu_b"]),
    ],
)
def test_each_call_over_v1_is_a_call_of_its_own(store: RecordingStore, name: str, ids: list[str]) -> None:
    (one,) = seen(store, store.newest, name)
    calls = pieces(one, PieceKind.TOOL_CALL)
    assert [call["id"] for call in calls if "name" in call] == ids
    assert [json.loads(call["arguments"])["city"] for call in calls if call.get("arguments")] == ["Paris", "Oslo"]
    assert one.ends[Layer.OLLAMA].kind is ExpectedEndKind.COMPLETE


@pytest.mark.parametrize("name", ["answer-in-thinking-v1", "answer-in-thinking-messages"])
def test_over_v1_the_whole_answer_is_thinking_too(store: RecordingStore, name: str) -> None:
    (one,) = seen(store, store.newest, name)
    assert "".join(pieces(one, PieceKind.TEXT)) == ""
    assert "".join(pieces(one, PieceKind.THINKING)) == "3 plus 6 is 9."
    assert len(pieces(one, PieceKind.FINISH_REASON)) == 1


def test_two_blocks_with_one_index_are_text_and_thinking(store: RecordingStore) -> None:
    (one,) = seen(store, store.newest, "two-blocks-with-one-index-messages")
    blocks = [record for record in one.records if record["type"] == "content_block_start"]
    assert [(block["index"], block["content_block"]["type"]) for block in blocks] == [
        (0, "text"),
        (0, "thinking"),
        (1, "text"),
    ]


@pytest.mark.parametrize(("name", "reasons"), [("finish-reason-missing", []), ("finish-reason-load", ["load"])])
def test_the_reason_for_the_end_may_be_missing_or_new(store: RecordingStore, name: str, reasons: list[str]) -> None:
    (one,) = seen(store, store.newest, name)
    assert pieces(one, PieceKind.FINISH_REASON) == reasons


@pytest.mark.parametrize(("name", "empty"), [("empty-first-record", [0]), ("heartbeat-records", [3, 4])])
@pytest.mark.parametrize("position", [0, 1], ids=["generate", "chat"])
def test_empty_records_stand_between_others(store: RecordingStore, name: str, empty: list[int], position: int) -> None:
    records = seen(store, store.newest, name)[position].records
    texts = [one["response"] if "response" in one else one["message"]["content"] for one in records]
    assert [at for at, text in enumerate(texts[:-1]) if not text] == empty


def test_blank_lines_are_no_records(store: RecordingStore) -> None:
    struck, plain = seen(store, store.newest, "heartbeat-lines"), seen(store, store.newest, "crlf")
    assert [one.records for one in struck] == [one.records for one in plain]


@pytest.mark.parametrize("name", ["done-reason-without-done", "error-under-another-name"])
def test_without_done_the_answer_is_not_whole(store: RecordingStore, name: str) -> None:
    ends = [one.ends[Layer.OLLAMA] for one in seen(store, store.newest, name)]
    assert {(end.kind, end.cause) for end in ends} == {(ExpectedEndKind.TRUNCATED, Cause.NO_TERMINAL_RECORD)}
