from __future__ import annotations

import gzip
import json
from dataclasses import replace
from typing import Any

import pytest
from builders import (
    DATE,
    DONE,
    HELLO,
    JSON,
    NDJSON,
    NO_LINE_ENDS,
    SSE,
    TEXT,
    WORLD,
    chunked,
    cuts,
    line,
    message,
    plain,
    recording,
    records,
    seen,
    stream,
)
from hypothesis import given
from hypothesis import strategies as st

from ollama_harness.files.json_text import parse_json
from ollama_harness.oracle.reference import (
    Cause,
    ExpectedEnd,
    ExpectedEndKind,
    Layer,
    Reference,
    first_silence,
    reference,
)
from ollama_harness.recordings.recording import RecordedEnd, Recording
from ollama_harness.recordings.store import packaged_store
from ollama_harness.script.message_parts import Raw
from ollama_harness.script.script import ConnectionEnd, Script

pytestmark = pytest.mark.same_everywhere

LIBRARY = packaged_store()
COMPLETE = ExpectedEnd(ExpectedEndKind.COMPLETE, Cause.WHOLE)
TRUNCATED = ExpectedEnd(ExpectedEndKind.TRUNCATED, Cause.FIN)
SILENT = ExpectedEnd(ExpectedEndKind.OPEN, Cause.SILENCE)
UNFINISHED = ExpectedEnd(ExpectedEndKind.TRUNCATED, Cause.NO_TERMINAL_RECORD)
CHUNKED = ("Content-Type: application/x-ndjson", "Transfer-Encoding: chunked")
ENDS_OF_A_CUT = {
    ConnectionEnd.CLOSE: TRUNCATED,
    ConnectionEnd.HALF_CLOSE: TRUNCATED,
    ConnectionEnd.RESET: ExpectedEnd(ExpectedEndKind.ERROR, Cause.RST),
    ConnectionEnd.IGNORE: ExpectedEnd(ExpectedEndKind.OPEN, Cause.SILENCE),
    ConnectionEnd.HOLD: SILENT,
    ConnectionEnd.KEEP_OPEN: SILENT,
}


def both(found: Reference) -> ExpectedEnd:
    """The end, where it is the same at both layers."""
    assert found.ends[Layer.HTTP] == found.ends[Layer.OLLAMA]
    return found.ends[Layer.HTTP]


# ------------------------------------------------------------------------------------- what the bytes decide


@given(st.lists(records, max_size=4).map(lambda found: b"".join(map(line, found))), st.data())
def test_chunks_and_segments_decide_nothing(body: bytes, data: st.DataObject) -> None:
    """However a body is cut into chunks, and whatever its framing, a perfect client sees the same."""
    whole = seen(chunked(body)) if body else seen(message(b"0\r\n\r\n", *CHUNKED))
    pieces = data.draw(cuts(body)) if body else []
    assert reference(Script.from_recording(recording(*pieces))) == whole
    assert reference(plain(body, media_type=NDJSON)) == whole
    assert reference(plain(body, media_type=NDJSON, length=False)) == whole


@given(st.lists(records, max_size=4), st.data())
def test_a_stream_cut_anywhere_holds_the_records_that_were_whole(found: list[Any], data: st.DataObject) -> None:
    body = b"".join(map(line, found))
    cut = data.draw(st.integers(0, len(body)))
    how = data.draw(st.sampled_from(list(ENDS_OF_A_CUT)))
    got = seen(message(b"%x\r\n%b" % (len(body) + 1, body[:cut]), *CHUNKED), how)
    sure = body[:cut].count(b"\n")
    assert list(got.records[:sure]) == found[:sure]
    assert got.due[Layer.HTTP] == sure
    assert list(got.records[sure:]) in ([], found[sure : sure + 1]), "an object that lacks its line feed only"
    assert got.ends[Layer.HTTP] == ENDS_OF_A_CUT[how]


