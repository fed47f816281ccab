from __future__ import annotations

import json

import pytest
from builders import JSON, NDJSON, NO_LINE_ENDS, SSE, json_values, line
from hypothesis import given
from hypothesis import strategies as st

from ollama_harness.files.json_text import ndjson_lines, parse_json
from ollama_harness.recordings.records import in_band_error, is_terminal, items_of, record_ends, stream_values

pytestmark = pytest.mark.same_everywhere

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
    assert record_ends(SSE, b"data: {}\n\n: ping\n\ndata: 1\r\rdata: [DONE]\n\n") == [10, 27]


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


@given(
    st.sampled_from([NDJSON, SSE, JSON]), st.lists(st.sampled_from([b"\n", b"\r", b"{}", b"data: 1", b"data: [DONE]"]))
)
def test_the_ends_of_records_are_those_of_the_items_that_are_records(media_type: str, pieces: list[bytes]) -> None:
    body = b"".join(pieces)
    items = items_of(media_type, body)
    assert record_ends(media_type, body) == [one.end for one in items if one.is_record]
    assert all(line in body[one.start : one.end] for one in items for line in one.data.split(b"\n"))


def test_the_items_of_a_stream_are_its_records_and_its_end() -> None:
    record, finish, end = items_of(SSE, b'data: {}\n\ndata: {"choices":[{"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n')
    assert [(one.is_record, one.tells_whole, one.is_last) for one in (record, finish, end)] == [
        (True, False, False),
        (True, True, False),
        (False, True, True),
    ]
    text, done = items_of(NDJSON, b'{"response":"a"}\n{"done":true}')
    assert [(one.is_record, one.tells_whole, one.is_last, one.ended) for one in (text, done)] == [
        (True, False, False, True),
        (True, True, True, False),
    ]


def test_the_values_of_a_stream_are_those_of_its_ends_too() -> None:
    assert stream_values(SSE, b"data: {}\n\ndata: {\n\ndata: [DONE]\n\n") == [{}, None, "[DONE]"]
    assert stream_values(NDJSON, b"{}\n\n<html>\n") == [{}, None]
    assert stream_values(JSON, b"{}") == []


@pytest.mark.parametrize(
    "record",
    [{"done": True}, {"status": "success"}],
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
