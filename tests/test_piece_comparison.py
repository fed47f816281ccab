"""The oracle's view of pieces: what every recorded answer says, and which pieces of a client are right."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from builders import DONE, HELLO, NDJSON, SSE, WORLD, chunked, in_one_test, line, seen
from hypothesis import assume, given
from hypothesis import strategies as st

from ollama_harness.answers.completions.dialects import DIALECTS
from ollama_harness.oracle.comparison import Comparison
from ollama_harness.oracle.piece_comparison import PieceView
from ollama_harness.oracle.pieces import PieceKind, PieceObject, problem_of_piece
from ollama_harness.oracle.reference import Layer, Reference, reference
from ollama_harness.recordings.store import packaged_store
from ollama_harness.script.script import ConnectionEnd, Script

pytestmark = pytest.mark.same_everywhere

LIBRARY = packaged_store()

#: The answers that say something of a model, on every route on which one speaks.
SPEAKING = [
    recording.id
    for recording in map(LIBRARY.get, LIBRARY.ids)
    if recording.request.path in DIALECTS and DIALECTS[recording.request.path].read(recording) is not None
]
STREAMED = [id_ for id_ in SPEAKING if LIBRARY.get(id_).request.streams and id_.startswith("0.32.15/")]

CALL = {"name": "get_weather", "arguments": {"city": "Paris", "days": 2}}
OTHER_CALL = {"name": "get_time", "arguments": {}}


def said(found: Reference) -> list[PieceObject]:
    return [piece for one in found.said for piece in one.pieces]


def due_pieces(id_: str) -> list[PieceObject]:
    return said(reference(Script.from_recording(LIBRARY.get(id_), speed=0)))


def compared(found: Reference, *pieces: PieceObject, drops_thinking: bool = False) -> Comparison:
    assert [problem for piece in pieces if (problem := problem_of_piece(piece))] == []
    return PieceView(drops_thinking).compare(found, pieces, Layer.OLLAMA)


def joined(pieces: Sequence[PieceObject], kind: PieceKind) -> str:
    return "".join(piece[kind] for piece in pieces if kind in piece)


def chat(*messages: dict[str, Any], reason: str | None = "stop") -> Reference:
    """A stream of /api/chat with these messages, and a last record with the reason."""
    last = {"message": {"role": "assistant", "content": ""}, "done": True, "done_reason": reason}
    records = [{"message": {"role": "assistant", **message}, "done": False} for message in messages]
    return seen(chunked(b"".join(map(line, [*records, last]))), path="/api/chat")


def called(call: dict[str, Any]) -> dict[str, Any]:
    return {"content": "", "tool_calls": [{"function": call}]}


WEATHER = chat({"content": "Let me"}, {"content": " see."}, called(CALL), {"content": " Done"})
TEXTS = ({"text": "Let me see."}, {"tool_call": CALL}, {"text": " Done"}, {"finish_reason": "stop"})


# ----------------------------------------------------------------------------------------------- what the records say


@in_one_test("id_", SPEAKING)
def test_it_reads_what_the_dialects_read(id_: str) -> None:
    """The dialects of `answers` are other code, and read each recorded answer too."""
    recording = LIBRARY.get(id_)
    completion, found = DIALECTS[recording.request.path].read(recording), due_pieces(id_)
    assert completion is not None
    assert joined(found, PieceKind.TEXT) == "".join(piece.text for piece in completion.pieces)
    assert joined(found, PieceKind.THINKING) == "".join(piece.thinking for piece in completion.pieces)
    calls = [(call.name, dict(call.arguments)) for piece in completion.pieces for call in piece.calls]
    contents = [piece["tool_call"] for piece in found if "tool_call" in piece]
    assert [(one["name"], _object(one["arguments"])) for one in contents] == calls


def _object(arguments: Any) -> Any:
    return json.loads(arguments) if isinstance(arguments, str) else arguments


@in_one_test("id_", SPEAKING)
def test_a_recorded_answer_is_whole_with_all_its_pieces(id_: str) -> None:
    found = reference(Script.from_recording(LIBRARY.get(id_), speed=0))
    pieces = said(found)
    assert [problem for piece in pieces if (problem := problem_of_piece(piece))] == []
    assert sum("finish_reason" in piece for piece in pieces) == 1
    right = compared(found, *pieces)
    assert (right.wrong, right.missing) == ("", "")
    assert PieceView().records_told(found, pieces) == len(found.records)


def test_every_route_on_which_a_model_speaks_is_recorded() -> None:
    assert {LIBRARY.get(id_).request.path for id_ in SPEAKING} == set(DIALECTS)


def test_a_route_on_which_no_model_speaks_says_nothing() -> None:
    assert due_pieces("0.32.15/embed-one") == due_pieces("0.32.15/pull-stream") == []


def events(*values: Any, done: bool = True) -> bytes:
    data = [json.dumps(value).encode() for value in values] + ([b"[DONE]"] if done else [])
    return b"".join(b"data: " + one + b"\n\n" for one in data)


def delta(reason: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": reason}]}


def call_part(index: int, name: str | None, arguments: str) -> dict[str, Any]:
    return delta(tool_calls=[{"index": index, "function": {"name": name, "arguments": arguments}}])


def test_a_call_that_is_sent_in_parts_is_one() -> None:
    """As OpenAI's own streams have it: the first part has the name, and parts of two calls may alternate."""
    body = events(
        call_part(0, "get_weather", ""),
        call_part(1, "get_time", "{"),
        call_part(0, None, '{"city": "Paris",'),
        call_part(1, None, "}"),
        call_part(0, None, ' "days": 2}'),
        delta("tool_calls"),
    )
    found = seen(chunked(body, SSE), path="/v1/chat/completions")
    right = compared(found, {"tool_call": CALL}, {"tool_call": OTHER_CALL}, {"finish_reason": "tool_calls"})
    assert (right.wrong, right.missing) == ("", "")