@given(st.lists(records, max_size=4), st.sampled_from(list(ENDS_OF_A_CUT)))
def test_the_records_due_are_among_the_records(found: list[Any], how: ConnectionEnd) -> None:
    got = seen(chunked(b"".join(map(line, found)) or b"\n"), how)
    assert list(got.records) == found
    assert got.due[Layer.HTTP] == len(found)
    assert 0 <= got.due[Layer.OLLAMA] <= len(found)


@pytest.mark.parametrize("character", [*NO_LINE_ENDS, "\r", "\t\r"], ids=ascii)
def test_a_line_ends_at_lf_only(character: str) -> None:
    """Raw where JSON allows it inside a string; else between two tokens of a record that is then no JSON."""
    if character in ("\u0085", "\u2028", "\u2029"):
        record = {"response": f"a{character}b", "done": True}
        assert reference(stream(record)).records == (record,)
        assert both(reference(stream(record))) == COMPLETE
    else:
        broken = f'{{"response": "a{character}b", "done": true}}\n'.encode()
        assert both(seen(chunked(line(HELLO) + broken))).cause is Cause.BAD_JSON
        assert seen(chunked(line(HELLO) + broken)).records == (HELLO,)


def test_a_cr_before_lf_is_white_space_of_json() -> None:
    got = seen(chunked(line(HELLO).replace(b"\n", b"\r\n") + line(DONE)))
    assert got.records == (HELLO, DONE)
    assert both(got) == COMPLETE


def test_blank_lines_are_no_records() -> None:
    got = seen(chunked(b"\n\r\n" + line(HELLO) + b"  \n" + line(DONE) + b"\n"))
    assert got.records == (HELLO, DONE)


def test_the_last_line_of_a_whole_body_needs_no_lf() -> None:
    assert seen(chunked(line(HELLO) + line(DONE).removesuffix(b"\n"))).records == (HELLO, DONE)


def test_half_a_last_line_is_no_record_and_no_bad_json() -> None:
    got = seen(message(b"99\r\n" + line(HELLO) + b'{"resp', *CHUNKED), ConnectionEnd.CLOSE)
    assert got.records == (HELLO,)
    assert both(got) == TRUNCATED


def test_a_last_line_without_its_lf_is_not_due_while_the_message_is_not_whole() -> None:
    """An object is whole all the same, and may be yielded; but `1` might become `10`."""
    got = seen(message(b"99\r\n" + line(HELLO) + line(DONE)[:-1], *CHUNKED), ConnectionEnd.CLOSE)
    assert (got.records, got.due[Layer.HTTP]) == ((HELLO, DONE), 1)
    assert seen(message(b"99\r\n" + line(HELLO) + b"1", *CHUNKED), ConnectionEnd.CLOSE).records == (HELLO,)


def test_half_a_last_line_of_a_whole_body_is_bad_json() -> None:
    assert both(seen(chunked(line(HELLO) + b'{"resp'))).cause is Cause.BAD_JSON
    closed = seen(message(line(HELLO) + b'{"resp', CHUNKED[0]), ConnectionEnd.CLOSE)
    assert (both(closed).cause, closed.records) == (Cause.BAD_JSON, (HELLO,))


@pytest.mark.parametrize("bad", [b"{", b"NaN", b'{"a": Infinity}', b"\xff", b'"\xc2"', b"{} {}", b"<html>", b"[DONE]"])
def test_bad_json_ends_the_stream_with_the_records_before_it(bad: bytes) -> None:
    got = seen(chunked(line(HELLO) + bad + b"\n" + line(DONE)))
    assert (got.records, both(got).kind, both(got).cause) == ((HELLO,), ExpectedEndKind.ERROR, Cause.BAD_JSON)
    assert both(got).detail


def test_records_after_done_are_an_error_of_ollama_and_not_of_http() -> None:
    got = reference(stream(HELLO, DONE, WORLD))
    assert got.records == (HELLO, DONE, WORLD)
    assert got.ends == {
        Layer.HTTP: COMPLETE,
        Layer.OLLAMA: ExpectedEnd(ExpectedEndKind.ERROR, Cause.AFTER_TERMINAL_RECORD, either=True),
    }
    assert got.due == {Layer.HTTP: 3, Layer.OLLAMA: 2}


