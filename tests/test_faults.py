from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from builders import DATE, DONE, HELLO, JSON, SSE, WORLD, cuts, line, plain, recording, records, stream
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import faults
from harness.errors import FaultDoesNotApply
from harness.faults import (
    REGISTRY,
    Fault,
    apply,
    cut_after_record,
    cut_inside_record,
    delay_first_byte,
    drop_terminal_record,
    error_line_after_record,
    replace_with_bad_gateway,
    reset_after_record,
    slow_records,
    stall_after_record,
)
from harness.faults.registry import record_span
from harness.library import Library
from harness.parts import Chunk, LastChunk, Raw
from harness.recording import Ended
from harness.reference import Cause, End, EndKind, Layer, reference
from harness.script import HowItEnds, Script

LIBRARY = Library()
NAMES = sorted(REGISTRY)
COMPLETE = End(EndKind.COMPLETE, Cause.WHOLE)
TRUNCATED = End(EndKind.TRUNCATED, Cause.FIN)

CHAT = Script.from_recording(LIBRARY.get(f"{LIBRARY.newest}/chat-stream"))
GENERATE = Script.from_recording(LIBRARY.get(f"{LIBRARY.newest}/generate-stream"))
#: The same records, but cut into chunks that know nothing of them; and all in one chunk, together with the head.
RECHUNKED = Script.from_recording(recording(*(CHAT.body[i : i + 50] for i in range(0, len(CHAT.body), 50))))
ONE_CHUNK = Script.from_recording(recording(CHAT.body)).at_speed(0)
SCRIPTS = [pytest.param(CHAT, id="chat"), pytest.param(GENERATE, id="generate")]
STREAMS = [*SCRIPTS, pytest.param(RECHUNKED, id="rechunked"), pytest.param(ONE_CHUNK, id="one-chunk")]


def example(name: str) -> Fault:
    return REGISTRY[name].make(**REGISTRY[name].example)


def wire(script: Script) -> bytes:
    return script.render(date=DATE).wire


def times(script: Script) -> list[float]:
    return [send.at_s for send in script.sends] + [script.ending.at_s]


def count(script: Script) -> int:
    return len(script.record_ends())


def all_records(script: Script) -> tuple[Any, ...]:
    return reference(script).records


@functools.cache
def real_scripts() -> list[Script]:
    return [Script.from_recording(one) for one in LIBRARY.of_version(LIBRARY.newest)]


# ------------------------------------------------------------------------------------------- what a fault is


@pytest.mark.parametrize("name", NAMES)
def test_each_fault_says_where_it_strikes_and_what_it_does(name: str) -> None:
    kind = REGISTRY[name]
    assert kind.name == name
    assert re.fullmatch(r"[a-z]+(_[a-z0-9]+)+", name)
    assert kind.where
    assert kind.what
    assert re.fullmatch(r"[A-Z].*\.", kind.summary)
    assert set(kind.example) <= set(filter(None, kind.parameters.split(", ")))
    assert getattr(faults, name) is kind.make


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("name", NAMES)
def test_each_example_strikes_a_plain_stream_and_leaves_the_original_alone(name: str, script: Script) -> None:
    before = replace(script, sends=tuple(replace(send) for send in script.sends))
    fault = example(name)
    struck = fault(script)
    assert struck != script
    assert script == before
    assert fault(script) == struck == example(name)(script), "the same each time"


@pytest.mark.parametrize("name", NAMES)
def test_each_fault_changes_what_is_sent_or_when_or_how_it_ends(name: str) -> None:
    struck = example(name)(CHAT)
    before, after = CHAT.render(date=DATE), struck.render(date=DATE)
    assert (before.wire, times(CHAT), before.ending.how) != (after.wire, times(struck), after.ending.how)


@pytest.mark.parametrize("name", NAMES)
def test_each_fault_strikes_every_recording_or_says_that_it_does_not(name: str) -> None:
    for script in real_scripts():
        try:
            struck = example(name)(script)
        except FaultDoesNotApply:
            continue
        assert struck.render(date=DATE).segments


