from __future__ import annotations

import contextlib
import functools
import json
import re
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from builders import DATE, DONE, HELLO, JSON, SSE, WORLD, cuts, in_one_test, line, plain, recording, records, stream
from hypothesis import given
from hypothesis import strategies as st

from ollama_harness import faults
from ollama_harness.errors import FaultDoesNotApply
from ollama_harness.faults import (
    FAULTS,
    INTERMEDIARIES,
    PLACES,
    Fault,
    FaultKind,
    Place,
    add_trailers,
    after_chunk_data,
    after_chunk_size,
    after_head,
    after_record,
    append_bytes,
    apply,
    before_head,
    before_last_chunk,
    before_line_feed,
    begin_with,
    burst,
    close_after_answer,
    close_at,
    compress,
    count_body,
    delay_first_byte,
    delimit_by_close,
    drop_header,
    drop_last_chunk,
    drop_record,
    drop_terminal_record,
    duplicate_record,
    end_inside_record,
    error_line_after_record,
    half_close_at,
    insert_line,
    inside_character,
    inside_head,
    inside_last_chunk,
    inside_number,
    inside_record,
    inside_text,
    jitter,
    join_records,
    lengthen_record,
    lock_step,
    nest_record,
    pause_at,
    put_into_text,
    rechunk,
    replace_with,
    replace_with_error,
    resegment,
    reset_at,
    separate_lines_with,
    set_chunk_size,
    set_field,
    slow_records,
    stall_at,
    straddle_records,
    swap_records,
    throttle,
)
from ollama_harness.faults.editing import record_span
from ollama_harness.oracle.reference import Cause, ExpectedEnd, ExpectedEndKind, Layer, reference
from ollama_harness.recordings.recording import Frame, RecordedEnd
from ollama_harness.recordings.store import packaged_store
from ollama_harness.script.message_parts import Chunk, LastChunk
from ollama_harness.script.script import ConnectionEnd, Script

pytestmark = pytest.mark.same_everywhere

LIBRARY = packaged_store()
KINDS: list[FaultKind[Any]] = [*FAULTS.values(), *PLACES.values()]
NAMES = sorted(FAULTS)
COMPLETE = ExpectedEnd(ExpectedEndKind.COMPLETE, Cause.WHOLE)
TRUNCATED = ExpectedEnd(ExpectedEndKind.TRUNCATED, Cause.FIN)

CHAT = Script.from_recording(LIBRARY.get(f"{LIBRARY.newest}/chat-stream"))
GENERATE = Script.from_recording(LIBRARY.get(f"{LIBRARY.newest}/generate-stream"))
#: The same records, but cut into chunks that know nothing of them; and all in one chunk, together with the head.
RECHUNKED = Script.from_recording(recording(*(CHAT.body[i : i + 50] for i in range(0, len(CHAT.body), 50))))
ONE_CHUNK = Script.from_recording(recording(CHAT.body)).at_speed(0)
SCRIPTS = [pytest.param(CHAT, id="chat"), pytest.param(GENERATE, id="generate")]
STREAMS = [*SCRIPTS, pytest.param(RECHUNKED, id="rechunked"), pytest.param(ONE_CHUNK, id="one-chunk")]


def example(name: str) -> Fault:
    return FAULTS[name].make(*FAULTS[name].example)


def played(kind: FaultKind[Any], other: str = "chat-stream") -> Script:
    """The script that the example of a fault or place strikes."""
    return Script.from_recording(LIBRARY.get(f"{LIBRARY.newest}/{kind.plays or other}"))


def wire(script: Script) -> bytes:
    return script.render(date=DATE).wire


def struck_or_same(fault: Fault, script: Script) -> Script:
    """What a fault makes of a script: the same if it says that it does not apply, as where all is cut in that way."""
    try:
        return fault(script)
    except FaultDoesNotApply:
        return script


def times(script: Script) -> list[float]:
    return [send.at_s for send in script.segments] + [script.ending.at_s]


def count(script: Script) -> int:
    return len(script.record_ends())


def all_records(script: Script) -> tuple[Any, ...]:
    return reference(script).records


def both(end: ExpectedEnd, *, whole: bool) -> dict[Layer, ExpectedEnd]:
    """The end at both layers; if all records have come, Ollama's has nothing to miss, and either is right."""
    return {Layer.HTTP: end, Layer.OLLAMA: replace(end, either=whole)}


@functools.cache
@functools.cache
def real_scripts() -> list[Script]:
    return [Script.from_recording(one) for one in LIBRARY.of_version(LIBRARY.newest) if len(one.body) < 5_000]


# ------------------------------------------------------------------------------------------- what a fault is


@in_one_test("kind", KINDS)
def test_each_fault_and_place_says_what_it_is(kind: FaultKind[Any]) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z0-9]+)*", kind.name)
    assert re.fullmatch(r"[A-Z].*\.", kind.summary)
    assert getattr(faults, kind.name) is kind.make
    assert kind.group in ("disconnects", "head", "picky", "content", "events", "framing", "timing", "places")