def test_an_error_line_is_an_error_of_ollama_and_not_of_http() -> None:
    got = reference(stream(HELLO, {"error": "boom"}))
    assert got.ends == {Layer.HTTP: COMPLETE, Layer.OLLAMA: ExpectedEnd(ExpectedEndKind.ERROR, Cause.IN_BAND, "boom")}
    assert got.due == {Layer.HTTP: 2, Layer.OLLAMA: 1}


def test_of_an_error_line_and_a_cut_the_error_line_came_first() -> None:
    got = reference(stream(HELLO, {"error": "boom"}, ended=RecordedEnd.EOF))
    assert got.ends == {Layer.HTTP: TRUNCATED, Layer.OLLAMA: ExpectedEnd(ExpectedEndKind.ERROR, Cause.IN_BAND, "boom")}


@pytest.mark.parametrize("found", [[], [HELLO], [HELLO, WORLD], [{"status": "pulling"}], [{"done": 1}]])
def test_a_stream_without_terminal_record_is_truncated_for_ollama_only(found: list[Any]) -> None:
    got = reference(stream(*found))
    assert got.ends == {Layer.HTTP: COMPLETE, Layer.OLLAMA: UNFINISHED}
    assert got.due == dict.fromkeys(Layer, len(found))


@pytest.mark.parametrize("record", [None, 1, "DONE", [1]])
def test_a_line_that_is_no_object_is_an_error_of_ollama_only(record: Any) -> None:
    got = reference(stream(HELLO, record, DONE))
    assert got.ends == {
        Layer.HTTP: COMPLETE,
        Layer.OLLAMA: ExpectedEnd(ExpectedEndKind.ERROR, Cause.NO_OBJECT, repr(record)),
    }
    assert got.due == {Layer.HTTP: 3, Layer.OLLAMA: 1}


@pytest.mark.parametrize("last", [DONE, {"status": "success"}])
def test_a_stream_with_its_terminal_record_is_complete(last: Any) -> None:
    assert both(reference(stream(HELLO, last))) == COMPLETE


@pytest.mark.parametrize("media_type", ["Application/X-NDJSON", "application/x-ndjson; charset=utf-8"])
def test_a_media_type_is_compared_without_case_and_parameters(media_type: str) -> None:
    """RFC 9110 section 8.3.1: type and subtype are case-insensitive."""
    got = reference(stream(HELLO, media_type=media_type))
    assert got.records == (HELLO,)
    assert got.ends == {Layer.HTTP: COMPLETE, Layer.OLLAMA: UNFINISHED}


# --------------------------------------------------------------------------------------------- single answers


def test_a_single_answer_is_one_record() -> None:
    got = reference(plain(line(DONE)))
    assert (got.records, both(got)) == ((DONE,), COMPLETE)


def test_a_single_answer_of_several_lines_is_one_record() -> None:
    assert reference(plain(b'{\n"done":\ntrue}')).records == ({"done": True},)


def test_a_single_answer_that_says_not_done_is_truncated_for_ollama_only() -> None:
    got = reference(plain(line(HELLO)))
    assert got.records == (HELLO,)
    assert got.ends == {Layer.HTTP: COMPLETE, Layer.OLLAMA: UNFINISHED}


@pytest.mark.parametrize("value", [{"models": []}, {"version": "1"}, [], None, 5])
def test_a_single_answer_needs_no_terminal_record(value: Any) -> None:
    assert both(reference(plain(line(value)))) == COMPLETE


def test_half_a_single_answer_is_no_record() -> None:
    wire = message(b'{"done":', "Content-Type: application/json", "Content-Length: 20")
    got = seen(wire, ConnectionEnd.CLOSE)
    assert (got.records, both(got)) == ((), TRUNCATED)


