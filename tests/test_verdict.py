"""judge(): each row of its table has an example that fires, and no input is without a verdict."""

from __future__ import annotations

from typing import Any

import pytest
from builders import DONE, HELLO, WORLD, chunked, line
from builders import seen as seen_in
from hypothesis import given
from hypothesis import strategies as st

from ollama_harness.oracle.piece_comparison import PieceView
from ollama_harness.oracle.record_comparison import RecordView
from ollama_harness.oracle.reference import Cause, ExpectedEnd, ExpectedEndKind, Layer, Reference
from ollama_harness.oracle.verdict import (
    ClientEnd,
    Crashed,
    Failed,
    Finished,
    Hung,
    Outcome,
    Raised,
    Stopped,
    Unsupported,
    Verdict,
    judge,
)

pytestmark = pytest.mark.same_everywhere

COMPLETE = ExpectedEnd(ExpectedEndKind.COMPLETE, Cause.WHOLE)
CUT = ExpectedEnd(ExpectedEndKind.TRUNCATED, Cause.FIN)
RESET = ExpectedEnd(ExpectedEndKind.ERROR, Cause.RST)
RECORDS = tuple({"response": text, "done": text == "c"} for text in "abc")
DOCUMENTED = frozenset({"lib.Error"})
GOOD = Raised(("lib.ReadError", "lib.Error", "builtins.Exception"), "cut")
VAGUE = Raised(("builtins.KeyError", "builtins.Exception"), "?")


def seen(end: ExpectedEnd, records: tuple[Any, ...] = RECORDS, due: int | None = None) -> Reference:
    count = len(records) if due is None else due
    return Reference(records=records, ends=dict.fromkeys(Layer, end), due=dict.fromkeys(Layer, count))


def verdict(reference: Reference, records: tuple[Any, ...], ending: ClientEnd, **seen_by_server: Any) -> Verdict:
    outcome = Outcome(yielded=records, ending=ending, **seen_by_server)
    return judge(reference, outcome, layer=Layer.OLLAMA, documented=DOCUMENTED, view=RecordView()).verdict


@pytest.mark.parametrize(
    ("expected", "end", "records", "ending"),
    [
        (Verdict.INCONCLUSIVE, COMPLETE, RECORDS, Failed("no connection")),
        (Verdict.UNSUPPORTED, COMPLETE, (), Unsupported("no such call")),
        (Verdict.CRASH, COMPLETE, RECORDS, Crashed(-11)),
        (Verdict.HANG, COMPLETE, RECORDS, Hung(10.0)),
        (Verdict.SILENT_LOSS, CUT, RECORDS, Finished()),
        (Verdict.SILENT_LOSS, COMPLETE, RECORDS[:2], Finished()),
        (Verdict.CORRUPT, COMPLETE, ({**RECORDS[0], "x": 1}, *RECORDS[1:]), Finished()),
        (Verdict.CORRUPT, COMPLETE, (*RECORDS, RECORDS[2]), Finished()),
        (Verdict.CORRUPT, CUT, (RECORDS[1],), GOOD),
        (Verdict.FALSE_ALARM, COMPLETE, RECORDS, GOOD),
        (Verdict.FALSE_ALARM, COMPLETE, RECORDS[:1], VAGUE),
        (Verdict.BUFFERED, CUT, RECORDS[:2], GOOD),
        (Verdict.BUFFERED, CUT, RECORDS[:2], VAGUE),
        (Verdict.UNDOCUMENTED, CUT, RECORDS, VAGUE),
        (Verdict.PASS, CUT, RECORDS, GOOD),
        (Verdict.PASS, COMPLETE, RECORDS, Finished()),
    ],
)
def test_each_row_of_the_table_fires(
    expected: Verdict, end: ExpectedEnd, records: tuple[Any, ...], ending: ClientEnd
) -> None:
    assert verdict(seen(end), records, ending) is expected


def test_misrouted_comes_before_how_the_client_handled_the_answer() -> None:
    assert verdict(seen(COMPLETE), RECORDS, Finished(), misrouted=True) is Verdict.MISROUTED
    assert verdict(seen(COMPLETE), (), Crashed(1), misrouted=True) is Verdict.MISROUTED
    assert verdict(seen(COMPLETE), (), Failed("?"), misrouted=True) is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("ending", [Finished(), GOOD, VAGUE])