SINGLE = plain(line(DONE))
EMPTY = plain(b"")
EVENTS = Script.from_recording(recording(b"data: {}\n\n", media_type=SSE))
CUT_SHORT = stream(HELLO, WORLD, ended=Ended.EOF)
HALF = Script.from_recording(recording(line(HELLO), b'{"resp', ended=Ended.EOF))
AT_ONCE = CHAT.at_speed(0)
HEADLESS = replace(CHAT, sends=CHAT.sends[1:])
NOTHING = replace(CHAT, sends=())


@pytest.mark.parametrize(
    ("fault", "script", "why"),
    [
        *(
            (make(n), script, f"there is no record {n}")
            for make in (cut_after_record, cut_inside_record, reset_after_record, stall_after_record)
            for n, script in ((0, CHAT), (-1, CHAT), (count(CHAT) + 1, CHAT), (1, EMPTY), (1, HEADLESS), (1, NOTHING))
        ),
        (cut_after_record(2), cut_after_record(2)(CHAT), "changes nothing"),
        (reset_after_record(2), reset_after_record(2)(CHAT), "changes nothing"),
        (stall_after_record(2), stall_after_record(2)(CHAT), "changes nothing"),
        (delay_first_byte(0), CHAT, "changes nothing"),
        (delay_first_byte(-1), CHAT, "cannot pass"),
        (delay_first_byte(1), NOTHING, "sends nothing"),
        (slow_records(-0.1), CHAT, "cannot pass"),
        (slow_records(0), AT_ONCE, "changes nothing"),
        (slow_records(1), replace(CHAT, sends=CHAT.sends[:1]), "at once"),
        (slow_records(0.1), slow_records(0.1)(CHAT), "changes nothing"),
        (drop_terminal_record(), SINGLE, "no stream with a terminal record"),
        (drop_terminal_record(), CUT_SHORT, "no stream with a terminal record"),
        (drop_terminal_record(), drop_terminal_record()(CHAT), "no stream with a terminal record"),
        (drop_terminal_record(), NOTHING, "no stream with a terminal record"),
        (error_line_after_record(1), SINGLE, "chunked NDJSON stream"),
        (
            error_line_after_record(1),
            Script.from_recording(recording(b"data: {}\n\n", media_type=SSE)),
            "chunked NDJSON",
        ),
        (error_line_after_record(1), NOTHING, "chunked NDJSON stream"),
        (error_line_after_record(1), CUT_SHORT, "does not end cleanly"),
        (error_line_after_record(99), CHAT, "there is no record 99"),
        (replace_with_bad_gateway("nginx"), NOTHING, "no answer to replace"),
        (replace_with_bad_gateway("nginx"), replace_with_bad_gateway("nginx")(CHAT), "changes nothing"),
    ],
    ids=lambda value: "" if isinstance(value, Script) else str(value),
)
def test_a_fault_without_a_place_to_strike_says_so(fault: Fault, script: Script, why: str) -> None:
    with pytest.raises(FaultDoesNotApply, match=re.escape(why)):
        fault(script)


@pytest.mark.parametrize("name", NAMES)
def test_each_fault_has_a_script_that_it_does_not_strike(name: str) -> None:
    with pytest.raises(FaultDoesNotApply):
        example(name)(NOTHING)


@pytest.mark.parametrize(
    "fault", [cut_after_record(1), reset_after_record(1), stall_after_record(1)], ids=lambda fault: fault.name
)
def test_nothing_can_be_cut_after_the_record_of_a_single_answer(fault: Fault) -> None:
    """Its Content-Length makes the message whole with the last byte of the record: what follows cuts nothing."""
    with pytest.raises(FaultDoesNotApply):
        fault(SINGLE)