@pytest.mark.parametrize("script", [plain(b"Ollama is running", media_type=TEXT), plain(b"", media_type=JSON)])
def test_what_holds_no_json_has_no_records_and_is_complete(script: Script) -> None:
    assert (reference(script).records, both(reference(script))) == ((), COMPLETE)


# --------------------------------------------------------------------------------------------- event streams


def sse(*events: bytes, ended: RecordedEnd = RecordedEnd.COMPLETE, as_events: bool = False) -> Reference:
    return reference(Script.from_recording(recording(*events, media_type=SSE, ended=ended)), as_events=as_events)


FINISH = {"choices": [{"finish_reason": "stop"}]}


def event(value: Any) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def test_events_are_records_and_done_is_none() -> None:
    got = sse(b'data: {"id":1}\n\n', b": a comment\n\n", b"event: x\ndata: {}\n\n", b"data: [DONE]\n\n")
    assert (got.records, both(got)) == (({"id": 1}, {}), COMPLETE)


@pytest.mark.parametrize("last", [event(FINISH), b"data: [DONE]\r\n\r\n", event({"type": "message_stop"})])
def test_an_event_stream_is_whole_with_a_finish_reason_or_an_end(last: bytes) -> None:
    assert both(sse(b"data: {}\n\n", last)) == COMPLETE


def test_an_event_stream_without_either_is_truncated_for_ollama_only() -> None:
    assert sse(b"data: {}\n\n").ends == {Layer.HTTP: COMPLETE, Layer.OLLAMA: UNFINISHED}


@pytest.mark.parametrize("ended", [RecordedEnd.COMPLETE, RecordedEnd.EOF])
def test_a_last_event_without_its_blank_line_may_be_yielded_or_not(ended: RecordedEnd) -> None:
    got = sse(b'data: {"id":1}\n\n', b'data: {"id":2}\n', ended=ended)
    assert (got.records, got.due) == (({"id": 1}, {"id": 2}), {Layer.HTTP: 1, Layer.OLLAMA: 1})


def test_an_end_without_its_blank_line_may_be_taken_for_one_or_not() -> None:
    got = sse(b"data: {}\n\n", b"data: [DONE]")
    assert got.ends == {Layer.HTTP: COMPLETE, Layer.OLLAMA: replace(COMPLETE, either=True)}


def test_after_the_finish_reason_a_cut_loses_nothing_but_the_end() -> None:
    got = sse(event(FINISH), b"data: [DO", ended=RecordedEnd.EOF)
    assert got.ends == {Layer.HTTP: TRUNCATED, Layer.OLLAMA: replace(TRUNCATED, either=True)}


def test_a_bad_event_is_bad_json_and_half_an_event_is_none() -> None:
    assert both(sse(b"data: {\n\n")).cause is Cause.BAD_JSON
    assert sse(event(FINISH), b'data: {"choi').ends == {Layer.HTTP: COMPLETE, Layer.OLLAMA: COMPLETE}


@pytest.mark.parametrize(
    ("error", "text"),
    [
        ({"error": {"message": "m"}}, "{'message': 'm'}"),
        ({"type": "error", "error": "m"}, "m"),
        ({"type": "response.failed", "response": {"error": "m"}}, "m"),
    ],
)
def test_an_error_in_an_event_stream_is_one_for_ollama(error: Any, text: str) -> None:
    got = sse(b"data: {}\n\n", event(error), b"data: [DONE]\n\n")
    assert got.ends[Layer.OLLAMA] == ExpectedEnd(ExpectedEndKind.ERROR, Cause.IN_BAND, text)
    assert got.due[Layer.OLLAMA] == 1


@pytest.mark.parametrize("after", [b"data: {}\n\n", b"data: [DONE]\n\n"])
def test_after_an_end_nothing_should_come(after: bytes) -> None:
    got = sse(event(FINISH), b"data: [DONE]\n\n", after)
    assert got.ends[Layer.OLLAMA] == ExpectedEnd(ExpectedEndKind.ERROR, Cause.AFTER_TERMINAL_RECORD, either=True)
    assert (got.due[Layer.OLLAMA], got.ends[Layer.HTTP]) == (1, COMPLETE)