@pytest.mark.parametrize("kind", PLACES.values(), ids=lambda kind: kind.name)
def test_each_place_splits_a_script_and_changes_no_byte(kind: FaultKind[Place]) -> None:
    script = played(kind)
    split, index = kind.make(*kind.example).split(script)
    assert wire(split) == wire(script)
    assert 0 <= index <= len(split.segments)
    assert times(split) == sorted(times(split))


@in_one_test("name recorded", product(NAMES, ["chat-stream", "generate-stream"]))
def test_each_example_strikes_a_plain_stream_and_leaves_the_original_alone(name: str, recorded: str) -> None:
    script = played(FAULTS[name], recorded)
    before = replace(script, segments=tuple(replace(send) for send in script.segments))
    fault = example(name)
    struck = fault(script)
    assert struck != script
    assert script == before
    assert fault(script) == struck == example(name)(script), "the same each time"


KEEP_EVERY_BYTE = {kind.name for kind in FAULTS.values() if kind.group == "timing"} - {"stall_at"} | {"resegment"}


@in_one_test("name", NAMES)
def test_each_fault_changes_what_is_sent_or_when_or_how_it_ends(name: str) -> None:
    script = played(FAULTS[name])
    struck = example(name)(script)
    before, after = script.render(date=DATE), struck.render(date=DATE)
    assert (before.segments, before.ending, script.awaits_request, script.conditions) != (
        after.segments,
        after.ending,
        struck.awaits_request,
        struck.conditions,
    )
    kept = ("close_after_answer", "reset_after_answer", *KEEP_EVERY_BYTE)
    assert before.wire != after.wire or name in kept or struck.conditions


@in_one_test("name", NAMES)
def test_each_fault_strikes_every_recording_or_says_that_it_does_not(name: str) -> None:
    struck = []
    for script in real_scripts():
        with contextlib.suppress(FaultDoesNotApply):
            struck.append(times(example(name)(script)))
    assert struck, "it strikes one of them at least"
    assert [each for each in struck if each != sorted(each)] == []


SINGLE = plain(line(DONE))
SINGLE_WITHOUT_LF = plain(line(DONE).rstrip())
EMPTY = plain(b"")
EVENTS = Script.from_recording(recording(b"data: {}\n\n", media_type=SSE))
CUT_SHORT = stream(HELLO, WORLD, ended=RecordedEnd.EOF)
HALF = Script.from_recording(recording(line(HELLO), b'{"resp', ended=RecordedEnd.EOF))
AT_ONCE = CHAT.at_speed(0)
HEADLESS = replace(CHAT, segments=CHAT.segments[1:])
NOTHING = replace(CHAT, segments=())


