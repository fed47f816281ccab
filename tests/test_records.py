from __future__ import annotations

import json

import pytest
from builders import NDJSON, NO_LINE_ENDS, SSE, json_values, line
from hypothesis import given
from hypothesis import strategies as st

from ollama_harness.files.json_text import ndjson_lines, parse_json
from ollama_harness.recordings.records import event_record, in_band_error, is_terminal, record_ends, sse_events

FEW = {"max_size": 30}


@given(st.binary(**FEW) | st.lists(st.sampled_from([b"\n", b"\r", b"a", b"\xc2\x85"])).map(b"".join))
def test_lines_end_at_lf_and_join_to_the_body(body: bytes) -> None:
    lines = list(ndjson_lines(body))
    assert b"".join(lines) == body
    assert all(one.endswith(b"\n") for one in lines[:-1])
    assert all(b"\n" not in one[:-1] for one in lines)
    assert b"" not in lines


@pytest.mark.parametrize("character", [*NO_LINE_ENDS, "\r", "\r\r"], ids=ascii)
def test_no_other_character_ends_a_line(character: str) -> None:
    body = f'{{"a":"{character}"}}\n{{}}\n'.encode()
    assert len(list(ndjson_lines(body))) == 2


@given(st.lists(st.sampled_from([b"\n", b"\r", b"data: {}", b":"])).map(b"".join))
def test_events_end_at_an_empty_line_and_join_to_the_body(body: bytes) -> None:
    events = list(sse_events(body))
    assert b"".join(events) == body
    assert all(one.endswith(b"\n\n") for one in events[:-1])


@given(st.lists(json_values, max_size=4), st.booleans())
def test_record_ends_are_where_records_end(values: list[object], ends_with_lf: bool) -> None:
    lines = [line(value) for value in values]
    body = b"".join(lines) if ends_with_lf else b"".join(lines).removesuffix(b"\n")
    ends = record_ends(NDJSON, body)
    starts = [0, *ends]
    assert [json.loads(body[a:b]) for a, b in zip(starts, ends, strict=False)] == values
    assert ends == sorted(set(ends))


def test_blank_lines_are_no_records() -> None:
    assert record_ends(NDJSON, b'\n{"a":1}\n\r\n  \n{}\n') == [9, 17]


def test_an_event_is_a_record_of_an_event_stream() -> None:
    assert record_ends(SSE, b"data: {}\n\ndata: [DONE]\n\n") == [10, 24]


def test_any_other_body_is_one_record() -> None:
    assert record_ends("application/json", b'{"a":\n1}\n') == [9]
    assert record_ends("text/plain", b"") == []


@given(json_values)
def test_parse_json_reads_what_json_can_say(value: object) -> None:
    assert parse_json(line(value)) == value


@pytest.mark.parametrize(
    "data", [b"NaN", b"[Infinity]", b"-Infinity", b'"\xff"', b"", b"{", b"{} {}", b"\xef\xbb\xbf{}"]
)
def test_parse_json_refuses_what_is_no_json(data: bytes) -> None:
    with pytest.raises(ValueError):
        parse_json(data)


@pytest.mark.parametrize(
    ("event", "record"),
    [
        (b'data: {"a":1}\n\n', {"a": 1}),
        (b'data:{"a":1}\n\n', {"a": 1}),
        (b'event: message_stop\ndata: {"type":"message_stop"}\n\n', {"type": "message_stop"}),
        (b'data: {"a":\ndata: 1}\n\n', {"a": 1}),
        (b"data: [DONE]\n\n", "[DONE]"),
        (b": keep alive\n\n", None),
        (b"\n", None),
    ],
)
def test_an_event_carries_the_json_of_its_data_lines(event: bytes, record: object) -> None:
    assert event_record(event) == record


@pytest.mark.parametrize(
    "record",
    [{"done": True}, {"status": "success"}, "[DONE]", {"type": "message_stop"}, {"type": "response.completed"}],
)
def test_terminal_records(record: object) -> None:
    assert is_terminal(record)


@pytest.mark.parametrize(
    "record",
    [{"done": False}, {"done": 1}, {"done": "true"}, {"status": "pulling"}, {"error": "x"}, "DONE", None, [], 1],
)
def test_records_that_are_not_terminal(record: object) -> None:
    assert not is_terminal(record)


def test_an_error_of_a_stream_is_its_value_and_null_is_none() -> None:
    assert in_band_error({"error": "x"}) == "x"
    assert in_band_error({"error": None, "id": 1}) is None
    assert in_band_error({}) is None
    assert in_band_error(["error"]) is None


@given(json_values)
def test_is_terminal_accepts_any_json(value: object) -> None:
    assert is_terminal(value) in (True, False)
    in_band_error(value)