def test_a_usage_chunk_after_the_finish_reason_is_right() -> None:
    assert both(sse(event(FINISH), event({"choices": [], "usage": {}}), b"data: [DONE]\n\n")) == COMPLETE


def test_an_http_library_yields_each_event_as_text() -> None:
    got = sse(b"event: x\r\n: hi\r\ndata: {\r\n\r\n", b": hi\n\n", b"data: [DONE]\n\n", as_events=True)
    assert (got.records, got.ends[Layer.HTTP]) == (("event: x\ndata: {", "data: [DONE]"), COMPLETE)
    assert sse(b"data: \xff\n\n", as_events=True).records == ("data: \ufffd",)


# ---------------------------------------------------------------------------------------------- head, framing


@pytest.mark.parametrize("status", [300, 301, 307, 400, 404, 500, 502, 999])
def test_a_status_from_300_on_is_an_error_whatever_the_body_says(status: int) -> None:
    got = reference(stream(HELLO, DONE, status=status))
    assert (got.records, both(got)) == ((), ExpectedEnd(ExpectedEndKind.ERROR, Cause.STATUS, str(status)))


@pytest.mark.parametrize("how", ENDS_OF_A_CUT)
def test_a_status_is_an_error_however_the_connection_ends(how: ConnectionEnd) -> None:
    script = stream(HELLO, status=500).cut(1, how)
    assert both(reference(script)).cause is Cause.STATUS


@pytest.mark.parametrize("changes", [{"method": "HEAD"}, {"status": 204}])
@pytest.mark.parametrize("headers", [(), (("Content-Type", JSON), ("Content-Length", "9"))])
def test_answers_without_a_body_are_complete(changes: dict[str, Any], headers: tuple[tuple[str, str], ...]) -> None:
    got = reference(Script.from_recording(recording(headers=headers, **changes)))
    assert (got.records, both(got)) == ((), COMPLETE)


def test_an_answer_to_head_is_complete_even_if_it_announces_a_stream() -> None:
    assert both(seen(message(b"", *CHUNKED), method="HEAD")) == COMPLETE


@pytest.mark.parametrize("how", [ConnectionEnd.CLOSE, ConnectionEnd.HALF_CLOSE])
def test_a_body_that_the_connection_ends_is_complete_at_a_fin(how: ConnectionEnd) -> None:
    wire = message(line(HELLO) + line(DONE), CHUNKED[0])
    assert (seen(wire, how).records, both(seen(wire, how))) == ((HELLO, DONE), COMPLETE)


def test_a_body_that_the_connection_ends_is_not_complete_otherwise() -> None:
    wire = message(line(HELLO), CHUNKED[0])
    assert both(seen(wire, ConnectionEnd.RESET)).cause is Cause.RST
    assert both(seen(wire, ConnectionEnd.HOLD)) == SILENT


@pytest.mark.parametrize("how", ENDS_OF_A_CUT)
def test_a_message_that_is_whole_is_complete_however_the_connection_ends(how: ConnectionEnd) -> None:
    script = stream(HELLO, DONE)
    assert both(reference(replace(script, ending=replace(script.ending, how=how)))) == COMPLETE


@pytest.mark.parametrize("how", ENDS_OF_A_CUT)
@pytest.mark.parametrize("wire", [b"", b"HTTP/1.1 200 OK\r\nContent-"])
def test_without_a_whole_head_there_is_nothing_but_the_end(wire: bytes, how: ConnectionEnd) -> None:
    got = seen(wire, how)
    assert (got.records, both(got)) == ((), ENDS_OF_A_CUT[how])