@pytest.mark.parametrize(
    ("fault", "script", "why"),
    [
        *(
            (make(n), script, f"there is no record {n}")
            for make in (
                lambda n: close_at(after_record(n)),
                lambda n: close_at(inside_record(n)),
                lambda n: reset_at(after_record(n)),
                lambda n: stall_at(after_record(n)),
                lambda n: pause_at(before_line_feed(n), 1),
            )
            for n, script in (
                (0, CHAT),
                (count(CHAT) + 1, CHAT),
                (-count(CHAT) - 1, CHAT),
                (1, EMPTY),
                (1, HEADLESS),
                (1, NOTHING),
            )
        ),
        (close_at(after_record(2)), close_at(after_record(2))(CHAT), "changes nothing"),
        (reset_at(after_record(2)), reset_at(after_record(2))(CHAT), "changes nothing"),
        (stall_at(after_record(2)), stall_at(after_record(2))(CHAT), "changes nothing"),
        (delay_first_byte(0), CHAT, "changes nothing"),
        (delay_first_byte(-1), CHAT, "is no pause: give 0 or more"),
        (delay_first_byte(1), NOTHING, "sends nothing"),
        (slow_records(-0.1), CHAT, "is no pause: give 0 or more"),
        (slow_records(0), AT_ONCE, "changes nothing"),
        (slow_records(1), replace(CHAT, segments=CHAT.segments[:1]), "at once"),
        (slow_records(0.1), slow_records(0.1)(CHAT), "changes nothing"),
        (drop_terminal_record(), SINGLE, "no stream with a terminal record"),
        (drop_terminal_record(), CUT_SHORT, "no stream with a terminal record"),
        (drop_terminal_record(), drop_terminal_record()(CHAT), "no stream with a terminal record"),
        (drop_terminal_record(), NOTHING, "no stream with a terminal record"),
        (error_line_after_record(1), SINGLE, "in one piece: an error in its place has a status"),
        (error_line_after_record(1), EVENTS, "changes nothing"),
        (error_line_after_record(1, goes_on=True), EVENTS, "ends in the place of an error"),
        (error_line_after_record(1, line_feed=False), EVENTS, "ends in the place of an error"),
        (error_line_after_record(1), NOTHING, "this script sends none"),
        (error_line_after_record(1), CUT_SHORT, "does not end cleanly"),
        (error_line_after_record(99), CHAT, "there is no record 99"),
        (insert_line(99, "x"), CHAT, "there is no record 99"),
        (swap_records(-1), CHAT, "no record follows"),
        (put_into_text(-1, b"x"), CHAT, "has no text"),
        (set_field(1, "missing", "1"), CHAT, "has no field 'missing'"),
        (set_field(1, "content", "1"), CHAT, "has no field 'content'; it has message.content"),
        (drop_record(3), resegment(5)(CHAT), "this script sends none"),
        (duplicate_record(1), close_at(inside_record(30))(CHAT), "does not end cleanly"),
        (replace_with("nginx-502"), NOTHING, "no head"),
        (replace_with("nginx-502"), replace_with("nginx-502")(CHAT), "changes nothing"),
        (replace_with("apache"), CHAT, "there is no answer 'apache'"),
        (drop_header("Server"), CHAT, "no Server"),
        (stall_at(before_last_chunk()), SINGLE, "no last chunk"),
        (close_at(after_chunk_size(99)), CHAT, "no chunk 99"),
        (close_at(after_chunk_size(1)), SINGLE, "no chunk 1"),
        (close_at(inside_number(1)), CHAT, "has no number"),
        (close_at(inside_text(-1)), CHAT, "has no text"),
        (close_at(inside_character()), CHAT, "all ASCII"),
        (close_after_answer(), close_at(after_record(1))(CHAT), "does not keep the connection open"),
        (drop_last_chunk(), SINGLE, "no last chunk"),
        (rechunk(1), SINGLE, "sends no chunks"),
        (straddle_records(5), SINGLE, "sends no chunks"),
        (rechunk(0), CHAT, "0 is too few"),
        (join_records(0), CHAT, "0 is too few"),
        (resegment(0), CHAT, "0 is too few"),
        (set_chunk_size(0, "1"), CHAT, "there is no chunk 0"),
        (throttle(0), CHAT, "is too slow"),
        (burst(-1), CHAT, "is no pause: give 0 or more"),
        (jitter(-1, 1), CHAT, "is no pause: give 0 or more"),
        (lock_step(), SINGLE, "fewer than two records"),
        (compress(), EMPTY, "no body"),
        (append_bytes(b"x"), NOTHING, "sends nothing"),
        (close_at(before_line_feed(1)), SINGLE_WITHOUT_LF, "no line feed"),
        (close_at(after_record(3)), pause_at(inside_record(3), 0.1)(CHAT), "there is no record 3"),
        (delimit_by_close(), resegment(200)(CHAT), "sends no body"),
        (lock_step(), resegment(200)(CHAT), "fewer than two records"),
        (drop_record(3), set_chunk_size(3, "zz")(CHAT), "changed framing or pace"),
        (drop_record(3), faults.drop_chunk_end(3)(CHAT), "changed framing or pace"),
        (drop_record(3), faults.add_header("Content-Length", "5")(CHAT), "changed framing or pace"),
        (drop_record(3), lock_step()(CHAT), "changed framing or pace"),
        (count_body(), faults.inform(103)(CHAT), "changed framing or pace"),
        (burst(0.1), lock_step()(CHAT), "put lock_step() last"),
        (close_at(after_record(1)), compress()(CHAT), "there is no record 1"),
        (set_chunk_size(3, "{"), CHAT, "cannot be written"),
        (set_chunk_size(3, "{x}"), CHAT, "cannot be written"),
        (close_at(after_record(2)), set_chunk_size(1, "zz")(join_records(4)(CHAT)), "broken this chunk"),
    ],
    ids=lambda value: "" if isinstance(value, Script) else str(value),
)
def test_a_fault_without_a_place_to_strike_is_an_error(fault: Fault, script: Script, why: str) -> None:
    with pytest.raises(FaultDoesNotApply, match=re.escape(why)):
        fault(script)


#: These strike whatever there is, or is not.
SAY_NOTHING = {"refuse", "close_on_accept", "reset_on_accept", "never_read", "delay_end", "half_close_at"}


@pytest.mark.parametrize("name", sorted(set(NAMES) - SAY_NOTHING))
def test_each_fault_of_an_answer_has_a_script_that_it_does_not_strike(name: str) -> None:
    script = close_at(before_head())(NOTHING) if name != "close_at" else NOTHING
    with pytest.raises(FaultDoesNotApply):
        example(name)(replace(script, ending=close_at(before_head())(CHAT).ending))


@pytest.mark.parametrize(
    "fault",
    [close_at(after_record(1)), reset_at(after_record(1)), stall_at(after_record(1))],
    ids=lambda fault: fault.name,
)
def test_nothing_can_be_cut_after_the_record_of_a_single_answer(fault: Fault) -> None:
    """Its Content-Length makes the message whole with the last byte of the record: what follows cuts nothing."""
    with pytest.raises(FaultDoesNotApply):
        fault(SINGLE)


@pytest.mark.parametrize("fault", [reset_at(after_record(1)), stall_at(after_record(1))], ids=lambda fault: fault.name)
def test_a_body_that_only_the_connection_ends_can_break_after_its_last_record(fault: Fault) -> None:
    """It is not whole before the FIN comes (RFC 9112 section 6.3, rule 8)."""
    got = reference(fault(plain(line(DONE), length=False)))
    assert got.ends[Layer.HTTP].cause in (Cause.RST, Cause.SILENCE)


@pytest.mark.parametrize("script", [HALF, Script.from_recording(recording(line(HELLO), b"half", media_type=JSON))])
def test_a_body_that_is_no_json_has_no_terminal_record_to_drop(script: Script) -> None:
    with pytest.raises(FaultDoesNotApply):
        drop_terminal_record()(script)