@pytest.mark.parametrize("fault", [reset_after_record(1), stall_after_record(1)], ids=lambda fault: fault.name)
def test_a_body_that_only_the_connection_ends_can_break_after_its_last_record(fault: Fault) -> None:
    """It is not whole before the FIN comes (RFC 9112 section 6.3, rule 8)."""
    got = reference(fault(plain(line(DONE), length=False)))
    assert got.ends[Layer.HTTP].cause in (Cause.RST, Cause.SILENCE)


@pytest.mark.parametrize("script", [HALF, Script.from_recording(recording(line(HELLO), b"half", media_type=JSON))])
def test_a_body_that_is_no_json_has_no_terminal_record_to_drop(script: Script) -> None:
    with pytest.raises(FaultDoesNotApply):
        drop_terminal_record()(script)


def test_an_unknown_gateway_is_an_error_in_words() -> None:
    by: Any = "apache"
    with pytest.raises(FaultDoesNotApply):
        replace_with_bad_gateway(by)(CHAT)


# ---------------------------------------------------------------------------------------- values, composition


def test_faults_print_as_the_call_that_makes_them() -> None:
    assert str(cut_after_record(3)) == "cut_after_record(n=3)"
    assert str(drop_terminal_record()) == "drop_terminal_record()"
    assert str(replace_with_bad_gateway("nginx")) == "replace_with_bad_gateway(by='nginx')"
    assert str(error_line_after_record(2, "x")) == "error_line_after_record(n=2, text='x')"


@pytest.mark.parametrize("name", NAMES)
def test_what_a_fault_prints_makes_the_same_fault(name: str) -> None:
    fault = example(name)
    assert eval(str(fault), vars(faults)) == fault


def test_faults_are_equal_by_name_and_arguments() -> None:
    assert cut_after_record(3) == cut_after_record(n=3)
    assert error_line_after_record(1, "a") == error_line_after_record(n=1, text="a")
    assert cut_after_record(3) != cut_after_record(2)
    assert cut_after_record(3) != reset_after_record(3)


@pytest.mark.parametrize("arguments", [{}, {"m": 1}, {"n": 1, "m": 1}])
def test_wrong_arguments_are_refused_when_the_fault_is_made(arguments: dict[str, Any]) -> None:
    make: Callable[..., Fault] = cut_after_record
    with pytest.raises(TypeError):
        make(**arguments)


def test_faults_are_applied_in_order() -> None:
    assert apply(CHAT, ()) == CHAT
    both = apply(CHAT, [cut_after_record(3), delay_first_byte(0.5)])
    assert both == delay_first_byte(0.5)(cut_after_record(3)(CHAT))
    assert reference(both) == reference(cut_after_record(3)(CHAT))
    assert times(both)[0] == CHAT.sends[0].at_s + 0.5


def test_a_cut_after_an_error_line_leaves_both() -> None:
    both = apply(CHAT, [error_line_after_record(3, "boom"), cut_after_record(4)])
    assert reference(both).ends == {Layer.HTTP: TRUNCATED, Layer.OLLAMA: End(EndKind.ERROR, Cause.IN_BAND, "boom")}


def test_a_fault_that_the_one_before_took_the_place_from_says_so() -> None:
    with pytest.raises(FaultDoesNotApply, match="there is no record 3: this script sends 2"):
        apply(CHAT, [cut_after_record(2), reset_after_record(3)])


# --------------------------------------------------------------------------------- what a perfect client sees


@pytest.mark.parametrize("script", STREAMS)
def test_cut_after_each_record_leaves_exactly_that_many(script: Script) -> None:
    for n in range(1, count(script) + 1):
        struck = cut_after_record(n)(script)
        got = reference(struck)
        assert got.records == all_records(script)[:n]
        assert got.ends == dict.fromkeys(Layer, TRUNCATED)
        assert struck.ending.how is HowItEnds.CLOSE
        assert wire(script).startswith(wire(struck)) or script in (RECHUNKED, ONE_CHUNK)