@pytest.mark.parametrize(
    "wire",
    [
        b"garbage\r\n\r\n",
        message(b"", "no colon"),
        message(b"12345", "Content-Length: five"),
        message(b"12345", "Content-Length: 5", "Content-Length: 4"),
        message(b"", "Transfer-Encoding: gzip"),
    ],
)
def test_a_broken_head_is_a_framing_error(wire: bytes) -> None:
    got = seen(wire, ConnectionEnd.CLOSE)
    assert (got.records, both(got).kind, both(got).cause) == ((), ExpectedEndKind.ERROR, Cause.FRAMING)
    assert "RFC 9112" in both(got).detail


@pytest.mark.parametrize("how", ENDS_OF_A_CUT)
def test_a_broken_chunk_is_a_framing_error_after_the_records_before_it(how: ConnectionEnd) -> None:
    body = line(HELLO)
    got = seen(message(b"%x\r\n%b\r\nzz\r\n" % (len(body), body), *CHUNKED), how)
    assert (got.records, both(got).cause) == ((HELLO,), Cause.FRAMING)
    assert "not a chunk size" in both(got).detail


def test_raw_bytes_among_chunks_are_a_framing_error() -> None:
    assert both(reference(stream(HELLO, DONE).insert(2, Raw(b"garbage\r\n")))).cause is Cause.FRAMING


@pytest.mark.parametrize("status", ["100 Continue", "103 Early Hints"])
def test_informational_answers_are_skipped(status: str) -> None:
    interim = message(b"", "Link: x", status=status)
    assert seen(interim * 2 + chunked(line(DONE))) == seen(chunked(line(DONE)))
    assert both(seen(interim, ConnectionEnd.CLOSE)) == TRUNCATED


def test_a_length_beside_chunks_may_be_refused_or_passed_over() -> None:
    """RFC 9112 section 6.3: chunks override the length, and the message ought to be handled as an error."""
    body = chunked(line(DONE)).partition(b"\r\n\r\n")[2]
    both_lengths = message(body, *CHUNKED, "Content-Length: 5")
    found = seen(both_lengths)
    assert both(found) == ExpectedEnd(ExpectedEndKind.COMPLETE, Cause.TWO_LENGTHS, either=True)
    assert found.records == (DONE,)
    assert both(seen(message(body, *CHUNKED))) == COMPLETE
    assert seen(both_lengths[:-5], ConnectionEnd.CLOSE).ends[Layer.HTTP] == TRUNCATED


@pytest.mark.parametrize("text", [r"\ud83d", r"\udc00x", r"a\ud83d\ud83d\ude00"])
def test_half_a_surrogate_pair_may_be_yielded_or_refused(text: str) -> None:
    said = b'{"response":"%b","done":true}\n' % text.encode()
    found = seen(chunked(said))
    assert both(found) == ExpectedEnd(ExpectedEndKind.COMPLETE, Cause.LONE_SURROGATE, either=True)
    assert found.records == (parse_json(said),)


@pytest.mark.parametrize("text", [r"\ud83d\ude00", r"\\ud83d", r"\u00e9", "plain"])
def test_a_whole_surrogate_pair_is_a_character_like_any(text: str) -> None:
    assert both(seen(chunked(b'{"response":"%b","done":true}\n' % text.encode()))) == COMPLETE


def test_what_follows_a_whole_message_is_not_looked_at() -> None:
    assert seen(chunked(line(DONE)) + b"HTTP/1.1 400 Bad Request\r\n\r\n") == seen(chunked(line(DONE)))


def test_the_date_decides_nothing() -> None:
    script = stream(HELLO, DONE)
    assert seen(script.render(date=DATE).wire) == reference(script)


# ---------------------------------------------------------------------------------------------- real recordings


def expected_end(one: Recording) -> ExpectedEnd:
    """What the meta file says of the end at HTTP's layer."""
    if one.response.status >= 300:
        return ExpectedEnd(ExpectedEndKind.ERROR, Cause.STATUS, str(one.response.status))
    return (
        COMPLETE
        if one.ended is RecordedEnd.COMPLETE
        else ENDS_OF_A_CUT[
            {
                RecordedEnd.EOF: ConnectionEnd.CLOSE,
                RecordedEnd.RESET: ConnectionEnd.RESET,
                RecordedEnd.TIMEOUT: ConnectionEnd.HOLD,
            }[one.ended]
        ]
    )