def test_what_the_server_saw_comes_after_loss_and_before_the_rest(ending: ClientEnd) -> None:
    end = COMPLETE if ending == Finished() else CUT
    assert verdict(seen(end), RECORDS, ending, unsafe_retry="sent it twice") is Verdict.UNSAFE_RETRY
    assert verdict(seen(end), RECORDS, ending, leaked=True) is Verdict.LEAK
    assert verdict(seen(end), ({"response": "x"},), ending, unsafe_retry="sent it twice") in (
        Verdict.SILENT_LOSS,
        Verdict.CORRUPT,
    )


def test_a_record_that_came_only_with_later_bytes_was_kept_back() -> None:
    assert verdict(seen(COMPLETE), RECORDS, Finished(), buffered=2) is Verdict.BUFFERED
    assert verdict(seen(CUT), RECORDS, GOOD, buffered=2) is Verdict.BUFFERED
    assert verdict(seen(CUT), RECORDS, VAGUE, buffered=2) is Verdict.UNDOCUMENTED


@pytest.mark.parametrize("ending", [Finished(), GOOD, Stopped()])
def test_a_client_that_waits_longer_than_its_read_timeout_hangs(ending: ClientEnd) -> None:
    silent = ExpectedEnd(ExpectedEndKind.OPEN, Cause.SILENCE)
    assert verdict(seen(silent, RECORDS[:2]), RECORDS, ending, missed_timeout="stayed for 6 s") is Verdict.HANG
    assert verdict(seen(silent, RECORDS[:2]), RECORDS, Crashed(1), missed_timeout="stayed for 6 s") is Verdict.CRASH
    assert (
        verdict(seen(silent, RECORDS[:2]), RECORDS, Failed("?"), missed_timeout="stayed for 6 s")
        is Verdict.INCONCLUSIVE
    )


def test_a_client_that_does_nothing_for_too_long_buffers() -> None:
    assert verdict(seen(COMPLETE), RECORDS, Finished(), idle="did nothing") is Verdict.BUFFERED
    assert verdict(seen(CUT), RECORDS, GOOD, idle="did nothing") is Verdict.BUFFERED
    assert verdict(seen(CUT), RECORDS, VAGUE, idle="did nothing") is Verdict.UNDOCUMENTED
    assert verdict(seen(COMPLETE), RECORDS[:2], Finished(), idle="did nothing") is Verdict.SILENT_LOSS


@pytest.mark.parametrize("cause", Cause)
def test_a_client_that_may_reject_the_whole_answer_need_yield_nothing(cause: Cause) -> None:
    either = ExpectedEnd(ExpectedEndKind.COMPLETE, cause, either=True)
    refusable = cause in (
        Cause.REDIRECT,
        Cause.OTHER_TYPE,
        Cause.TWO_LENGTHS,
        Cause.BYTE_ORDER_MARK,
        Cause.LONE_SURROGATE,
        Cause.RST,  # after which it is unknown how much arrived
    )
    assert verdict(seen(either), (), GOOD) is (Verdict.PASS if refusable else Verdict.BUFFERED)


def test_the_subject_decides_which_fields_may_be_left_out() -> None:
    sent = ({"response": "a", "eval_count": 3, "done": True},)
    reported = Outcome(yielded=({"response": "a", "done": True},), ending=Finished())

    def judged(subject: tuple[str, ...] | None) -> Verdict:
        return judge(
            seen(COMPLETE, sent), reported, layer=Layer.HTTP, documented=DOCUMENTED, view=RecordView(subject)
        ).verdict

    assert judged(()) is Verdict.PASS
    assert judged(("eval_count",)) is Verdict.CORRUPT
    assert judged(None) is Verdict.CORRUPT


def test_a_float_is_right_in_a_typed_client_where_another_record_has_a_fraction() -> None:
    sent = ({"response": "a", "score": 0.5}, {"response": "b", "score": 1})
    reported = Outcome(yielded=(sent[0], {"response": "b", "score": 1.0}), ending=Finished())
    assert (
        judge(seen(COMPLETE, sent), reported, layer=Layer.OLLAMA, documented=DOCUMENTED, view=RecordView()).verdict
        is Verdict.PASS
    )
    whole = judge(seen(COMPLETE, sent), reported, layer=Layer.OLLAMA, documented=DOCUMENTED, view=RecordView(None))
    assert whole.verdict is Verdict.CORRUPT