# ---------------------------------------------------------------------------------------- values, composition


def test_faults_print_as_the_call_that_makes_them() -> None:
    assert str(close_at(after_record(3))) == "close_at(after_record(3))"
    assert str(drop_terminal_record()) == "drop_terminal_record()"
    assert str(replace_with("nginx-502")) == "replace_with('nginx-502')"
    assert str(error_line_after_record(2, "x")) == "error_line_after_record(2, error='x')"
    assert str(error_line_after_record(2)) == "error_line_after_record(2)"


@in_one_test("name", NAMES)
def test_what_a_fault_prints_makes_the_same_fault(name: str) -> None:
    fault = example(name)
    assert eval(str(fault), vars(faults)) == fault


def test_faults_are_equal_by_name_and_arguments() -> None:
    assert close_at(after_record(3)) == close_at(place=after_record(n=3))
    assert error_line_after_record(1, "a") == error_line_after_record(n=1, error="a")
    assert close_at(after_record(3)) != close_at(after_record(2))
    assert close_at(after_record(3)) != reset_at(after_record(3))


@pytest.mark.parametrize("arguments", [{}, {"m": 1}, {"n": 1, "m": 1}])
def test_wrong_arguments_are_refused_when_the_fault_is_made(arguments: dict[str, Any]) -> None:
    make: Callable[..., Fault] = duplicate_record
    with pytest.raises(TypeError):
        make(**arguments)


def test_faults_are_applied_in_order() -> None:
    assert apply(CHAT, ()) == CHAT
    both = apply(CHAT, [close_at(after_record(3)), delay_first_byte(0.5)])
    assert both == delay_first_byte(0.5)(close_at(after_record(3))(CHAT))
    assert reference(both) == reference(close_at(after_record(3))(CHAT))
    assert times(both)[0] == CHAT.segments[0].at_s + 0.5


def test_a_cut_after_an_error_line_leaves_both() -> None:
    both = apply(CHAT, [error_line_after_record(3, "boom"), close_at(after_record(4))])
    assert reference(both).ends == {
        Layer.HTTP: TRUNCATED,
        Layer.OLLAMA: ExpectedEnd(ExpectedEndKind.ERROR, Cause.IN_BAND, "boom"),
    }


def test_a_fault_whose_place_an_earlier_fault_removed_is_an_error() -> None:
    with pytest.raises(FaultDoesNotApply, match="there is no record 3: this script sends 2"):
        apply(CHAT, [close_at(after_record(2)), reset_at(after_record(3))])


# --------------------------------------------------------------------------------- what a perfect client sees


