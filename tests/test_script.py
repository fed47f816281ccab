from __future__ import annotations

from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from builders import DATE, DONE, HELLO, JSON, NDJSON, WORLD, cuts, line, plain, recording, records, stream
from hypothesis import given, settings
from hypothesis import strategies as st

from ollama_harness.recordings.recording import Frame, RecordedEnd, Recording
from ollama_harness.recordings.store import packaged_store
from ollama_harness.script.message_parts import Chunk, Head, LastChunk, Raw
from ollama_harness.script.script import ConnectionEnd, Script, ScriptEnd, Segment, http_date

pytestmark = pytest.mark.same_everywhere

LIBRARY = packaged_store()


def times(script: Script) -> list[float]:
    return [send.at_s for send in script.segments] + [script.ending.at_s]


def segments(script: Script) -> list[bytes]:
    return [segment.data for segment in script.render(date=DATE).segments]


@st.composite
def recordings(draw: st.DrawFn) -> Recording:
    """Streams whose records lie in frames in any way, at any times, with any end."""
    body = b"".join(map(line, draw(st.lists(records, max_size=4))))
    pieces = draw(cuts(body)) if body else []
    clock = sorted(draw(st.lists(st.floats(0, 1e3), min_size=len(pieces) + 2, max_size=len(pieces) + 2)))
    framing = draw(st.sampled_from([("Transfer-Encoding", "chunked"), ("Content-Length", str(len(body))), None]))
    headers = (("Content-Type", NDJSON), *([framing] if framing else ()))
    one = recording(headers=headers, ended=draw(st.sampled_from(RecordedEnd)))
    return replace(
        one,
        response=replace(one.response, head_at_s=clock[0]),
        frames=tuple(Frame(at_s=at_s, data=data) for at_s, data in zip(clock[1:-1], pieces, strict=True)),
        ended_at_s=clock[-1],
    )


# ----------------------------------------------------------------------------------------------- exact bytes


def test_a_recording_becomes_exactly_these_bytes() -> None:
    one = recording(b'{"a":"\xc2\x85"}\n', b"0123456789abcdef", media_type=NDJSON)
    assert [(at_s, data) for at_s, data, *_ in Script.from_recording(one).render(date=DATE).segments] == [
        (
            0.1,
            b"HTTP/1.1 200 OK\r\n"
            b"Content-Type: application/x-ndjson\r\n"
            b"Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
            b"Transfer-Encoding: chunked\r\n"
            b"\r\n",
        ),
        (0.2, b'b\r\n{"a":"\xc2\x85"}\n\r\n'),
        (0.1 * 3, b"10\r\n0123456789abcdef\r\n"),
        (0.4, b"0\r\n\r\n"),
    ]


def test_a_single_answer_is_sent_without_chunks() -> None:
    assert segments(plain(b'{"a":1}', status=404, reason="Not Found")) == [
        b"HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n",
        b'{"a":1}',
    ]


def test_headers_keep_order_spelling_and_latin_1() -> None:
    headers = (("x-B", "ä"), ("CONTENT-length", "0"), ("A", ""), ("x-b", "2"))
    one = recording(headers=headers, reason="")
    assert segments(Script.from_recording(one)) == [
        b"HTTP/1.1 200 \r\nx-B: \xe4\r\nCONTENT-length: 0\r\nA: \r\nx-b: 2\r\n\r\n"
    ]


def test_head_and_first_frame_leave_together_if_they_arrived_together() -> None:
    one = recording(line(HELLO), line(DONE))
    first = replace(one.frames[0], at_s=one.response.head_at_s)
    together = segments(Script.from_recording(replace(one, frames=(first, one.frames[1]))))
    apart = segments(Script.from_recording(one))
    assert [b"".join(apart[:2]), *apart[2:]] == together


def test_frames_that_arrived_at_one_time_stay_apart() -> None:
    one = recording(line(HELLO), line(WORLD), line(DONE))
    at_once = replace(one, frames=tuple(replace(frame, at_s=0.1) for frame in one.frames))
    assert [len(send.parts) for send in Script.from_recording(at_once).segments] == [2, 1, 1, 1]