def test_a_client_that_stops_reading_as_the_scenario_wants_passes() -> None:
    held = ExpectedEnd(ExpectedEndKind.OPEN, Cause.SILENCE)
    assert verdict(seen(held), RECORDS, Stopped()) is Verdict.PASS
    assert verdict(seen(held), RECORDS, Stopped(), leaked=True) is Verdict.LEAK
    assert verdict(seen(held), (RECORDS[1],), Stopped()) is Verdict.CORRUPT


@pytest.mark.parametrize("kind", ExpectedEndKind)
def test_an_end_that_may_be_good_or_bad_is_right_both_times(kind: ExpectedEndKind) -> None:
    either = ExpectedEnd(kind, Cause.AFTER_TERMINAL_RECORD, either=True)
    assert verdict(seen(either, due=2), RECORDS[:2], Finished()) is Verdict.PASS
    assert verdict(seen(either, due=2), RECORDS[:2], GOOD) is Verdict.PASS
    assert verdict(seen(either, due=2), RECORDS[:2], VAGUE) is Verdict.UNDOCUMENTED
    assert verdict(seen(either, due=2), RECORDS[:1], Finished()) is Verdict.SILENT_LOSS
    if kind is not ExpectedEndKind.COMPLETE:
        assert verdict(seen(either, due=2), RECORDS, Finished()) is Verdict.SILENT_LOSS, "it yielded what is not due"


@pytest.mark.parametrize("count", range(4))
def test_after_a_reset_it_does_not_matter_how_many_records_the_system_let_through(count: int) -> None:
    assert verdict(seen(RESET), RECORDS[:count], GOOD) is Verdict.PASS
    assert verdict(seen(RESET), RECORDS[:count], VAGUE) is Verdict.UNDOCUMENTED


def test_records_beyond_those_due_may_be_yielded_if_they_were_sent() -> None:
    """An error line is a record to an HTTP library, and none that is due to an Ollama client."""
    in_band = ExpectedEnd(ExpectedEndKind.ERROR, Cause.IN_BAND, "boom")
    assert verdict(seen(in_band, due=2), RECORDS, GOOD) is Verdict.PASS
    assert verdict(seen(in_band, due=2), RECORDS[:2], GOOD) is Verdict.PASS
    assert verdict(seen(in_band, due=2), RECORDS[:1], GOOD) is Verdict.BUFFERED


def test_the_layer_decides_which_end_counts() -> None:
    reference = Reference(
        records=RECORDS,
        ends={Layer.HTTP: COMPLETE, Layer.OLLAMA: ExpectedEnd(ExpectedEndKind.TRUNCATED, Cause.NO_TERMINAL_RECORD)},
        due=dict.fromkeys(Layer, 3),
    )
    outcome = Outcome(yielded=RECORDS, ending=Finished())
    assert judge(reference, outcome, layer=Layer.HTTP, documented=DOCUMENTED, view=RecordView()).verdict is Verdict.PASS
    assert (
        judge(reference, outcome, layer=Layer.OLLAMA, documented=DOCUMENTED, view=RecordView()).verdict
        is Verdict.SILENT_LOSS
    )


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
records = st.lists(json_values, max_size=4).map(tuple)
ends = st.builds(ExpectedEnd, st.sampled_from(ExpectedEndKind), st.sampled_from(Cause), either=st.booleans())
endings = st.one_of(
    st.just(Finished()),
    st.just(Stopped()),
    st.builds(Raised, st.lists(st.text(max_size=5), min_size=1, max_size=3).map(tuple), st.text(max_size=5)),
    st.builds(Hung, st.floats(0, 100)),
    st.builds(Crashed, st.integers(-64, 255)),
    st.builds(Unsupported, st.text(max_size=5)),
    st.builds(Failed, st.text(max_size=5)),
)


outcomes = st.builds(
    Outcome,
    yielded=records,
    ending=endings,
    misrouted=st.booleans(),
    unsafe_retry=st.sampled_from(["", "sent it twice"]),
    leaked=st.booleans(),
    buffered=st.none() | st.integers(1, 4),
    missed_timeout=st.sampled_from(["", "stayed through a silence"]),
    idle=st.sampled_from(["", "did nothing"]),
)