def check(one: Recording) -> None:
    got = reference(Script.from_recording(one))
    assert got.ends[Layer.HTTP] == expected_end(one)
    if one.response.status >= 300:
        assert got.records == ()
        return
    if one.response.media_type == NDJSON:
        lines = [part for part in one.body.split(b"\n") if part]
        assert list(got.records) == [parse_json(part) for part in lines]
    end = got.ends[Layer.OLLAMA]
    errors = [record["error"] for record in got.records if isinstance(record, dict) and record.get("error")]
    if errors and one.response.media_type == NDJSON:
        assert end == ExpectedEnd(ExpectedEndKind.ERROR, Cause.IN_BAND, errors[0])
    elif one.ended is RecordedEnd.COMPLETE:
        died = one.intervention is not None and "killed" in one.name
        empty = one.response.media_type == NDJSON and not one.body  # images that no runner makes
        assert end == (UNFINISHED if died or empty else COMPLETE)
    else:
        assert end == got.ends[Layer.HTTP]


@pytest.mark.parametrize("version", [*LIBRARY.versions, "again/0.5.7", "again/0.32.15"])
def test_every_recording_is_what_its_meta_file_says(version: str) -> None:
    assert LIBRARY.of_version(version)
    for one in LIBRARY.of_version(version):
        try:
            check(one)
        except AssertionError as error:
            error.add_note(one.id)
            raise


@pytest.mark.parametrize("version", LIBRARY.versions)
def test_a_runner_that_is_killed_is_an_error_in_the_stream(version: str) -> None:
    for route in ("chat", "generate"):
        got = reference(Script.from_recording(LIBRARY.get(f"{version}/fault-runner-killed-{route}")))
        assert got.ends[Layer.HTTP] == COMPLETE
        assert got.ends[Layer.OLLAMA].cause is Cause.IN_BAND
        assert got.due[Layer.OLLAMA] == len(got.records) - 1 > 0


@pytest.mark.parametrize("version", LIBRARY.versions)
def test_a_server_that_is_killed_is_a_cut_after_some_records(version: str) -> None:
    for route in ("chat", "generate", "v1-chat"):
        got = reference(Script.from_recording(LIBRARY.get(f"{version}/fault-server-killed-{route}")))
        assert both(got) == TRUNCATED
        assert got.due == dict.fromkeys(Layer, len(got.records))
        assert got.records


@pytest.mark.parametrize(("read_timeout_s", "silent"), [(0.5, 0), (0.99, 0), (1.0, None), (2.0, None)])
def test_a_silence_is_one_that_is_longer_than_the_read_timeout(read_timeout_s: float, silent: int | None) -> None:
    assert first_silence(stream(HELLO, DONE).with_gap(1.0), read_timeout_s) == silent


def test_what_is_no_json_after_the_terminal_record_is_an_error_of_both_layers() -> None:
    got = seen(chunked(line(HELLO) + line(DONE) + b"{nonsense\n"))
    assert [end.cause for end in got.ends.values()] == [Cause.BAD_JSON] * 2
    assert [end.either for end in got.ends.values()] == [False] * 2


@pytest.mark.parametrize(("how", "cause"), [(ConnectionEnd.RESET, Cause.RST), (ConnectionEnd.CLOSE, Cause.FIN)])
def test_a_compressed_answer_that_the_connection_cuts_is_cut_by_the_connection(
    how: ConnectionEnd, cause: Cause
) -> None:
    packed = gzip.compress(line(HELLO) + line(DONE))
    head = (f"Content-Type: {NDJSON}", "Content-Encoding: gzip", f"Content-Length: {len(packed)}")
    assert seen(message(packed[:-4], *head), how).ends[Layer.HTTP].cause is cause