def edges(script: Script) -> list[int]:
    """The first records of a stream, one in the middle, and the last ones."""
    last = count(script)
    return sorted({1, 2, last // 2, last - 1, last})


each_record = in_one_test("script n", [(one.values[0], n) for one in STREAMS for n in edges(one.values[0])])


@each_record
def test_cut_after_each_record_leaves_exactly_that_many(script: Script, n: int) -> None:
    struck = close_at(after_record(n))(script)
    got = reference(struck)
    assert got.records == all_records(script)[:n]
    assert got.ends == both(TRUNCATED, whole=n == count(script))
    assert struck.ending.how is ConnectionEnd.CLOSE
    assert wire(script).startswith(wire(struck)) or script in (RECHUNKED, ONE_CHUNK)


@each_record
def test_cut_inside_each_record_leaves_those_before_it(script: Script, n: int) -> None:
    struck = close_at(inside_record(n))(script)
    got = reference(struck)
    assert got.records == all_records(script)[: n - 1]
    assert got.ends == dict.fromkeys(Layer, TRUNCATED)
    assert wire(script).startswith(wire(struck)), "the chunk still announces what it no longer brings"
    assert wire(struck) != wire(close_at(after_record(n - 1))(script) if n > 1 else script)


@each_record
def test_reset_after_each_record_is_an_error_after_exactly_that_many(script: Script, n: int) -> None:
    struck = reset_at(after_record(n))(script)
    got = reference(struck)
    assert got.records == all_records(script)[:n]
    assert got.ends == both(ExpectedEnd(ExpectedEndKind.ERROR, Cause.RST), whole=n == count(script))
    assert wire(struck) == wire(close_at(after_record(n))(script))


@each_record
def test_stall_after_each_record_never_ends(script: Script, n: int) -> None:
    struck = stall_at(after_record(n))(script)
    got = reference(struck)
    assert got.records == all_records(script)[:n]
    assert got.ends == both(ExpectedEnd(ExpectedEndKind.OPEN, Cause.SILENCE), whole=n == count(script))
    assert struck.ending.how is ConnectionEnd.HOLD


@each_record
def test_an_error_line_after_each_record_ends_the_stream_with_its_text(script: Script, n: int) -> None:
    struck = error_line_after_record(n, "boom")(script)
    got = reference(struck)
    assert got.records == (*all_records(script)[:n], {"error": "boom"})
    assert got.ends[Layer.HTTP] == COMPLETE
    assert struck.ending == script.ending
    if n < count(script):
        assert got.ends[Layer.OLLAMA] == ExpectedEnd(ExpectedEndKind.ERROR, Cause.IN_BAND, "boom")
        assert got.due[Layer.OLLAMA] == n


@pytest.mark.parametrize("text", ["", "a\nb", 'quotes " and \\', "ü \u0085 \u2028 🦙"])
def test_the_text_of_an_error_line_may_be_any(text: str) -> None:
    assert reference(error_line_after_record(2, text)(CHAT)).records[2] == {"error": text}


def test_an_error_line_is_a_chunk_of_its_own_like_ollamas() -> None:
    real = LIBRARY.get(f"{LIBRARY.newest}/fault-runner-killed-chat")
    struck = error_line_after_record(3)(CHAT)
    assert struck.segments[-2].parts == (Chunk(real.frames[-1].data),)
    assert struck.segments[-1].parts == (LastChunk(),)


KILLED = [id_ for id_ in LIBRARY.ids if "/fault-runner-killed-v1-" in id_ and LIBRARY.get(id_).suffix == ".sse"]
REFUSED = [id_ for id_ in LIBRARY.ids if re.search(r"/(error|v1(-\w+)?-error)-.*model-not-found$", id_)]
REFUSED = [id_ for id_ in REFUSED if LIBRARY.get(id_).suffix == ".json"]


def unknown(body: bytes) -> bytes:
    """A body without its times and ids."""
    return re.sub(rb'(?<="created":)\d+|(?<="request_id":"req_)\w+', b"", body)


@pytest.mark.parametrize("id_", KILLED)
def test_in_a_stream_of_events_an_error_is_what_ollama_sends_there(id_: str) -> None:
    real = LIBRARY.get(id_)
    says_nothing = '"model":""' in real.frames[-1].data.decode()
    kept = replace(real, frames=real.frames[:-1] if says_nothing else real.frames)
    after = Frame(at_s=real.ended_at_s, data=b"data: {}\n\n")
    script = Script.from_recording(replace(kept, frames=(*kept.frames, after)))
    struck = error_line_after_record(-2, "its text is nowhere")(script)
    assert unknown(struck.body) == unknown(real.body)
    assert struck.segments[-1].parts == (LastChunk(),)
    assert says_nothing == bool(re.search("v1-(chat|completions)", id_))


@pytest.mark.parametrize("id_", REFUSED)
def test_a_refusal_has_the_shape_of_its_route(id_: str) -> None:
    """Whatever a recording of the route holds, an error in its place is what Ollama sends there."""
    real = LIBRARY.get(id_)
    value = json.loads(real.body)["error"]
    message = value if isinstance(value, str) else value["message"]
    answer = Script.from_recording(replace(real, response=replace(real.response, status=200, reason="OK")))
    struck = replace_with_error(404, message)(answer)
    assert struck.head is not None
    assert unknown(struck.body) == unknown(real.body)
    assert [pair for pair in struck.head.headers if pair[0] != "Date"] == [
        pair for pair in real.response.headers if pair[0] != "Date"
    ]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
def test_an_error_that_is_no_text_is_sent_as_it_is(path: str) -> None:
    script = Script.from_recording(recording(b"{}", media_type="application/json", path=path))
    assert json.loads(replace_with_error(500, {"code": 1})(script).body) == {"error": {"code": 1}}
    assert replace_with_error(500, None)(script).body == b""


@pytest.mark.parametrize("script", STREAMS)
def test_without_its_terminal_record_a_stream_is_complete_for_http_only(script: Script) -> None:
    struck = drop_terminal_record()(script)
    got = reference(struck)
    assert got.records == all_records(script)[:-1]
    assert got.ends == {
        Layer.HTTP: COMPLETE,
        Layer.OLLAMA: ExpectedEnd(ExpectedEndKind.TRUNCATED, Cause.NO_TERMINAL_RECORD),
    }
    assert struck.ending == script.ending


@pytest.mark.parametrize("name", ["pull-stream", "v1-chat-stream", "v1-messages-stream", "v1-responses-stream"])
def test_every_kind_of_stream_has_a_terminal_record_to_drop(name: str) -> None:
    script = Script.from_recording(LIBRARY.get(f"{LIBRARY.newest}/{name}"))
    got = reference(drop_terminal_record()(script))
    assert got.records == all_records(script)[: len(got.records)]
    assert len(all_records(script)) - len(got.records) == (0 if "responses" in name else 1)
    assert got.ends[Layer.OLLAMA].cause is Cause.NO_TERMINAL_RECORD


@pytest.mark.parametrize("name", INTERMEDIARIES)
def test_another_answers_with_a_whole_message_in_ollamas_place(name: str) -> None:
    struck = replace_with(name)(CHAT)
    assert struck.head is not None
    status = struck.head.status
    ends = reference(struck).ends
    assert ends[Layer.HTTP] == (
        ExpectedEnd(ExpectedEndKind.ERROR, Cause.STATUS, str(status)) if status >= 300 else COMPLETE
    )
    assert struck.head.header("content-length") == str(len(struck.body))
    assert len(struck.segments) == 1
    assert b'"model"' not in wire(struck)


def test_a_replaced_answer_to_head_has_no_body() -> None:
    assert replace_with("nginx-502")(plain(b"", method="HEAD")).body == b""


@pytest.mark.parametrize("script", STREAMS)
def test_a_delayed_first_byte_delays_everything_by_as_much(script: Script) -> None:
    struck = delay_first_byte(1.5)(script)
    assert times(struck) == [at_s + 1.5 for at_s in times(script)]
    assert wire(struck) == wire(script)
    assert reference(struck) == reference(script)


@pytest.mark.parametrize("script", STREAMS)
def test_slow_records_are_the_same_bytes_one_gap_apart(script: Script) -> None:
    struck = slow_records(0.25)(script)
    assert times(struck) == pytest.approx([script.segments[0].at_s + 0.25 * i for i in range(len(script.segments) + 1)])
    assert [send.parts for send in struck.segments] == [send.parts for send in script.segments]
    assert struck.ending.how is script.ending.how


# ------------------------------------------------------------------------------------------------ any stream


def without_meaning(record: dict[str, Any]) -> dict[str, Any]:
    """A record that neither ends a stream nor says that it went wrong."""
    return {name: value for name, value in record.items() if name not in ("done", "status", "error")}


@st.composite
def streams(draw: st.DrawFn) -> Script:
    """Streams of any records, cut into chunks in any way, that end with `done` and nothing terminal before it."""
    middle = draw(st.lists(records.map(without_meaning), max_size=4))
    body = b"".join(map(line, [*middle, DONE]))
    return Script.from_recording(recording(*draw(cuts(body))))


@given(streams(), st.data())
def test_faults_at_a_record_count_records_and_not_chunks(script: Script, data: st.DataObject) -> None:
    n = data.draw(st.integers(1, count(script)))
    sent = all_records(script)
    assert len(sent) == count(script)
    start, end = record_span(script, n)
    assert json.loads(script.body[start:end]) == sent[n - 1]
    for what in (close_at, reset_at, stall_at):
        struck = what(after_record(n))(script)
        assert reference(struck).records == sent[:n]
        assert struck.body == script.body[:end]
        assert times(struck) == sorted(times(struck))
        assert times(struck)[-1] <= times(script)[-1]
    assert reference(close_at(inside_record(n))(script)).records == sent[: n - 1]
    assert reference(error_line_after_record(n)(script)).records[:-1] == sent[:n]
    assert reference(drop_terminal_record()(script)).records == sent[:-1]


@given(streams(), st.floats(0, 10), st.floats(0, 10))
def test_faults_of_time_change_no_byte(script: Script, delay_s: float, gap_s: float) -> None:
    for fault in (delay_first_byte(delay_s), slow_records(gap_s)):
        struck = struck_or_same(fault, script)
        assert wire(struck) == wire(script)
        assert times(struck) == sorted(times(struck))
        assert reference(struck) == reference(script)


@given(streams(), st.integers(1, 50), st.integers(1, 50))
def test_how_any_stream_is_cut_means_nothing(script: Script, a: int, b: int) -> None:
    for fault in (rechunk(a), join_records(a), resegment(a), straddle_records(a)):
        struck = struck_or_same(fault, script)
        assert reference(struck) == reference(script)
        assert reference(struck_or_same(resegment(b), struck)) == reference(script)


@in_one_test("name", NAMES)
def test_any_two_faults_can_be_put_together_or_say_that_they_cannot(name: str) -> None:
    plain_script = stream(HELLO, WORLD, {**HELLO, "a": 1}, WORLD, {**DONE, "count": 17}).at_speed(0)
    first = example(name)(played(FAULTS[name]) if FAULTS[name].plays else plain_script)
    both_struck = []
    for other in NAMES:
        try:
            struck = example(other)(first)
        except FaultDoesNotApply:
            continue
        both_struck.append(other)
        assert struck != first
        assert times(struck) == sorted(times(struck))
        got = reference(struck, media_type="application/x-ndjson")
        assert got.due[Layer.HTTP] <= len(got.records)
    assert both_struck, "one other fault can come after it at least"


# ------------------------------------------------------------------------------------ what each of them does


def test_places_cut_exactly_where_they_say() -> None:
    """Literally, once, on a stream of two records."""
    script = stream(HELLO, {**DONE, "count": 17})
    first, second = line(HELLO), line({**DONE, "count": 17})
    head = wire(script).partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    one, two = b"%x\r\n%b\r\n" % (len(first), first), b"%x\r\n%b\r\n" % (len(second), second)
    number = two[: two.index(b":17") + 2]
    expected = [
        (before_head(), b""),
        (inside_head(), head[: len(head) // 2]),
        (after_head(), head),
        (after_record(1), head + one),
        (after_record(-1), head + one + two),
        (inside_record(1), head + one[: one.index(b"\n") + 1 + len(first) // 2]),
        (inside_text(1), head + one[: one.index(b"Hello") + 4]),
        (inside_number(2), head + one + number),
        (before_line_feed(1), head + one[:-3]),
        (after_chunk_size(2), head + one + two[: two.index(b"\n") + 1]),
        (after_chunk_data(1), head + one[:-2]),
        (before_last_chunk(), head + one + two),
        (inside_last_chunk(), head + one + two + b"0\r\n"),
    ]
    assert [(place, wire(close_at(place)(script))) for place, _ in expected] == expected


def test_a_cut_inside_a_character_leaves_half_of_it() -> None:
    script = stream({"response": "größer", "done": True})
    assert wire(close_at(inside_character())(script)).endswith(b"gr" + b"\xc3")


@pytest.mark.parametrize(
    ("what", "end"),
    [
        (close_at, TRUNCATED),
        (half_close_at, TRUNCATED),
        (reset_at, ExpectedEnd(ExpectedEndKind.ERROR, Cause.RST)),
        (stall_at, ExpectedEnd(ExpectedEndKind.OPEN, Cause.SILENCE)),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
@pytest.mark.parametrize("kind", PLACES.values(), ids=lambda kind: kind.name)
def test_whatever_ends_at_a_place_shows_to_a_perfect_client(
    kind: FaultKind[Place], what: Any, end: ExpectedEnd
) -> None:
    script = played(kind)
    assert reference(what(kind.make(*kind.example))(script)).ends[Layer.HTTP] == end


@pytest.mark.parametrize(
    "fault",
    [rechunk(1), rechunk(7), join_records(4), join_records(1000), straddle_records(20), resegment(1), resegment(100)],
    ids=str,
)
@pytest.mark.parametrize("script", SCRIPTS)
def test_how_the_body_is_cut_means_nothing(script: Script, fault: Fault) -> None:
    struck = fault(script)
    assert reference(struck) == reference(script)
    assert times(struck) == sorted(times(struck))
    if "segment" in fault.name:
        assert wire(struck) == wire(script)
        assert {len(segment.data) for segment in struck.render(date=DATE).segments[:-1]} <= {*range(1, 101)}


@pytest.mark.parametrize(
    "fault",
    [
        delimit_by_close(),
        count_body(),
        compress(),
        add_trailers(),
        set_chunk_size(3, "0{size:X}"),
        set_chunk_size(3, '000{size:x};a="b"'),
        append_bytes(b"more"),
        separate_lines_with(b"\r\n"),
        drop_header("Date"),
        lock_step(),
        faults.inform(103),
    ],
    ids=str,
)
@pytest.mark.parametrize("script", SCRIPTS)
def test_what_is_odd_but_allowed_is_the_same_to_a_perfect_client(script: Script, fault: Fault) -> None:
    struck = fault(script)
    assert wire(struck) != wire(script) or fault.name == "lock_step"
    assert reference(struck) == reference(script)


@pytest.mark.parametrize(
    ("fault", "end"),
    [
        (set_chunk_size(3, "zz"), ExpectedEnd(ExpectedEndKind.ERROR, Cause.FRAMING)),
        (set_chunk_size(3, "-{size:x}"), ExpectedEnd(ExpectedEndKind.ERROR, Cause.FRAMING)),
        (set_chunk_size(3, "+{size:x}"), ExpectedEnd(ExpectedEndKind.ERROR, Cause.FRAMING)),
        (set_chunk_size(3, "0x{size:x}"), ExpectedEnd(ExpectedEndKind.ERROR, Cause.FRAMING)),
        (set_chunk_size(3, "0_{size:x}"), ExpectedEnd(ExpectedEndKind.ERROR, Cause.FRAMING)),
        (set_chunk_size(3, "{size:x}", off_by=-2), ExpectedEnd(ExpectedEndKind.ERROR, Cause.FRAMING)),
        (faults.drop_chunk_end(3), ExpectedEnd(ExpectedEndKind.ERROR, Cause.FRAMING)),
        (drop_last_chunk(), ExpectedEnd(ExpectedEndKind.OPEN, Cause.SILENCE)),
        (count_body(off_by=10), ExpectedEnd(ExpectedEndKind.OPEN, Cause.SILENCE)),
        (count_body(off_by=-10), ExpectedEnd(ExpectedEndKind.ERROR, Cause.BAD_JSON)),
        (compress(whole=False), ExpectedEnd(ExpectedEndKind.TRUNCATED, Cause.CODING)),
        (faults.set_header("Content-Encoding", "gzip"), ExpectedEnd(ExpectedEndKind.ERROR, Cause.CODING)),
        (faults.set_header("Content-Encoding", "br"), ExpectedEnd(ExpectedEndKind.ERROR, Cause.CODING)),
        (faults.replace_status_line("HTTP/1.1 abc OK"), ExpectedEnd(ExpectedEndKind.ERROR, Cause.FRAMING)),
        (replace_with_error(503), ExpectedEnd(ExpectedEndKind.ERROR, Cause.STATUS)),
        (faults.replace_with_text("[]"), ExpectedEnd(ExpectedEndKind.ERROR, Cause.STATUS)),
        (faults.refuse(), ExpectedEnd(ExpectedEndKind.ERROR, Cause.REFUSED)),
        (faults.close_on_accept(), TRUNCATED),
        (faults.never_read(), ExpectedEnd(ExpectedEndKind.OPEN, Cause.SILENCE)),
        (end_inside_record(3), ExpectedEnd(ExpectedEndKind.ERROR, Cause.BAD_JSON)),
        (insert_line(3, "<html>"), ExpectedEnd(ExpectedEndKind.ERROR, Cause.BAD_JSON)),
        (separate_lines_with(b"\r"), ExpectedEnd(ExpectedEndKind.ERROR, Cause.BAD_JSON)),
        (put_into_text(3, b"\xff"), ExpectedEnd(ExpectedEndKind.ERROR, Cause.BAD_JSON)),
        (put_into_text(3, b"\x00"), ExpectedEnd(ExpectedEndKind.ERROR, Cause.BAD_JSON)),
        (begin_with(b"\xef\xbb\xbf"), ExpectedEnd(ExpectedEndKind.COMPLETE, Cause.BYTE_ORDER_MARK, either=True)),
    ],
    ids=str,
)
def test_what_is_wrong_is_wrong_to_a_perfect_client(fault: Fault, end: ExpectedEnd) -> None:
    got = reference(fault(CHAT)).ends[Layer.HTTP]
    assert replace(got, detail="") == end


@pytest.mark.parametrize(
    ("fault", "cause", "due"),
    [
        (error_line_after_record(3, {"code": 1}), Cause.IN_BAND, 3),
        (error_line_after_record(3, "x", goes_on=True), Cause.IN_BAND, 3),
        (error_line_after_record(3, "", line_feed=False), Cause.IN_BAND, 3),
        (insert_line(3, "null"), Cause.NO_OBJECT, 3),
        (insert_line(0, "[1]"), Cause.NO_OBJECT, 0),
        (duplicate_record(-1), Cause.AFTER_TERMINAL_RECORD, count(CHAT)),
        (swap_records(-2), Cause.AFTER_TERMINAL_RECORD, count(CHAT) - 1),
        (set_field(-1, "done", '"true"'), Cause.NO_TERMINAL_RECORD, count(CHAT)),
        (drop_record(-1), Cause.NO_TERMINAL_RECORD, count(CHAT) - 1),
    ],
    ids=str,
)
def test_what_is_wrong_for_ollama_only_is_whole_http(fault: Fault, cause: Cause, due: int) -> None:
    got = reference(fault(CHAT))
    assert got.ends[Layer.HTTP] == COMPLETE
    assert (got.ends[Layer.OLLAMA].cause, got.due[Layer.OLLAMA]) == (cause, due)


def test_content_is_changed_in_one_record_only() -> None:
    sent = all_records(CHAT)
    for fault in (put_into_text(3, "\u2028".encode()), lengthen_record(3, 1000), nest_record(3, 100)):
        got = all_records(fault(CHAT))
        assert [n for n, (a, b) in enumerate(zip(sent, got, strict=True), 1) if a != b] == [3]
    assert all_records(duplicate_record(3)(CHAT)) == (*sent[:3], *sent[2:])
    assert all_records(drop_record(3)(CHAT)) == (*sent[:2], *sent[3:])
    assert all_records(swap_records(3)(CHAT)) == (*sent[:2], sent[3], sent[2], *sent[4:])
    assert all_records(set_field(-1, "total_duration", '"long"')(CHAT))[-1]["total_duration"] == "long"
    assert all_records(faults.add_field(3, "new", "0.5")(CHAT))[2]["new"] == 0.5


def test_a_silence_longer_than_the_read_timeout_is_an_end() -> None:
    struck = pause_at(after_record(3), 2.0)(CHAT.at_speed(0))
    assert reference(struck, read_timeout_s=3.0) == reference(CHAT)
    got = reference(struck, read_timeout_s=1.0)
    assert got.ends[Layer.HTTP] == ExpectedEnd(ExpectedEndKind.OPEN, Cause.SILENCE)
    assert got.records == all_records(CHAT)[:3]


@pytest.mark.parametrize("script", SCRIPTS)
def test_faults_of_time_have_the_times_that_they_say(script: Script) -> None:
    still = script.at_speed(0)
    assert times(jitter(0.5, 1)(still)) == times(jitter(0.5, 1)(still)) != times(jitter(0.5, 2)(still))
    assert times(burst(0.5)(script)) == [script.segments[-1].at_s + 0.5] * 2
    paused = times(pause_at(after_record(3), 0.7)(still))
    assert (paused.count(0.0), paused.count(0.7)) == (3, len(paused) - 3)
    sizes = [len(segment.data) for segment in still.render(date=DATE).segments]
    assert times(throttle(100)(still)) == pytest.approx([sum(sizes[:k]) / 100 for k in range(len(sizes) + 1)])


def test_a_throttle_slows_down_and_never_speeds_up() -> None:
    """It waits for what would not have passed yet; what comes later by itself is left where it is."""
    script = CHAT.timed(lambda index, _: 0.0 if index < 6 else 1000.0 + index)
    before, after = times(script), times(throttle(100)(script))
    assert all(late >= early for early, late in zip(before, after, strict=True))
    assert after[1:6] > before[1:6]
    assert after[6:] == before[6:]


def test_in_lock_step_each_record_waits_for_the_one_before() -> None:
    awaits = [send.awaits for send in lock_step()(CHAT).segments]
    assert awaits == [*range(count(CHAT)), count(CHAT)], "the last chunk waits for the terminal record"
    across = lock_step()(straddle_records(20)(CHAT))
    assert reference(across) == reference(CHAT)
    assert max(send.awaits for send in across.segments) == count(CHAT)