@given(end=ends, sent=records, outcome=outcomes)
def test_every_outcome_has_a_verdict_with_a_reason(end: ExpectedEnd, sent: tuple[Any, ...], outcome: Outcome) -> None:
    judgement = judge(seen(end, sent), outcome, layer=Layer.HTTP, documented=DOCUMENTED, view=RecordView())
    assert judgement.verdict in Verdict
    assert judgement.why or isinstance(outcome.ending, Failed | Unsupported)
    assert -1 <= judgement.verdict.severity <= 7
    assert (judgement.verdict.harm is None) == (judgement.verdict in (Verdict.INCONCLUSIVE, Verdict.UNSUPPORTED))


@given(sent=records)
def test_a_client_that_yields_what_was_sent_passes(sent: tuple[Any, ...]) -> None:
    assert verdict(seen(COMPLETE, sent), sent, Finished()) is Verdict.PASS
    assert verdict(seen(CUT, sent), sent, GOOD) is Verdict.PASS


odd_records = st.fixed_dictionaries(
    {},
    optional={
        "message": json_values
        | st.fixed_dictionaries(
            {},
            optional={
                "tool_calls": json_values
                | st.lists(json_values | st.fixed_dictionaries({"function": json_values}), max_size=2)
            },
        ),
        "models": json_values | st.lists(json_values, max_size=2),
        "response": json_values,
    },
)


@given(sent=odd_records, reported=odd_records)
def test_records_that_no_ollama_would_send_have_a_verdict_too(sent: Any, reported: Any) -> None:
    """What is essential is looked for in records of any shape: a fault, or a proxy, may have made them."""
    assert verdict(seen(COMPLETE, (sent,)), (sent,), Finished()) is Verdict.PASS
    assert verdict(seen(COMPLETE, (sent,)), (reported,), Finished()) in (Verdict.PASS, Verdict.CORRUPT)


# ---------------------------------------------------------------------------------------------------------- pieces

FIRST, SECOND, REASON = {"text": "Hello"}, {"text": " world"}, {"finish_reason": "stop"}
BODY = b"".join(map(line, (HELLO, WORLD, DONE)))


@pytest.mark.parametrize(
    ("expected", "sent", "pieces", "ending"),
    [
        (Verdict.PASS, chunked(BODY), (FIRST, SECOND, REASON), Finished()),
        (Verdict.SILENT_LOSS, chunked(BODY), (FIRST, SECOND), Finished()),
        (Verdict.SILENT_LOSS, chunked(BODY), (SECOND, REASON), Finished()),
        (Verdict.CORRUPT, chunked(BODY), (SECOND, FIRST, REASON), Finished()),
        (Verdict.CORRUPT, chunked(BODY), (FIRST, SECOND, REASON, REASON), Finished()),
        (Verdict.FALSE_ALARM, chunked(BODY), (FIRST, SECOND, REASON), GOOD),
        (Verdict.FALSE_ALARM, chunked(BODY), (FIRST, SECOND, REASON, {"error": "?"}), Finished()),
        (Verdict.SILENT_LOSS, chunked(line(HELLO)), (FIRST,), Finished()),
        (Verdict.SILENT_LOSS, chunked(line(HELLO)), (FIRST, REASON), Finished()),
        (Verdict.CORRUPT, chunked(line(HELLO)), (FIRST, REASON), GOOD),
        (Verdict.BUFFERED, chunked(line(HELLO)), (), GOOD),
        (Verdict.UNDOCUMENTED, chunked(line(HELLO)), (FIRST,), VAGUE),
        (Verdict.PASS, chunked(line(HELLO)), (FIRST,), GOOD),
        (
            Verdict.SILENT_LOSS,
            chunked(line(HELLO) + b"{\n" + line(WORLD) + line(DONE)),
            (FIRST, SECOND, REASON),
            Finished(),
        ),
        (Verdict.PASS, chunked(line(HELLO) + line({"error": "boom"})), (FIRST, {"error": "boom"}), Finished()),
        (Verdict.BUFFERED, chunked(line(HELLO) + line({"error": "boom"})), ({"error": "boom"},), Finished()),
        (Verdict.SILENT_LOSS, chunked(line(HELLO) + line({"error": "boom"})), (FIRST,), Finished()),
    ],
)
def test_pieces_are_judged_by_the_same_table(
    expected: Verdict, sent: bytes, pieces: tuple[Any, ...], ending: ClientEnd
) -> None:
    outcome = Outcome(yielded=pieces, ending=ending)
    judgement = judge(seen_in(sent), outcome, layer=Layer.OLLAMA, documented=DOCUMENTED, view=PieceView())
    assert (judgement.verdict, judgement.why != "") == (expected, True)
