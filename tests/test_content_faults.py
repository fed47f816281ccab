"""Faults of the content strike NDJSON, every kind of event stream and answers in one piece, or say why they cannot."""

from __future__ import annotations

import json
import re
from itertools import product
from typing import Any

import pytest
from builders import JSON, NDJSON, SSE, in_one_test, json_values, line, plain, recording
from hypothesis import given
from hypothesis import strategies as st

from ollama_harness.errors import FaultDoesNotApply
from ollama_harness.faults import (
    FAULTS,
    Fault,
    add_field,
    after_record,
    begin_with,
    close_at,
    drop_blank_after_colon,
    drop_blank_line,
    drop_end,
    drop_event_name,
    drop_field,
    drop_last_line_feed,
    drop_record,
    duplicate_end,
    duplicate_record,
    end_after_record,
    end_inside_record,
    error_event_after_record,
    error_line_after_record,
    insert_heartbeat,
    insert_line,
    inside_text,
    lengthen_record,
    put_into_text,
    replace_text,
    send_end_after_record,
    separate_lines_with,
    set_field,
    split_data,
    swap_records,
)
from ollama_harness.oracle.reference import Cause, ExpectedEndKind, Layer, reference
from ollama_harness.recordings.events import error_of, events_of
from ollama_harness.recordings.store import packaged_store
from ollama_harness.script.script import Script

pytestmark = pytest.mark.same_everywhere

STORE = packaged_store()
V1 = ("v1-chat-stream", "v1-completions-stream", "v1-responses-stream", "v1-messages-stream")
ONE_PIECE = ("chat-nonstream", "v1-chat-nonstream", "v1-responses-nonstream", "v1-messages-nonstream")
CONTENT = [kind for kind in FAULTS.values() if kind.group in ("content", "events")]


def recorded(name: str) -> Script:
    return Script.from_recording(STORE.get(f"{STORE.newest}/{name}")).at_speed(0)


def sse(*events: bytes) -> Script:
    return Script.from_recording(recording(*events, media_type=SSE, path="/v1/chat/completions"))


CHAT = recorded("chat-stream")

#: The faults that only events can have, and why others cannot.
OF_EVENTS = dict.fromkeys(
    ("drop_event_name", "drop_blank_line", "drop_blank_after_colon", "split_data"), "only a stream of events"
)
#: What a kind of answer has not, so that a fault cannot strike it.
CANNOT = {
    NDJSON: OF_EVENTS,
    SSE: {},
    JSON: {
        **OF_EVENTS,
        "error_line_after_record": "use replace_with_error",
        "error_event_after_record": "use replace_with_error",
        "send_end_after_record": "its last byte is its end",
        "duplicate_end": "its last byte is its end",
        "drop_end": "its last byte is its end",
        "drop_terminal_record": "no stream with a terminal record",
        "end_after_record": "nothing comes after record",
        "swap_records": "no record follows",
        "separate_lines_with": "no line feed",
        "drop_last_line_feed": "no line feed",
    },
}
#: A field that each kind of record has, for the faults that need one.
FIELDS = {
    "chat-stream": "done",
    "chat-nonstream": "done",
    "v1-chat-stream": "choices.0.index",
    "v1-completions-stream": "choices.0.index",
    "v1-chat-nonstream": "choices.0.message.role",
    "v1-responses-nonstream": "output.0.role",
}


def struck_by(kind: str, name: str, script: Script) -> Fault:
    """A fault that should strike a recording, in its last record but one."""
    media_type = script.head.media_type if script.head else ""
    n = 1 if media_type == JSON else 6
    field = FIELDS.get(name, "type")
    arguments: dict[str, tuple[Any, ...]] = {
        "set_field": (n, field, '{"any": [1]}'),
        "drop_field": (n, field),
        "put_into_text": (n, b"x"),
        "replace_text": (n, b""),
        "lengthen_record": (n, 600_000),
    }
    example = FAULTS[kind].example
    given = arguments.get(kind, (n, *example[1:]) if example and example[0] == 3 else example)
    return FAULTS[kind].make(*given)