@pytest.mark.parametrize("script", STREAMS)
def test_cut_inside_each_record_leaves_those_before_it(script: Script) -> None:
    for n in range(1, count(script) + 1):
        struck = cut_inside_record(n)(script)
        got = reference(struck)
        assert got.records == all_records(script)[: n - 1]
        assert got.ends == dict.fromkeys(Layer, TRUNCATED)
        assert wire(script).startswith(wire(struck)), "the chunk still announces what it no longer brings"
        assert wire(struck) != wire(cut_after_record(n - 1)(script) if n > 1 else script)


@pytest.mark.parametrize("script", STREAMS)
def test_reset_after_each_record_is_an_error_after_exactly_that_many(script: Script) -> None:
    for n in range(1, count(script) + 1):
        struck = reset_after_record(n)(script)
        got = reference(struck)
        assert got.records == all_records(script)[:n]
        assert got.ends == dict.fromkeys(Layer, End(EndKind.ERROR, Cause.RST))
        assert wire(struck) == wire(cut_after_record(n)(script))


@pytest.mark.parametrize("script", STREAMS)
def test_stall_after_each_record_never_ends(script: Script) -> None:
    for n in range(1, count(script) + 1):
        struck = stall_after_record(n)(script)
        got = reference(struck)
        assert got.records == all_records(script)[:n]
        assert got.ends == dict.fromkeys(Layer, End(EndKind.OPEN, Cause.SILENCE))
        assert struck.ending.how is HowItEnds.HOLD


@pytest.mark.parametrize("script", STREAMS)
def test_an_error_line_after_each_record_ends_the_stream_with_its_text(script: Script) -> None:
    for n in range(1, count(script) + 1):
        struck = error_line_after_record(n, "boom")(script)
        got = reference(struck)
        assert got.records == (*all_records(script)[:n], {"error": "boom"})
        assert got.ends[Layer.HTTP] == COMPLETE
        assert struck.ending == script.ending
        if n < count(script):
            assert got.ends[Layer.OLLAMA] == End(EndKind.ERROR, Cause.IN_BAND, "boom")
            assert got.due[Layer.OLLAMA] == n


@pytest.mark.parametrize("text", ["", "a\nb", 'quotes " and \\', "ü \u0085 \u2028 🦙"])
def test_the_text_of_an_error_line_may_be_any(text: str) -> None:
    assert reference(error_line_after_record(2, text)(CHAT)).records[2] == {"error": text}


def test_an_error_line_is_a_chunk_of_its_own_like_ollamas() -> None:
    real = LIBRARY.get(f"{LIBRARY.newest}/fault-runner-killed-chat")
    struck = error_line_after_record(3)(CHAT)
    assert struck.sends[-2].parts == (Chunk(real.frames[-1].data),)
    assert struck.sends[-1].parts == (LastChunk(),)


@pytest.mark.parametrize("script", STREAMS)
def test_without_its_terminal_record_a_stream_is_complete_for_http_only(script: Script) -> None:
    struck = drop_terminal_record()(script)
    got = reference(struck)
    assert got.records == all_records(script)[:-1]
    assert got.ends == {Layer.HTTP: COMPLETE, Layer.OLLAMA: End(EndKind.TRUNCATED, Cause.NO_TERMINAL_RECORD)}
    assert struck.ending == script.ending


@pytest.mark.parametrize("name", ["pull-stream", "v1-chat-stream", "v1-messages-stream", "v1-responses-stream"])
def test_every_kind_of_stream_has_a_terminal_record_to_drop(name: str) -> None:
    script = Script.from_recording(LIBRARY.get(f"{LIBRARY.newest}/{name}"))
    got = reference(drop_terminal_record()(script))
    assert got.records == all_records(script)[:-1]
    assert got.ends[Layer.OLLAMA].cause is Cause.NO_TERMINAL_RECORD