def test_the_last_chunk_is_a_segment_of_its_own() -> None:
    assert stream(HELLO, DONE).segments[-1].parts == (LastChunk(),)
    assert segments(stream(HELLO, DONE))[-1] == b"0\r\n\r\n"


@pytest.mark.parametrize("ended", [RecordedEnd.EOF, RecordedEnd.RESET, RecordedEnd.TIMEOUT])
def test_a_stream_that_was_cut_has_no_last_chunk(ended: RecordedEnd) -> None:
    assert [type(part) for _, _, part in stream(HELLO, ended=ended).parts()] == [Head, Chunk]


def test_the_date_is_fresh_and_stands_where_it_stood() -> None:
    wire = stream(DONE).render(date="Mon, 02 Feb 2026 03:04:05 GMT").wire
    assert b"Date: Mon, 02 Feb 2026 03:04:05 GMT\r\n" in wire
    assert b"then" not in wire


def test_a_head_without_date_gets_none() -> None:
    assert b"Date" not in plain(b"{}").render(date=DATE).wire


def test_http_date_is_an_imf_fixdate() -> None:
    assert http_date(784111777) == "Sun, 06 Nov 1994 08:49:37 GMT"
    assert parsedate_to_datetime(http_date()).year >= 2026


@pytest.mark.parametrize(
    "id_", [f"{version}/{name}" for version in LIBRARY.versions for name in ("chat-stream", "tags")]
)
def test_a_real_body_is_played_as_it_was_recorded(id_: str) -> None:
    one = LIBRARY.get(id_)
    script = Script.from_recording(one)
    assert script.body == one.body
    assert [part.data for _, _, part in script.body_parts()] == [frame.data for frame in one.frames]


# ----------------------------------------------------------------------------------------------------- times


def test_times_are_as_recorded() -> None:
    one = LIBRARY.get(f"{LIBRARY.newest}/generate-stream")
    script = Script.from_recording(one)
    assert script.segments[0].at_s == one.response.head_at_s
    assert {frame.at_s for frame in one.frames} <= set(times(script))
    assert script.ending.at_s == one.ended_at_s


@pytest.mark.parametrize("speed", [0.5, 1.0, 4.0])
def test_speed_divides_every_time(speed: float) -> None:
    one = recording(line(HELLO), line(DONE))
    slow, fast = Script.from_recording(one), Script.from_recording(one, speed=speed)
    assert times(fast) == pytest.approx([at_s / speed for at_s in times(slow)])
    assert segments(fast) == segments(slow)


def test_speed_0_is_as_fast_as_possible() -> None:
    script = stream(HELLO, DONE).at_speed(0)
    assert set(times(script)) == {0.0}
    assert segments(script) == segments(stream(HELLO, DONE))


def test_a_gap_stands_before_the_head_and_every_segment_and_the_end() -> None:
    one = recording(line(HELLO), line(DONE))
    script = Script.from_recording(one, gap_s=0.5)
    assert times(script) == [0.5, 1.0, 1.5, 2.0, 2.5]
    assert segments(script) == segments(Script.from_recording(one))


@settings(max_examples=50)
@given(recordings(), st.sampled_from([0.0, 0.1, 1.0, 3.0]), st.none() | st.floats(0, 10))
def test_times_are_absolute_and_never_go_backwards(one: Recording, speed: float, gap_s: float | None) -> None:
    script = Script.from_recording(one, speed=speed, gap_s=gap_s)
    assert times(script) == sorted(times(script))
    assert times(script)[0] >= 0
    assert script.body == one.body


def test_a_script_whose_time_goes_backwards_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="must not go backwards"):
        Script(
            method="GET",
            segments=(Segment(0.2, (Raw(b"a"),)), Segment(0.1, (Raw(b"b"),))),
            ending=ScriptEnd(how=ConnectionEnd.CLOSE, at_s=0.3),
        )
    with pytest.raises(ValueError, match="must not go backwards"):
        Script(
            method="GET", segments=(Segment(0.2, (Raw(b"a"),)),), ending=ScriptEnd(how=ConnectionEnd.CLOSE, at_s=0.1)
        )