@in_one_test("kind name", product(CONTENT, ["chat-stream", *V1, *ONE_PIECE]))
def test_each_strikes_every_kind_of_answer_or_says_why_not(kind: Any, name: str) -> None:
    script = recorded(name)
    assert script.head is not None
    fault, why = struck_by(kind.name, name, script), CANNOT[script.head.media_type].get(kind.name)
    if why == "no line feed" and b"\n" in script.body:
        why = None
    if kind.name == "drop_event_name" and name in ("v1-chat-stream", "v1-completions-stream"):
        why = "no line names event"
    if why is not None:
        with pytest.raises(FaultDoesNotApply, match=why):
            fault(script)
    else:
        assert fault(script).body != script.body


def test_those_that_cannot_are_faults_of_the_content() -> None:
    assert {name for group in CANNOT.values() for name in group} <= {kind.name for kind in CONTENT}


# ------------------------------------------------------------------------------------------ whole events


def values(script: Script) -> list[Any]:
    return [event.value for event in events_of(script.body).all]


@pytest.mark.parametrize("name", V1)
@pytest.mark.parametrize("n", [1, 5, -1])
def test_a_clean_end_after_a_record_leaves_the_bytes_before_it(name: str, n: int) -> None:
    script = recorded(name)
    struck = end_after_record(n)(script)
    end = [item.end for item in script.items() if item.is_record][n - 1 if n > 0 else n]
    assert struck.body == script.body[:end]
    assert reference(struck).ends[Layer.HTTP].kind is ExpectedEndKind.COMPLETE
    told = n == -1 and "responses" not in name
    assert (reference(struck).ends[Layer.OLLAMA].kind is ExpectedEndKind.COMPLETE) == told


@pytest.mark.parametrize("name", V1)
def test_an_error_event_is_one_of_its_api(name: str) -> None:
    struck = error_event_after_record(5, "boom")(recorded(name))
    last = events_of(struck.body).all[-1]
    error = error_of(last)
    assert error["message"] == "boom"
    assert reference(struck).ends[Layer.OLLAMA].cause is Cause.IN_BAND
    assert {"v1-responses-stream": "response.failed", "v1-messages-stream": "error"}.get(name, "message") == last.type
    if "responses" in name:
        assert last.value["response"]["id"] == values(struck)[0]["response"]["id"]
        assert last.value["sequence_number"] == values(struck)[-2]["sequence_number"] + 1


def test_after_an_error_event_the_stream_may_go_on() -> None:
    script = recorded("v1-chat-stream")
    struck = error_event_after_record(5, "boom", goes_on=True)(script)
    assert len(events_of(struck.body).all) == len(events_of(script.body).all) + 1


def test_an_error_event_in_ndjson_is_ollamas_line() -> None:
    assert error_event_after_record(3, "boom")(CHAT) == error_line_after_record(3, "boom")(CHAT)


@pytest.mark.parametrize("name", V1)
def test_the_end_comes_early_twice_or_never(name: str) -> None:
    script = recorded(name)
    *before, end = events_of(script.body).all
    end_bytes = script.body[end.start :]
    fifth = before[4].end
    assert send_end_after_record(5)(script).body == script.body[:fifth] + end_bytes + script.body[fifth:]
    assert duplicate_end()(script).body == script.body + end_bytes
    assert drop_end()(script).body == script.body[: end.start]


def test_the_end_of_ndjson_is_its_terminal_record() -> None:
    assert duplicate_end()(CHAT).body == duplicate_record(-1)(CHAT).body
    assert drop_end()(CHAT).body == drop_record(-1)(CHAT).body


@pytest.mark.parametrize("fault", [duplicate_end(), drop_end(), send_end_after_record(1)], ids=str)
def test_a_stream_without_an_end_has_none_to_change(fault: Fault) -> None:
    with pytest.raises(FaultDoesNotApply, match="this stream has no end"):
        fault(sse(b"data: {}\n\n"))


def test_heartbeats_are_no_records() -> None:
    script = recorded("v1-chat-stream")
    assert insert_heartbeat(0)(script).body == b": keep-alive\n\n" + script.body
    assert reference(insert_heartbeat(3, "OPENROUTER PROCESSING")(script)) == reference(script)
    assert reference(insert_heartbeat(3)(CHAT)) == reference(CHAT)
    assert insert_heartbeat(1)(plain(b"{}")).body == b"{}\n"