@pytest.mark.parametrize(
    ("by", "body", "how"), [("proxy", b"", HowItEnds.CLOSE), ("nginx", b"502 Bad Gateway", HowItEnds.KEEP_OPEN)]
)
def test_a_bad_gateway_answers_with_a_whole_message_in_ollamas_place(by: Any, body: bytes, how: HowItEnds) -> None:
    struck = replace_with_bad_gateway(by)(CHAT)
    assert reference(struck).ends == dict.fromkeys(Layer, End(EndKind.ERROR, Cause.STATUS, "502"))
    assert wire(struck).startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
    assert body in struck.body
    assert struck.head is not None
    assert struck.head.header("content-length") == str(len(struck.body))
    assert struck.ending.how is how
    assert len(struck.sends) == 1
    assert b"Hello" not in wire(struck)


def test_a_bad_gateway_answers_head_without_a_body() -> None:
    assert replace_with_bad_gateway("nginx")(plain(b"", method="HEAD")).body == b""


@pytest.mark.parametrize("script", STREAMS)
def test_a_delayed_first_byte_delays_everything_by_as_much(script: Script) -> None:
    struck = delay_first_byte(1.5)(script)
    assert times(struck) == [at_s + 1.5 for at_s in times(script)]
    assert wire(struck) == wire(script)
    assert reference(struck) == reference(script)


@pytest.mark.parametrize("script", STREAMS)
def test_slow_records_are_the_same_bytes_one_gap_apart(script: Script) -> None:
    struck = slow_records(0.25)(script)
    assert times(struck) == pytest.approx([script.sends[0].at_s + 0.25 * i for i in range(len(script.sends) + 1)])
    assert [send.parts for send in struck.sends] == [send.parts for send in script.sends]
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


@settings(max_examples=40)
@given(streams(), st.data())
def test_faults_at_a_record_count_records_and_not_chunks(script: Script, data: st.DataObject) -> None:
    n = data.draw(st.integers(1, count(script)))
    sent = all_records(script)
    assert len(sent) == count(script)
    start, end = record_span(script, n)
    assert json.loads(script.body[start:end]) == sent[n - 1]
    for make in (cut_after_record, reset_after_record, stall_after_record):
        struck = make(n)(script)
        assert reference(struck).records == sent[:n]
        assert struck.body == script.body[:end]
        assert times(struck) == sorted(times(struck))
        assert times(struck)[-1] <= times(script)[-1]
    assert reference(cut_inside_record(n)(script)).records == sent[: n - 1]
    assert reference(error_line_after_record(n)(script)).records[:-1] == sent[:n]
    assert reference(drop_terminal_record()(script)).records == sent[:-1]


@settings(max_examples=40)
@given(streams(), st.floats(0, 10), st.floats(0, 10))
def test_faults_of_time_change_no_byte(script: Script, delay_s: float, gap_s: float) -> None:
    for fault in (delay_first_byte(delay_s), slow_records(gap_s)):
        try:
            struck = fault(script)
        except FaultDoesNotApply:
            continue
        assert wire(struck) == wire(script)
        assert times(struck) == sorted(times(struck))
        assert reference(struck) == reference(script)


@settings(max_examples=40)
@given(streams(), st.lists(st.sampled_from(NAMES), min_size=2, max_size=3))
def test_any_faults_can_be_put_together_or_say_that_they_cannot(script: Script, names: list[str]) -> None:
    try:
        struck = apply(script, map(example, names))
    except FaultDoesNotApply:
        return
    assert struck != script
    assert times(struck) == sorted(times(struck))
    got = reference(struck)
    assert got.due[Layer.HTTP] == len(got.records)


def test_a_broken_chunk_is_raw_bytes() -> None:
    """What is left of the chunk is no chunk any more, so no later fault takes it for one."""
    last = cut_inside_record(2)(stream(HELLO, DONE)).sends[-1].parts[-1]
    assert last == Raw(b"%x\r\n%b" % (len(line(DONE)), line(DONE)[: len(line(DONE)) // 2]))