def test_the_calls_of_messages_and_responses_are_read() -> None:
    """No real server has been recorded with one. The events are those of the APIs' documents."""
    start = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {}}
    parts = ['{"city": "Paris"', ', "days": 2}']
    messages = events(
        {"type": "content_block_start", "index": 1, "content_block": start},
        *(
            {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": part}}
            for part in parts
        ),
        {"type": "content_block_stop", "index": 1},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}},
        {"type": "message_stop"},
        done=False,
    )
    item = {"type": "function_call", "name": "get_weather", "call_id": "call_1", "arguments": ""}
    responses = events(
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        *({"type": "response.function_call_arguments.delta", "output_index": 0, "delta": part} for part in parts),
        {"type": "response.completed", "response": {"status": "completed"}},
        done=False,
    )
    for path, body in (("/v1/messages", messages), ("/v1/responses", responses)):
        right = compared(seen(chunked(body, SSE), path=path), {"tool_call": CALL}, {"finish_reason": "tool_calls"})
        assert (path, right.wrong, right.missing) == (path, "", "")


# ------------------------------------------------------------------------------------------- joining and splitting


@st.composite
def split_pieces(draw: st.DrawFn, pieces: Sequence[PieceObject]) -> list[PieceObject]:
    """The same pieces, their texts split at random places, and some neighbours joined."""
    found: list[PieceObject] = []
    for piece in pieces:
        [(kind, content)] = piece.items()
        if kind not in (PieceKind.TEXT, PieceKind.THINKING):
            found.append(piece)
            continue
        if found and kind in found[-1] and draw(st.booleans()):
            content = found.pop()[kind] + content
        cut = draw(st.integers(0, len(content)))
        found += [{kind: content[:cut]}, {kind: content[cut:]}]
    return found


@given(st.sampled_from(STREAMED), st.data())
def test_joining_and_splitting_text_changes_nothing(id_: str, data: st.DataObject) -> None:
    found = reference(Script.from_recording(LIBRARY.get(id_), speed=0))
    right = compared(found, *data.draw(split_pieces(said(found))))
    assert (right.wrong, right.missing, right.beyond) == ("", "", False)


@given(st.text(), st.integers(0, 50))
def test_halves_of_a_character_become_one(text: str, at: int) -> None:
    """A client in JavaScript splits between the units of UTF-16."""
    units = text.encode("utf-16-le", "surrogatepass")
    halves = [part.decode("utf-16-le", "surrogatepass") for part in (units[: 2 * at], units[2 * at :])]
    found = chat({"content": text})
    right = compared(found, *({"text": half} for half in halves), {"finish_reason": "stop"})
    assert (right.wrong, right.missing) == ("", "")


# ------------------------------------------------------------------------------------------------ loss and invention


@given(st.sampled_from(STREAMED), st.data())
def test_a_lost_piece_is_always_found(id_: str, data: st.DataObject) -> None:
    """But for those that a client may leave out: a role, usage, an empty text."""
    found = reference(Script.from_recording(LIBRARY.get(id_), speed=0))
    pieces = said(found)
    must = [n for n, piece in enumerate(pieces) if not piece.keys() & {"role", "usage"} and any(piece.values())]
    lost = data.draw(st.sampled_from(must))
    wrong = compared(found, *pieces[:lost], *pieces[lost + 1 :])
    assert wrong.missing != ""