def test_a_comment_between_events_stays_where_it_is() -> None:
    script = sse(b": a\n\n", b'data: {"a":1}\n\n', b": b\n\n", b'data: {"a":2}\n\n', b": c\n\n", b"data: [DONE]\n\n")
    assert set_field(2, "a", "3")(script).body == script.body.replace(b"2", b"3")
    assert drop_record(1)(script).body == script.body.replace(b'data: {"a":1}\n\n', b"")
    assert swap_records(1)(script).body == (b': a\n\ndata: {"a":2}\n\n: b\n\ndata: {"a":1}\n\n: c\n\ndata: [DONE]\n\n')


def test_an_event_can_lose_its_name_and_its_blank_line() -> None:
    script = recorded("v1-messages-stream")
    third = script.body.split(b"\n\n")[2] + b"\n\n"
    assert third.startswith(b"event: content_block_delta\n")
    assert drop_event_name(3)(script).body == script.body.replace(third, third.partition(b"\n")[2], 1)
    assert drop_blank_line(3)(script).body == script.body.replace(third, third[:-1], 1)
    joined = events_of(drop_blank_line(3)(script).body).all
    assert len(joined) == len(events_of(script.body).all) - 1
    with pytest.raises(FaultDoesNotApply, match="no blank line follows"):
        drop_blank_line(1)(sse(b"data: {}"))


def test_events_mean_the_same_without_blanks_after_colons_and_with_data_on_two_lines() -> None:
    script = recorded("v1-messages-stream")
    assert drop_blank_after_colon()(script).body == script.body.replace(b"\ndata: ", b"\ndata:").replace(
        b"event: ", b"event:"
    )
    third = script.body.split(b"\n\n")[2]
    split = split_data(3)(script)
    assert split.body == script.body.replace(third, third.replace(b"data: {", b"data: {\ndata: "), 1)
    assert reference(split) == reference(drop_blank_after_colon()(script)) == reference(script)
    with pytest.raises(FaultDoesNotApply, match="no object"):
        split_data(1)(sse(b"data: 7\n\n"))


@pytest.mark.parametrize("separator", [b"\r", b"\r\n"])
def test_events_mean_the_same_with_any_line_end(separator: bytes) -> None:
    script = recorded("v1-messages-stream")
    struck = separate_lines_with(separator)(script)
    assert struck.body == script.body.replace(b"\n", separator)
    assert reference(struck) == reference(script)


def test_the_last_blank_line_can_be_missing() -> None:
    script = recorded("v1-chat-stream")
    assert drop_last_line_feed()(script).body == script.body.removesuffix(b"\n\n")
    assert begin_with(b"\xef\xbb\xbf")(script).body == b"\xef\xbb\xbf" + script.body
    assert reference(begin_with(b"\xef\xbb\xbf")(script)) == reference(script)  # the standard ignores it


def test_half_an_event_before_a_clean_end_is_whole_http() -> None:
    got = reference(end_inside_record(3)(recorded("v1-chat-stream")))
    assert got.ends[Layer.HTTP].kind is ExpectedEndKind.COMPLETE
    assert got.ends[Layer.OLLAMA].kind is ExpectedEndKind.TRUNCATED


def test_a_line_is_put_between_two_events() -> None:
    script = recorded("v1-chat-stream")
    first = script.body.index(b"\n\n") + 2
    assert insert_line(1, ": keep-alive")(script).body == script.body[:first] + b": keep-alive\n" + script.body[first:]


# ------------------------------------------------------------------------------------------ fields by their path


def is_one_change(before: bytes, after: bytes, was: bytes, now: bytes) -> bool:
    """Whether the only difference is that `now` stands where `was` stood."""
    same = next(i for i, (a, b) in enumerate(zip(before + b"\0", after + b"\1", strict=False)) if a != b)
    places = range(max(0, same - 100), same + 1)
    return any(before[i:].startswith(was) and before[:i] + now + before[i + len(was) :] == after for i in places)