# ---------------------------------------------------------------------------------------------------- ending


@pytest.mark.parametrize(
    ("changes", "how"),
    [
        ({}, ConnectionEnd.KEEP_OPEN),
        ({"ended": RecordedEnd.EOF}, ConnectionEnd.CLOSE),
        ({"ended": RecordedEnd.RESET}, ConnectionEnd.RESET),
        ({"ended": RecordedEnd.TIMEOUT}, ConnectionEnd.HOLD),
        ({"headers": (("Content-Length", "0"),)}, ConnectionEnd.KEEP_OPEN),
        ({"headers": (("Content-Length", "0"), ("connection", "Close"))}, ConnectionEnd.CLOSE),
        ({"headers": (("Content-Length", "0"), ("Connection", "keep-alive"))}, ConnectionEnd.KEEP_OPEN),
        ({"headers": ()}, ConnectionEnd.CLOSE),  # delimited by the end of the connection
        ({"headers": (), "method": "HEAD"}, ConnectionEnd.KEEP_OPEN),
        ({"headers": (), "status": 204}, ConnectionEnd.KEEP_OPEN),
        ({"headers": (), "status": 304}, ConnectionEnd.KEEP_OPEN),
        ({"headers": (("Connection", "close"),), "method": "HEAD"}, ConnectionEnd.CLOSE),
    ],
)
def test_the_connection_ends_as_it_did(changes: dict[str, Any], how: ConnectionEnd) -> None:
    one = recording(**changes)
    assert Script.from_recording(one).ending == ScriptEnd(how=how, at_s=one.ended_at_s)


def test_an_answer_to_head_has_no_body_and_no_last_chunk() -> None:
    """A recorded HEAD answer may announce chunks; it sends none (RFC 9110 section 9.3.2)."""
    one = recording(method="HEAD", headers=(("Transfer-Encoding", "chunked"),))
    assert [type(part) for _, _, part in Script.from_recording(one).parts()] == [Head]


# ------------------------------------------------------------------------------------------------- for faults


@settings(max_examples=50)
@given(recordings(), st.data())
def test_splitting_keeps_body_and_records_at_every_offset(one: Recording, data: st.DataObject) -> None:
    script = Script.from_recording(one)
    offset = data.draw(st.integers(0, len(one.body)))
    split, index = script.split_at(offset)
    assert (split.body, split.record_ends()) == (script.body, script.record_ends())
    assert split.ending == script.ending
    assert times(split) == sorted(times(split))
    before = b"".join(
        part.data for send in split.segments[:index] for part in send.parts if isinstance(part, Chunk | Raw)
    )
    assert before == one.body[:offset]
    assert split.split_at(offset) == (split, index), "there is a boundary now"


def test_splitting_inside_a_chunk_makes_two_chunks() -> None:
    script, index = stream(HELLO, DONE).split_at(2)
    rest = line(HELLO)[2:]
    assert segments(script)[1:3] == [b'2\r\n{"\r\n', b"%x\r\n%b\r\n" % (len(rest), rest)]
    assert index == 2
    assert script.segments[1].at_s == script.segments[2].at_s


def test_splitting_at_a_boundary_changes_nothing() -> None:
    script = stream(HELLO, DONE)
    assert script.split_at(len(line(HELLO))) == (script, 2)


def test_splitting_at_the_end_comes_before_the_last_chunk() -> None:
    script = stream(HELLO, DONE)
    assert script.split_at(len(script.body)) == (script, 3)
    assert script.segments[3].parts == (LastChunk(),)


def test_splitting_head_and_body_that_leave_together() -> None:
    one = recording(line(DONE))
    together = Script.from_recording(replace(one, frames=(replace(one.frames[0], at_s=0.1),)))
    script, index = together.split_at(0)
    assert index == 1
    assert [type(part) for _, _, part in script.parts()] == [Head, Chunk, LastChunk]
    assert script.render(date=DATE).wire == together.render(date=DATE).wire


