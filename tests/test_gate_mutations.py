"""A change that matters is caught, by its rule, in whatever recording it is made; noise is taken for noise."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ollama_harness.gate.rules import RULES, Level
from ollama_harness.gate.shapes import VersionShapes, shape
from ollama_harness.gate.wire_comparison import compare
from ollama_harness.recordings.recording import Frame, RecordedEnd, Recording
from ollama_harness.recordings.store import packaged_store

pytestmark = pytest.mark.same_everywhere

LIBRARY = packaged_store()
VERSIONS = {name: VersionShapes.of(LIBRARY.of_version(name)) for name in ("0.5.7", "0.32.15")}
#: Streams of generate and chat that came to their end, with records enough to edit.
STREAMS = [
    one.recording
    for version in VERSIONS.values()
    for one in version.shapes.values()
    if one.route in ("POST /api/generate", "POST /api/chat") and one.stream and one.ends_with == "last"
]
ERRORS = [
    one.recording
    for version in VERSIONS.values()
    for one in version.shapes.values()
    if one.status >= 400 and one.media_type == "application/json" and isinstance(_said := one.error, str)
    and one.recording.body.startswith(b'{"error":"')
]  # fmt: skip

#: What a version says elsewhere.
OTHERS = ("generate-stream", "generate-raw", "chat-stream", "chat-unicode")

Record = dict[str, Any]


def records(recording: Recording) -> list[Record]:
    return [json.loads(line) for line in recording.body.splitlines()]


def written(recording: Recording, changed: list[Record], *, ascii_only: bool = False, end: str = "\n") -> Recording:
    """The recording with these records, one a frame, as Go writes them."""
    frames = []
    for index, record in enumerate(changed):
        text = json.dumps(record, ensure_ascii=ascii_only, separators=(",", ":"))
        for raw, escaped in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")):
            text = text.replace(raw, escaped)
        at_s = recording.frames[min(index, len(recording.frames) - 1)].at_s
        frames.append(Frame(at_s=at_s, data=(text + end).encode()))
    return replace(recording, frames=tuple(frames), ended_at_s=max(recording.ended_at_s, frames[-1].at_s))


def each(edit: Callable[[Record], Record]) -> Callable[[Recording], Recording]:
    """Edit all records of a stream."""
    return lambda recording: written(recording, [edit(record) for record in records(recording)])


def head(recording: Recording, **changes: Any) -> Recording:
    return replace(recording, response=replace(recording.response, **changes))


def header(recording: Recording, name: str, value: str | None) -> Recording:
    kept = tuple((key, text) for key, text in recording.response.headers if key.lower() != name.lower())
    return head(recording, headers=kept if value is None else ((name, value), *kept))


def text_key(record: Record) -> str:
    return "response" if "response" in record else "message"


def regrouped(recording: Recording, size_bytes: int) -> Recording:
    """The same body in frames of another size."""
    body = recording.body
    pieces = [body[start : start + size_bytes] for start in range(0, len(body), size_bytes)]
    return replace(recording, frames=tuple(Frame(at_s=recording.ended_at_s, data=piece) for piece in pieces))


def swapped(record: Record) -> Record:
    keys = list(record)
    return {key: record[key] for key in (keys[1], keys[0], *keys[2:])}


@dataclass(frozen=True)
class Mutation:
    """An edit, and the rule that must see it."""

    rule: str
    edit: Callable[[Recording], Recording]


STREAM_MUTATIONS = {
    "a field is gone": Mutation("field-gone", each(lambda one: {k: v for k, v in one.items() if k != "model"})),
    "created_at is gone": Mutation("field-gone", each(lambda one: {k: v for k, v in one.items() if k != "created_at"})),
    "a field is new": Mutation("field-added", each(lambda one: {**one, "extra": 1})),
    "fields are swapped": Mutation("field-order-changed", each(swapped)),
    "text is a list": Mutation("type-changed", each(lambda one: {**one, text_key(one): [one[text_key(one)]]})),
    "done is a string": Mutation("type-changed", each(lambda one: {**one, "model": {"name": one["model"]}})),
    "numbers are strings": Mutation(
        "number-to-string", each(lambda one: {k: str(v) if k == "total_duration" else v for k, v in one.items()})
    ),
    "integers are fractions": Mutation(
        "integer-to-number", each(lambda one: {k: v + 0.5 if k == "total_duration" else v for k, v in one.items()})
    ),
    "null": Mutation("null-new", each(lambda one: {**one, "model": None})),
    "another time": Mutation(
        "time-format-changed", each(lambda one: {**one, "created_at": one["created_at"].replace("Z", "+02:00")})
    ),
    "no time at all": Mutation("time-format-changed", each(lambda one: {**one, "created_at": "yesterday"})),
    "seconds since 1970": Mutation("type-changed", each(lambda one: {**one, "created_at": 1795375130})),
    "another word": Mutation(
        "word-new", each(lambda one: {k: "tired" if k == "done_reason" else v for k, v in one.items()})
    ),
    "no terminal record": Mutation(
        "terminal-record-changed",
        lambda one: written(one, records(one)[:-1] or [{**records(one)[0], "done": False}]),
    ),
    "a record after done": Mutation("records-after-done", lambda one: written(one, [*records(one), records(one)[-1]])),
    "CRLF": Mutation("newline-changed", lambda one: written(one, records(one), end="\r\n")),
    "all in one chunk": Mutation("chunking-changed", lambda one: regrouped(one, len(one.body))),
    "records cross chunks": Mutation("chunking-changed", lambda one: regrouped(one, 37)),
    "an error status": Mutation("answer-refused", lambda one: head(one, status=500, reason="Internal Server Error")),
    "another success": Mutation("success-status-changed", lambda one: head(one, status=201, reason="Created")),
    "another type": Mutation("content-type-changed", lambda one: header(one, "Content-Type", "text/plain")),
    "a charset": Mutation(
        "content-type-parameters-changed",
        lambda one: header(one, "Content-Type", "application/x-ndjson; charset=utf-8"),
    ),
    "a header is new": Mutation("header-new", lambda one: header(one, "Server", "ollama")),
    "a header is gone": Mutation("header-gone", lambda one: header(one, "Date", None)),
    "cut": Mutation("connection-end-changed", lambda one: replace(one, ended=RecordedEnd.EOF)),
    "slow": Mutation(
        "first-byte-later",
        lambda one: head(one, head_at_s=one.response.head_at_s * 6 + 2),
    ),
}

ERROR_MUTATIONS = {
    "another text": Mutation("error-text-changed", lambda one: error_of(one, "something else went wrong")),
    "an object": Mutation("error-form-changed", lambda one: error_of(one, {"message": "no", "code": 1})),
    "another status": Mutation("error-status-changed", lambda one: head(one, status=one.response.status + 10)),
    "another class": Mutation(
        "error-class-changed", lambda one: head(one, status=400 if one.response.status >= 500 else 500)
    ),
    "in band": Mutation(
        "error-moved",
        lambda one: head(
            replace(one, frames=(Frame(at_s=one.ended_at_s, data=one.body + b"\n"),)),
            status=200,
            headers=(("Content-Type", "application/x-ndjson"), ("Date", ""), ("Transfer-Encoding", "chunked")),
        ),
    ),
    "no route": Mutation(
        "route-gone",
        lambda one: head(
            replace(one, frames=(Frame(at_s=one.ended_at_s, data=b"404 page not found"),)),
            status=404,
            headers=(("Content-Type", "text/plain"), ("Date", ""), ("Content-Length", "18")),
        ),
    ),
}


def error_of(recording: Recording, error: Any) -> Recording:
    return written(recording, [{"error": error}], end="")


def findings(original: Recording, mutated: Recording) -> dict[str, Level]:
    """The rules that see something, with the gravest level, when this recording alone has changed."""
    shapes = VERSIONS[original.ollama_version].shapes
    others = [shapes[name] for name in OTHERS if name != original.name]
    before, after = shapes[original.name], shape(mutated)
    old, new = (VersionShapes([one, *others], name="next") for one in (before, after))
    return {one.rule: one.level for one in reversed(compare([old], new).findings)}


#: There are so many mutations that a few recordings for each of them are many together.
a_few = settings(max_examples=min(15, settings.default.max_examples))


@pytest.mark.parametrize("mutation", STREAM_MUTATIONS.values(), ids=STREAM_MUTATIONS)
@a_few
@given(st.sampled_from(STREAMS))
def test_a_change_in_a_stream_is_caught_by_its_rule(mutation: Mutation, original: Recording) -> None:
    mutated = mutation.edit(original)
    assume(len(original.frames) > 1 or mutation.rule not in ("terminal-record-changed", "chunking-changed"))
    assume(mutated.body != original.body or mutated != original)
    assert findings(original, mutated).get(mutation.rule) == RULES[mutation.rule].level


@pytest.mark.parametrize("mutation", ERROR_MUTATIONS.values(), ids=ERROR_MUTATIONS)
@a_few
@given(st.sampled_from(ERRORS))
def test_a_change_in_an_error_is_caught_by_its_rule(mutation: Mutation, original: Recording) -> None:
    assert findings(original, mutation.edit(original)).get(mutation.rule) == RULES[mutation.rule].level


def test_an_escape_that_is_new_is_caught() -> None:
    original = LIBRARY.get("0.32.15/generate-unicode")
    assert "escaping-changed" in findings(original, written(original, records(original), ascii_only=True))


# -------------------------------------------------------------------------------------------------------- noise

fractions = st.integers(0, 999_999_999).map(lambda n: f".{n:09}".rstrip("0").rstrip("."))
moments = st.builds(
    lambda day, second, fraction: f"2027-03-{day:02}T11:22:{second:02}{fraction}Z",
    st.integers(1, 31), st.integers(0, 59), fractions,
)  # fmt: skip


@st.composite
def another_session(draw: st.DrawFn, original: Recording) -> Recording:
    """A second session: other times, durations, texts, one record more or fewer; a duration of zero is left out."""
    taken = []
    for record in records(original):
        one = {**record, "created_at": draw(moments)}
        for key in ("total_duration", "load_duration", "eval_duration"):
            if key in one:
                one[key] = draw(st.integers(1, 10**10))
        if one.get("response"):
            one["response"] = draw(st.text("abc é\n<", min_size=1, max_size=9))
        taken.append(one)
    middle = taken[1:-1]
    if middle and draw(st.booleans()):
        taken.insert(1, middle[0])
    elif len(middle) > 1 and draw(st.booleans()):
        del taken[1]
    if draw(st.booleans()) and original.name != "generate-one-token":
        taken[-1].pop("eval_duration", None)
    date = f"Mon, 23 Nov 2026 10:00:{draw(st.integers(0, 59)):02} GMT"
    drawn = written(original, taken)
    headers = tuple((key, date if key == "Date" else value) for key, value in drawn.response.headers)
    return head(drawn, headers=headers, head_at_s=original.response.head_at_s * draw(st.floats(0.5, 3)))


@settings(suppress_health_check=[HealthCheck.too_slow])  # that is about the machine, not about the property
@given(
    st.sampled_from([one for one in STREAMS if len(one.frames) <= 60]).flatmap(
        lambda one: st.tuples(st.just(one), another_session(one))
    )
)
def test_another_session_is_noise(pair: tuple[Recording, Recording]) -> None:
    assert set(findings(*pair).values()) <= {Level.NOISE}


@pytest.mark.parametrize("version", VERSIONS)
def test_the_recorded_second_sessions_are_noise(version: str) -> None:
    again = VersionShapes.of(LIBRARY.of_version(f"again/{version}"))
    wire = compare([VERSIONS[version]], again)
    assert {one.level for one in wire.findings} == {Level.NOISE}
    assert set(wire.compared) == again.shapes.keys()


def test_a_field_that_one_session_lacks_is_optional_and_one_that_both_have_is_not() -> None:
    original = LIBRARY.get("0.32.15/chat-stream")
    without = each(lambda one: {k: v for k, v in one.items() if k != "model"})(original)
    version = VERSIONS["0.32.15"]
    lacking = VersionShapes(
        [{**version.shapes, "chat-stream": shape(without)}[name] for name in version.shapes], name="0.32.15"
    )
    compared = compare([version, lacking], lacking)
    assert {one.level for one in compared.findings} == {Level.NOISE}
    assert any(one.unstable for one in compared.findings)
    assert any(one.rule == "field-gone" for one in compared.unstable)
    assert any(one.level is Level.BREAKING for one in compare([version, version], lacking).findings)


def test_ids_are_known_by_their_form() -> None:
    assert re.search("call_<letters and digits>", str(VERSIONS["0.32.15"].shapes["chat-tools-stream"].records))