@pytest.mark.parametrize(
    ("name", "fault", "was", "now"),
    [
        ("chat-tools-stream", set_field(1, "message.tool_calls.0.function.name", "[]"), b'"get_weather"', b"[]"),
        ("chat-stream", set_field(2, "message.content", "null"), b'" sky"', b"null"),
        ("chat-nonstream", set_field(1, "done_reason", '"load"'), b'"length"', b'"load"'),
        ("v1-chat-stream", set_field(1, "model", '""'), b"smollm2:135m", b""),
        ("v1-chat-stream", set_field(1, "choices.0.finish_reason", "7"), b"null", b"7"),
        ("v1-responses-stream", set_field(1, "response.text.format.type", "7"), b'"text"', b"7"),
        ("v1-messages-stream", set_field(1, "message.usage.input_tokens", "77"), b"6", b"77"),
        ("show", set_field(1, "model_info.general.architecture", "7"), b'"llama"', b"7"),
        ("chat-stream", put_into_text(2, b"x"), b"", b"x"),
        ("v1-completions-stream", put_into_text(2, b"x"), b"", b"x"),
        ("v1-responses-stream", put_into_text(6, b"\xff"), b"", b"\xff"),
        ("v1-messages-stream", put_into_text(4, b"x"), b"", b"x"),
        ("v1-chat-nonstream", put_into_text(1, b"x"), b"", b"x"),
        ("v1-messages-nonstream", put_into_text(1, b"x"), b"", b"x"),
        ("v1-responses-nonstream", put_into_text(1, b"x"), b"", b"x"),
        ("chat-stream", replace_text(2, b""), b" sky", b""),
        ("v1-messages-stream", replace_text(4, b"x"), b" sky", b"x"),
        ("chat-stream", add_field(2, "message.x", "1"), b"", b',"x":1'),
        ("v1-chat-stream", add_field(-1, "choices.0.delta.x", "1"), b"", b'"x":1'),
        ("chat-stream", drop_field(-1, "done_reason"), b'"done_reason":"length",', b""),
        ("chat-stream", drop_field(2, "done"), b',"done":false', b""),
    ],
    ids=str,
)
def test_a_path_leads_to_one_field_and_no_other_byte_changes(name: str, fault: Fault, was: bytes, now: bytes) -> None:
    script = recorded(name)
    assert is_one_change(script.body, fault(script).body, was, now)


@given(st.dictionaries(st.text(min_size=1, max_size=3), json_values, min_size=1, max_size=3), json_values, st.data())
def test_any_field_of_any_record_can_be_set_and_dropped(
    record: dict[str, Any], value: Any, data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(sorted(record)))
    script = Script.from_recording(recording(line(record), line({"done": True})))
    without = {key: inner for key, inner in record.items() if key != name}
    assert reference(set_field(1, name, '{"never": "there"}')(script)).records[0] == {
        **record,
        name: {"never": "there"},
    }
    assert reference(drop_field(1, name)(script)).records[0] == without
    assert reference(add_field(1, "new", json.dumps(value))(script)).records[0] == {**record, "new": value}


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (set_field(1, "content", "1"), "record 1 has no field 'content'; it has message.content"),
        (set_field(1, "message.content.0", "1"), "record 1 has no field 'message.content.0'"),
        (add_field(1, "done.x", "1"), "done of record 1 is no object, so it cannot have 'x'"),
        (add_field(1, "nothing.x", "1"), "record 1 has no field 'nothing'"),
        (drop_field(1, "x"), "record 1 has no field 'x'"),
        (lengthen_record(-1, 5), "record -1 has no text"),
        (close_at(inside_text(-1)), "record -1 has no text"),
        (set_field(1, "done", "false"), "changes nothing"),
    ],
    ids=str,
)
def test_what_is_not_there_cannot_be_changed(fault: Fault, why: str) -> None:
    with pytest.raises(FaultDoesNotApply, match=re.escape(why)):
        fault(CHAT)


def test_what_is_no_json_has_no_fields_and_several_lines_of_data_are_not_cut() -> None:
    with pytest.raises(FaultDoesNotApply, match="record 1 is no JSON"):
        set_field(1, "a", "1")(Script.from_recording(recording(b"<html>\n")))
    with pytest.raises(FaultDoesNotApply, match="its data on several lines"):
        set_field(1, "a", "2")(sse(b'data: {"a":\ndata: 1}\n\n'))


@pytest.mark.parametrize("name", V1)
def test_places_in_events_are_in_their_text_and_after_them(name: str) -> None:
    script = recorded(name)
    assert close_at(after_record(-1))(script).body == end_after_record(-1)(script).body
    inside = close_at(inside_text(6))(script)
    sent = b"".join(segment.data for segment in inside.render(date="x" * 29).segments)
    assert re.search(rb'"(?:content|text|delta)":"[^"]*\Z', sent)