@pytest.mark.parametrize("script", [stream(HELLO), stream(), plain(b"{}")])
def test_there_is_no_place_beyond_the_body(script: Script) -> None:
    with pytest.raises(ValueError, match="there is no offset"):
        script.split_at(len(script.body) + 1)


def test_the_parts_of_a_body_are_those_of_its_framing() -> None:
    """Raw bytes before and after a chunked message are no part of its body; in it, there is no telling."""
    script = stream(HELLO, DONE)
    assert script.insert(0, Raw(b"garbage")).body == script.insert(4, Raw(b"garbage")).body == script.body
    assert script.insert(1, Raw(b"garbage")).body == b""
    headless = replace(script, segments=script.segments[1:])
    assert (headless.head, headless.body_parts(), headless.record_ends()) == (None, [], [])


def test_cut_ends_at_the_time_of_what_was_sent_last() -> None:
    script = stream(HELLO, DONE).cut(2, ConnectionEnd.RESET)
    assert len(script.segments) == 2
    assert script.ending == ScriptEnd(how=ConnectionEnd.RESET, at_s=0.2)
    assert stream(HELLO).cut(0, ConnectionEnd.CLOSE).ending.at_s == 0.0


def test_insert_sends_at_the_time_of_the_segment_before() -> None:
    script = stream(HELLO, DONE)
    assert script.insert(2, Raw(b"x")).segments[2] == Segment(0.2, (Raw(b"x"),))
    assert script.insert(0, Raw(b"x")).segments[0] == Segment(0.0, (Raw(b"x"),))


def test_a_chunk_may_say_something_else_than_it_is() -> None:
    assert Chunk(b"abcde", size_line=b"7;x", after=b"!").wire(DATE) == b"7;x\r\nabcde!"
    assert Chunk(b"abcde").before == b"5\r\n"


def test_trailers_follow_the_last_chunk() -> None:
    assert LastChunk((("A", "1"), ("B", "2"))).wire(DATE) == b"0\r\nA: 1\r\nB: 2\r\n\r\n"


@settings(max_examples=50)
@given(recordings(), st.data())
def test_any_part_can_be_split_anywhere_and_again(one: Recording, data: st.DataObject) -> None:
    script = Script.from_recording(one)
    for _ in range(3):
        i = data.draw(st.integers(0, len(script.segments) - 1))
        j = data.draw(st.integers(0, len(script.segments[i].parts) - 1))
        offset = data.draw(st.integers(0, len(script.segments[i].parts[j].wire(DATE))))
        split, index = script.split_part(i, j, offset)
        before = b"".join(segments(split)[:index])
        assert b"".join(segments(split)) == b"".join(segments(script))
        inside = [part.wire(DATE) for part in script.segments[i].parts[: j + 1]]
        assert before == b"".join([*segments(script)[:i], *inside[:-1], inside[-1][:offset]])
        script = split


def test_there_is_no_place_beyond_a_part() -> None:
    with pytest.raises(ValueError, match="there is no offset"):
        stream(HELLO).split_part(0, 0, 10_000)


def test_a_header_is_replaced_in_its_place() -> None:
    head = Head(200, "OK", (("A", "1"), ("B", "2"), ("a", "3")))
    assert head.with_header("A", "9").headers == (("A", "9"), ("B", "2"))
    assert head.with_header("b", None).headers == (("A", "1"), ("a", "3"))
    assert head.with_header("C", "4").headers[-1] == ("C", "4")


@pytest.mark.parametrize("value", ["Application/JSON ; charset=utf-8", "application/json"])
def test_the_media_type_is_compared_without_case_and_parameters(value: str) -> None:
    assert Head(200, "OK", (("content-TYPE", value),)).media_type == JSON
    assert recording(headers=(("content-TYPE", value),)).response.media_type == JSON