@given(st.sampled_from(STREAMED), st.data())
def test_an_invented_piece_is_always_found(id_: str, data: st.DataObject) -> None:
    found = reference(Script.from_recording(LIBRARY.get(id_), speed=0))
    pieces = said(found)
    at = data.draw(st.integers(0, len(pieces)))
    invented: PieceObject = data.draw(
        st.sampled_from(
            [
                {"role": "user"},
                {"text": "\x7f"},
                {"thinking": "\x7f"},
                {"tool_call": {"name": "invented", "arguments": {}}},
                {"finish_reason": "stop"},
                {"usage": {"input": 1_000_003, "output": None}},
            ]
        )
    )
    assert compared(found, *pieces[:at], invented, *pieces[at:]).wrong != ""


@given(st.sampled_from(STREAMED), st.data())
def test_no_text_can_change_unnoticed(id_: str, data: st.DataObject) -> None:
    found = reference(Script.from_recording(LIBRARY.get(id_), speed=0))
    pieces = said(found)
    texts = [n for n, piece in enumerate(pieces) if piece.get("text") or piece.get("thinking")]
    assume(texts)
    at = data.draw(st.sampled_from(texts))
    [(kind, text)] = pieces[at].items()
    n = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters(codec="utf-8").filter(lambda one: one != text[n]))
    changed = {kind: text[:n] + other + text[n + 1 :]}
    assert compared(found, *pieces[:at], changed, *pieces[at + 1 :]).wrong != ""


@pytest.mark.parametrize(
    "pieces",
    [
        TEXTS,
        ({"role": "assistant"}, *TEXTS),
        ({"text": "Let"}, {"text": " me see."}, *TEXTS[1:]),
        (TEXTS[0], {"tool_call": {**CALL, "id": "own", "index": 7}}, *TEXTS[2:]),
        (TEXTS[0], {"tool_call": {**CALL, "arguments": '{"days":2, "city":"Paris"}'}}, *TEXTS[2:]),
        (
            TEXTS[0],
            {"tool_call": {**CALL, "arguments": '{"days":2,'}},
            {"tool_call": {"arguments": '"city":"Paris"}'}},
            *TEXTS[2:],
        ),
        (
            TEXTS[0],
            {"tool_call": {**CALL, "arguments": {}}},
            {"tool_call": {"arguments": '{"city":"Paris","days":2}'}},
            *TEXTS[2:],
        ),
        (*TEXTS[:3], {"finish_reason": "end_turn"}),
    ],
)
def test_what_a_client_may_do_with_pieces(pieces: Sequence[PieceObject]) -> None:
    right = compared(WEATHER, *pieces)
    assert (right.wrong, right.missing, right.beyond) == ("", "", False)


@pytest.mark.parametrize(
    ("pieces", "problem"),
    [
        (({"text": "Let me see"}, {"text": "!"}), "after 10 characters of text yielded '!', but '. Done' was sent"),
        (({"text": "Let me see. Done."},), "yielded '.', but nothing more was sent"),
        (({"tool_call": CALL},), "after 0 characters of text, and it was sent after 11"),
        ((TEXTS[0], {"tool_call": OTHER_CALL}), "tool call 'get_time' with {}, but tool call 'get_weather' with"),
        (
            (TEXTS[0], {"tool_call": {**CALL, "arguments": {"city": "Paris", "days": 2.0}}}),
            "'days': 2.0}, but tool call 'get_weather'",
        ),
        ((TEXTS[0], {"tool_call": {**CALL, "arguments": {"city": "Paris"}}}), ", but tool call"),
        ((TEXTS[0], {"finish_reason": "stop"}), "finish reason 'stop', but tool call 'get_weather'"),
        ((*TEXTS[:3], {"finish_reason": "length"}), "finish reason 'length', but finish reason 'stop' was sent"),
        ((*TEXTS, {"finish_reason": "stop"}), "finish reason 'stop', which was not sent"),
        ((*TEXTS, {"tool_call": CALL}), "tool call 'get_weather' with"),
        (({"role": "user"}, *TEXTS), "the role 'user', which was not sent"),
        ((*TEXTS, {"usage": {"input": 0}}), "0 input tokens, which were not sent"),
        (({"thinking": "hm"}, *TEXTS), "after 0 characters of thinking yielded 'hm', but nothing more was sent"),
    ],
)
def test_what_is_changed_or_invented_is_wrong(pieces: Sequence[PieceObject], problem: str) -> None:
    assert problem in compared(WEATHER, *pieces).wrong


