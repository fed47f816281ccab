"""Event streams are read as the standard has it; and what the events of /v1 say of their answer."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_harness.recordings.events import NO_JSON, Event, error_of, events_of, is_end, is_finish
from ollama_harness.recordings.recording import Recording
from ollama_harness.recordings.store import RecordingStore

pytestmark = pytest.mark.same_everywhere

RECORDINGS = Path(__file__).parents[1] / "fixtures" / "recordings"
LINE_ENDS = st.sampled_from([b"\n", b"\r", b"\r\n"])
#: Text of one line, with every character that ends no line although some clients think so.
ONE_LINE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=8).map(str.encode)
IGNORED = ONE_LINE.map(b":".__add__) | st.sampled_from([b"", b"id: 7", b"retry: 10", b"Data: x", b"data : x", b"other"])


@st.composite
def blocks(draw: st.DrawFn) -> tuple[bytes, str, list[bytes]]:
    """An event as a server may write it, with its type and its lines of data."""
    type_, data = draw(ONE_LINE), draw(st.lists(ONE_LINE, min_size=1, max_size=3))
    lines = [b"event:" + draw(st.sampled_from([b"", b" "])) + type_] if not type_.startswith(b" ") else []
    for one in data:
        lines.append(b"data: " + one if one.startswith(b" ") or draw(st.booleans()) else b"data:" + one)
        lines += [line for line in draw(st.lists(IGNORED, max_size=2)) if line]
    name = type_.decode() if lines[0].startswith(b"event:") and type_ else "message"
    return draw(LINE_ENDS).join([*lines, b"", b""]), name, data


@given(st.sampled_from([b"", b"\xef\xbb\xbf"]), st.lists(blocks(), max_size=4), LINE_ENDS)
def test_what_a_server_writes_is_read(mark: bytes, written: list[tuple[bytes, str, list[bytes]]], gap: bytes) -> None:
    # A CR at the end of one event and an LF at the start of the next gap would be one line end.
    body = mark + (b": heartbeat" + gap + gap).join([b"", *(text for text, _, _ in written)])
    read = events_of(body).all
    assert [(one.type, one.data, one.ended) for one in read] == [
        (name, b"\n".join(data), True) for _, name, data in written
    ]
    assert all(events_of(body[one.start : one.end]).all[0].data == one.data for one in read)


@given(
    st.lists(st.sampled_from([b"\n", b"\r", b"\r\n", b"data: 1", b"data", b"event: x", b":", b"\xef\xbb\xbf", b"\xff"]))
)
def test_events_lie_one_after_the_other(pieces: list[bytes]) -> None:
    body = b"".join(pieces)
    read = events_of(body).all
    edges = [edge for one in read for edge in (one.start, one.end)]
    assert edges == sorted(edges)
    assert all(one.start < one.end <= len(body) for one in read)
    assert all(one.ended for one in read[:-1])


@given(st.lists(blocks(), min_size=1, max_size=3), st.data())
def test_a_body_that_is_cut_has_the_same_events_before_the_cut(
    written: list[tuple[bytes, str, list[bytes]]], data: st.DataObject
) -> None:
    body = b"".join(text for text, _, _ in written)
    cut = data.draw(st.integers(0, len(body)))
    whole = [one for one in events_of(body).all if one.end <= cut]
    # A CR that ends the part may be half of a CRLF, so the last event may lack its LF.
    assert [one.data for one in events_of(body[:cut]).all if one.ended][: len(whole)] == [one.data for one in whole]


@pytest.mark.parametrize(
    ("body", "events"),
    [
        (b"data: a\n\n", [("message", b"a", 0, 9, True)]),
        (b"data:a\rdata: b\r\r", [("message", b"a\nb", 0, 16, True)]),
        (b"data:a\r\n\r\ndata:b\n\r\n", [("message", b"a", 0, 10, True), ("message", b"b", 10, 19, True)]),
        (b"data:  a\n\n", [("message", b" a", 0, 10, True)]),
        (b"data\n\n", [("message", b"", 0, 6, True)]),
        (b": ping\n\nevent: x\n\ndata: a\n\n", [("message", b"a", 18, 27, True)]),
        (b"event: x\ndata: a\n: more\n\n", [("x", b"a", 0, 25, True)]),
        (b"\xef\xbb\xbfdata: a\n\n", [("message", b"a", 3, 12, True)]),
        (b"data: a\n\ndata: b", [("message", b"a", 0, 9, True), ("message", b"b", 9, 16, False)]),
        (b"data: a\n", [("message", b"a", 0, 8, False)]),
        (b"data: a\xc2\x85b\n\n", [("message", b"a\xc2\x85b", 0, 12, True)]),
        (b"\n\n\r\r\n: only comments\n", []),
        (b"event: lonely\n", []),
        (b"", []),
    ],
)
def test_examples_of_the_standard(body: bytes, events: list[tuple[str, bytes, int, int, bool]]) -> None:
    assert [(one.type, one.data, one.start, one.end, one.ended) for one in events_of(body).all] == events


def _event(text: bytes) -> Event:
    (event,) = events_of(text + b"\n\n").all
    return event


@pytest.mark.parametrize(
    "text",
    [
        b"data: [DONE]",
        b'event: message_stop\ndata: {"type":"message_stop"}',
        b'data: {"type":"response.completed"}',
        b'data: {"type":"response.incomplete"}',
        b'data: {"type":"response.failed"}',
    ],
)
def test_an_end_is_no_record(text: bytes) -> None:
    assert is_end(_event(text))
    assert events_of(b"data: {}\n\n" + text + b"\n\n").records == events_of(b"data: {}\n\n").all


@pytest.mark.parametrize(
    "text", [b"data: {}", b'data: "[DONE]"', b"data: [DONE", b"event: message_stop\ndata: {}", b"data: [1]"]
)
def test_other_events_are_no_ends(text: bytes) -> None:
    assert not is_end(_event(text))


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (b'data: {"error":{"message":"m"}}', {"message": "m"}),
        (b'data: {"error":"m","choices":[]}', "m"),
        (b'event: error\ndata: {"type":"error","error":{"message":"m"}}', {"message": "m"}),
        (b'data: {"type":"error","message":"m"}', {"type": "error", "message": "m"}),
        (b'data: {"type":"response.failed","response":{"error":{"code":"c"}}}', {"code": "c"}),
        (b'data: {"type":"response.failed"}', {"type": "response.failed"}),
        (b"event: error\ndata: no JSON", "no JSON"),
        (b'data: {"error":null}', None),
        (b'data: {"type":"response.created","response":{"error":null}}', None),
        (b"data: no JSON", None),
        (b"data: [DONE]", None),
    ],
)
def test_errors_of_the_three_dialects(text: bytes, error: object) -> None:
    assert error_of(_event(text)) == error


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b'data: {"choices":[{"finish_reason":"stop"}]}', True),
        (b'data: {"choices":[{"finish_reason":null},{"finish_reason":"length"}]}', True),
        (b'data: {"type":"message_delta","delta":{"stop_reason":"end_turn"}}', True),
        (b'data: {"type":"message_delta","delta":{"stop_reason":null}}', False),
        (b'data: {"choices":[{"finish_reason":null}]}', False),
        (b'data: {"choices":[]}', False),
        (b"data: [DONE]", False),
    ],
)
def test_the_reason_why_the_model_stopped(text: bytes, told: bool) -> None:
    assert is_finish(_event(text)) is told


def test_data_that_is_no_json_has_no_value() -> None:
    assert _event(b"data: {").value is NO_JSON
    assert _event(b"data: null").value is None


def _streams() -> list[Recording]:
    store = RecordingStore(RECORDINGS)
    found = [store.get(f"{version}/{name}") for version in store.versions for name in store.names(version, ["*v1*"])]
    return [one for one in found if one.response.media_type == "text/event-stream"]


def test_a_recorded_stream_is_whole_unless_the_server_was_struck() -> None:
    recordings = _streams()
    assert {"/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages"} <= {
        one.request.path for one in recordings
    }
    assert [one.id for one in recordings if events_of(one.body).is_whole] == [
        one.id for one in recordings if one.intervention is None
    ]