@pytest.mark.parametrize(
    ("pieces", "missing"),
    [
        ((), "0 of 16 characters of text"),
        (TEXTS[:2], "11 of 16 characters of text"),
        (({"text": "Let me Done"}, *TEXTS[1:2], *TEXTS[3:]), "11 of 16 characters of text"),
        (TEXTS[:3], "0 of 1 finish reasons"),
        ((TEXTS[0], TEXTS[2], TEXTS[3]), "0 of 1 tool calls"),
        (
            (TEXTS[0], {"tool_call": {**CALL, "arguments": ""}}, TEXTS[2], TEXTS[3]),
            "",  # another call, which is wrong
        ),
    ],
)
def test_what_is_missing_is_told(pieces: Sequence[PieceObject], missing: str) -> None:
    assert compared(WEATHER, *pieces).missing == missing


def test_text_that_lacks_a_part_of_a_piece_is_changed_and_not_missing() -> None:
    """A client that loses an event lacks whole pieces; one that strips its text spoils it."""
    lost = compared(WEATHER, {"text": " see."}, *TEXTS[1:])
    spoilt = compared(WEATHER, {"text": "Let mesee."}, *TEXTS[1:])
    assert (lost.missing, spoilt.missing) == ("10 of 16 characters of text", "")
    assert spoilt.wrong.startswith("after 6 characters of text yielded 'see. Done', but ' see. Done' was sent")


def test_a_reason_after_a_call_may_name_it() -> None:
    found = chat(called(CALL))
    assert compared(found, {"tool_call": CALL}, {"finish_reason": "tool_calls"}).wrong == ""
    assert compared(chat({"content": "Hi"}), {"text": "Hi"}, {"finish_reason": "tool_calls"}).wrong != ""


def test_a_client_without_thinking_may_leave_out_all_of_it() -> None:
    found = chat({"content": "", "thinking": "hm"}, {"content": "Hi"})
    rest = ({"text": "Hi"}, {"finish_reason": "stop"})
    assert compared(found, *rest).missing == "0 of 2 characters of thinking"
    assert compared(found, *rest, drops_thinking=True).missing == ""
    assert compared(found, {"thinking": "oh"}, *rest, drops_thinking=True).wrong != ""


def test_a_call_whose_end_was_not_sent_is_not_due() -> None:
    body = events(delta(content="Hi"), call_part(0, "get_weather", '{"city":'), done=False)
    found = seen(chunked(body, SSE)[:-7], ConnectionEnd.CLOSE, path="/v1/chat/completions")
    assert compared(found, {"text": "Hi"}).missing == ""
    part = {"tool_call": {"name": "get_weather", "arguments": '{"ci'}}
    assert (compared(found, {"text": "Hi"}, part).wrong, compared(found, {"text": "H"}).missing) == (
        "",
        "1 of 2 characters of text",
    )


def test_an_error_may_be_yielded_as_a_value() -> None:
    found = seen(chunked(line(HELLO) + line({"error": "boom"})))
    assert compared(found, {"text": "Hello"}, {"error": "boom"}).reports_error
    assert not compared(found, {"text": "Hello"}).reports_error


# ----------------------------------------------------------------------------------------------------- lock-step


def test_a_record_is_told_of_when_all_that_it_says_is_yielded() -> None:
    found = seen(chunked(line(HELLO) + line(WORLD) + line(DONE), NDJSON))
    view = PieceView()
    told = [view.records_told(found, [{"text": text}]) for text in ("", "Hell", "Hello", "Hello wor", "Hello world")]
    assert told == [0, 0, 1, 1, 2]
    assert view.records_told(found, [{"text": "Hello world"}, {"finish_reason": "stop"}]) == 3


@pytest.mark.parametrize("id_", STREAMED)
def test_records_that_say_nothing_are_told_of_with_the_one_before(id_: str) -> None:
    """So each piece of a recorded stream tells of the record that says it, however many records say nothing."""
    found = reference(Script.from_recording(LIBRARY.get(id_), speed=0))
    assert found.said
    yielded: list[PieceObject] = []
    for one in found.said:
        yielded += one.pieces
        assert PieceView().records_told(found, yielded) >= one.records
