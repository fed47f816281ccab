"""Programmes: which request gets which answer, counted over all connections."""

from __future__ import annotations

import http.client
import itertools
import json
import threading
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jmespath
import jmespath.exceptions
import jsonschema
import pytest
from builders import in_one_test
from hypothesis import given
from hypothesis import strategies as st
from jmespath.parser import ParsedResult

from ollama_harness.answers import Asked
from ollama_harness.errors import FaultDoesNotApply, HarnessError, ProgrammeError
from ollama_harness.faults import (
    after_record,
    close_at,
    close_on_accept,
    drop_terminal_record,
    error_line_after_record,
    replace_with_error,
    set_header,
)
from ollama_harness.matrix.scenarios import SCENARIOS
from ollama_harness.matrix.served_scenario import ServedScenarios
from ollama_harness.recordings.recording import Request
from ollama_harness.recordings.store import packaged_store
from ollama_harness.server._expressions import expression
from ollama_harness.server._running_programme import RunningProgramme
from ollama_harness.server._running_rule import Seen
from ollama_harness.server._when import is_part_of
from ollama_harness.server.fake_ollama import FakeOllama
from ollama_harness.server.programme import (
    OwnError,
    OwnVectors,
    Play,
    Programme,
    ProgrammeRule,
    When,
    own_reply,
)
from ollama_harness.server.programme_file import read_programme
from ollama_harness.server.programme_notation import parse_on
from ollama_harness.server.recorded_answers import RecordedAnswers

pytestmark = pytest.mark.same_everywhere

MODEL = "smollm2:135m"
BUSY = OwnError.of(503, "busy")
CHAT = When(method="POST", path="/api/chat")


@pytest.fixture
def server() -> Iterator[FakeOllama]:
    with FakeOllama(speed=0, any_model=True) as server:
        yield server


def said(request: Request, model: str = "") -> SimpleNamespace:
    return SimpleNamespace(request=request, model=model, kept={})


def rules(*given: ProgrammeRule) -> Programme:
    return Programme(given)


def ask(server: FakeOllama, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        try:
            return response.status, response.read()
        except http.client.IncompleteRead as error:
            return response.status, error.partial
    finally:
        connection.close()


def chat(server: FakeOllama, /, path: str = "/api/chat", **fields: Any) -> tuple[int, bytes]:
    body = {"model": MODEL, "messages": [{"role": "user", "content": "x"}], **fields}
    return ask(server, "POST", path, body)


# --- which requests ---------------------------------------------------------------------------------------------------

TEXT = st.text(max_size=4)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@st.composite
def parts(draw: st.DrawFn, value: Any) -> Any:
    """A value with fields of its objects and items of its lists taken away, at any depth."""
    if isinstance(value, dict):
        return {key: draw(parts(inner)) for key, inner in value.items() if draw(st.booleans())}
    if isinstance(value, list):
        return [draw(parts(inner)) for inner in value if draw(st.booleans())]
    return value


@given(value=JSON)
def test_a_value_is_a_part_of_itself(value: Any) -> None:
    assert is_part_of(value, value)


@given(data=st.data(), value=JSON)
def test_what_is_left_when_something_is_taken_away_is_a_part(data: st.DataObject, value: Any) -> None:
    assert is_part_of(data.draw(parts(value)), value)


@given(value=st.dictionaries(TEXT, JSON, max_size=4), key=TEXT, inner=JSON)
def test_a_field_more_is_no_part(value: dict[str, Any], key: str, inner: Any) -> None:
    value.pop(key, None)
    assert not is_part_of({**value, key: inner}, value)


@given(items=st.lists(JSON, max_size=4), more=JSON)
def test_an_item_more_is_no_part(items: list[Any], more: Any) -> None:
    assert not is_part_of([*items, more], items)


@pytest.mark.parametrize(
    ("part", "value"),
    [(1, True), (True, 1), (0, False), ([2, 1], [1, 2]), ({}, []), ([], {}), ("", None), ([1], 1), ("a", "ab")],
)
def test_what_is_like_it_is_no_part(part: Any, value: Any) -> None:
    assert not is_part_of(part, value)


PATHS = st.lists(st.sampled_from(["api", "v1", "chat", "[x]", "a.b"]), min_size=1, max_size=3).map(
    lambda names: "/" + "/".join(names)
)


@given(path=PATHS, other=PATHS)
def test_a_path_without_a_pattern_is_itself_only(path: str, other: str) -> None:
    if "[" not in path:
        assert When(path=path).is_for_path(path)
        assert When(path=path).is_for_path(other) is (path == other)
    assert When(path="*").is_for_path(path)
    assert When(path=(path, other)).is_for_path(other) or "[" in other


@pytest.mark.parametrize(
    ("when", "yes", "no"),
    [
        (When(path="/api/*"), "/api/show", "/v1/models"),
        (When(path="/api/ch?t"), "/api/chat", "/api/cht"),
        (When(path=["/a", "/b"]), "/b", "/c"),
        (When(path="/v1/*"), "/v1/chat/completions", "/V1/x"),
    ],
)
def test_patterns_of_paths(when: When, yes: str, no: str) -> None:
    assert when.is_for_route("GET", yes)
    assert not when.is_for_route("GET", no)


def test_headers_are_compared_without_case_of_their_names() -> None:
    when = When(headers={"authorization": "Bearer *", "X-Try": "2"})
    assert when.has_headers({"authorization": ["Bearer abc"], "x-try": ["1", "2"]})
    assert not when.has_headers({"authorization": ["Bearer abc"]})
    assert not when.has_headers({"authorization": ["Basic abc"], "x-try": ["2"]})


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("llama3", "llama3:latest", "llama3:8b"),
        ("llama3", "LLAMA3", "llama3.1"),
        ("llama3*", "llama3:8b", "my/llama3"),
        ("*:8b", "llama3:8b", "llama3"),
        ("smollm2:latest*", "smollm2", "smollm2:135m"),
    ],
)
def test_models_are_named_as_ollama_reads_names(pattern: str, yes: str, no: str) -> None:
    when, request = When(model=pattern), Request(method="POST", path="/api/chat", headers=())
    assert when.is_for_body(said(request, yes))
    assert not when.is_for_body(said(request, no))


@pytest.mark.parametrize(
    ("text", "when", "nth"),
    [
        ("POST /api/chat #2", CHAT, (2,)),
        ("post /api/chat", CHAT, ()),
        ("/v1/* #1,3", When(path="/v1/*"), (1, 3)),
        ("#12", When(), (12,)),
        ("GET", When(method="GET"), ()),
        ("DELETE #2", When(method="DELETE"), (2,)),
        (" * ", When(path="*"), ()),
    ],
)
def test_on_names_requests(text: str, when: When, nth: tuple[int, ...]) -> None:
    assert parse_on(text) == (when, nth)


@pytest.mark.parametrize(
    "text", ["", " ", "POST api/chat", "#", "#x", "/api/chat#", "POST /a #0", "POST /a /b", "#1 #2"]
)
def test_what_names_no_requests_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="give"):
        parse_on(text)


@given(text=st.text(max_size=30))
def test_any_text_names_requests_or_is_refused(text: str) -> None:
    try:
        when, nth = parse_on(text)
    except ValueError as error:
        named, message = False, str(error)
    else:
        named, message = when != When() or bool(nth), ""
    assert named is ("give" not in message)


# --- which of them ----------------------------------------------------------------------------------------------------


def rule_for(**fields: Any) -> ProgrammeRule:
    return ProgrammeRule(answer=BUSY, **fields)


def turns(rule: ProgrammeRule, among: int = 2000) -> list[bool]:
    return [rule.is_turn(number) for number in range(1, among + 1)]


@given(seed=st.integers(), name=st.text(), probability=st.floats(0.01, 1))
def test_chance_is_the_same_each_time(seed: int, name: str, probability: float) -> None:
    once, again = (turns(rule_for(seed=seed, name=name, probability=probability), 50) for _ in range(2))
    assert once == again
    assert probability < 1 or all(once)


def test_chance_is_as_likely_as_it_says_and_depends_on_seed_and_content() -> None:
    rule = rule_for(probability=0.25, when=CHAT)
    others = [
        replace(rule, seed=1),
        replace(rule, name="other"),
        replace(rule, when=When(method="POST", path="/api/generate")),
        replace(rule, when=replace(CHAT, json={"think": True})),
        replace(rule, answer=OwnError.of(503, "other")),
        replace(rule, answer=Play(("chat-stream",))),
        replace(rule, faults=(set_header("X-Try", "1"),)),
    ]
    found = [turns(one) for one in (rule, *others)]
    assert all(420 < sum(one) < 580 for one in found)
    assert len(set(map(tuple, found))) == len(found)


def test_chance_of_a_rule_with_a_name_stays_when_its_content_changes() -> None:
    rule = rule_for(probability=0.25, name="sometimes")
    assert turns(replace(rule, answer=OwnError.of(500, "other"), when=CHAT, source="p: rule 9")) == turns(rule)


def test_chance_counts_nothing_but_what_the_rule_says(tmp_path: Path) -> None:
    """However the same is written, the same requests meet it in each run: hashes of texts differ, and orders do."""
    toml = "[[rules]]\nprobability = 0.25\nfail = 503\nwhen = { path = '/a', json = { a = 1, b = 2 } }"
    same = {"fail": 503, "probability": 0.25, "when": {"json": {"b": 2, "a": 1}, "path": ["/a"]}}
    (first,) = read_programme(written(tmp_path, toml)).rules
    _, second = read_programme(written(tmp_path, json.dumps({"rules": [{"fail": 500}, same]}), "p.json")).rules
    assert turns(first) == turns(second)
    assert [number for number, is_turn in enumerate(turns(first, 20), 1) if is_turn] == [1, 6, 8, 11, 15, 18, 19, 20]


def test_chance_of_a_rule_stays_when_it_moves(server: FakeOllama) -> None:
    rule = ProgrammeRule(when=CHAT, probability=0.5, answer=BUSY)
    other = ProgrammeRule(when=When(path="/api/tags"), answer=BUSY)
    statuses = []
    for programme in (rules(rule), rules(other, rule), rules(other, other, rule)):
        server.programme = programme
        statuses.append([chat(server)[0] for _ in range(12)])
    assert statuses[0] == statuses[1] == statuses[2]
    assert set(statuses[0]) == {200, 503}


def test_nth_and_every_are_numbers_of_requests() -> None:
    assert [n for n in range(1, 8) if rule_for(nth=(2, 5)).is_turn(n)] == [2, 5]
    assert [n for n in range(1, 8) if rule_for(every=3).is_turn(n)] == [3, 6]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"nth": (0,)}, "nth: 0 is too small; give 1 or more"),
        ({"every": 0}, "every: 0 is too small"),
        ({"times": -1}, "times: -1 is too small"),
        ({"probability": 0}, "probability: 0 is none; give more than 0"),
        ({"probability": 1.5}, r"probability: 1\.5 is none"),
        ({"answer": None}, "answer: the rule changes nothing; give it play"),
        ({"answer": None, "faults": (drop_terminal_record(),), "before_guard": True}, "before_guard: what would"),
        (
            {"answer": own_reply(text="a"), "when": When(path="/api/tags")},
            "path: '/api/tags' is none that this answers",
        ),
        ({"answer": OwnVectors.of([[1.0]]), "when": When(path="/api/chat")}, "give one of /api/embed"),
        ({"answer": own_reply(text="a"), "when": When(method="GET")}, "method: no request with GET"),
    ],
)
def test_a_rule_that_cannot_be_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ProgrammeRule(**{"answer": BUSY, **fields})


@pytest.mark.parametrize(
    ("method", "path", "message"), [("post", None, "in upper case"), (None, (), "the list is empty")]
)
def test_a_when_that_cannot_be_is_refused(method: str | None, path: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        When(method=method, path=path)


@pytest.mark.parametrize(
    ("expression", "yes", "no"),
    [
        ("messages[-1].role == 'tool'", {"messages": [{"role": "user"}, {"role": "tool"}]}, {"messages": []}),
        ("length(messages) > `1`", {"messages": [{}, {}]}, {"messages": [{}]}),
        ("length(messages) > `1`", {"messages": [{}, {}]}, {}),
        ("options.num_ctx", {"options": {"num_ctx": 0}}, {"options": {}}),
        ("tools[?function.name == 'add']", {"tools": [{"function": {"name": "add"}}]}, {"tools": []}),
        ("keep_alive == `0` || !stream", {"stream": False}, {"stream": True}),
    ],
)
def test_an_expression_of_jmespath_is_true_of_a_request_or_not(expression: str, yes: Any, no: Any) -> None:
    when = When(jmespath=expression)
    requests = (Request(method="POST", path="/api/chat", json=value) for value in (yes, no, None))
    found = [when.is_for_body(said(request)) for request in requests]
    assert found[:2] == [True, False]
    assert found[2] is (expression == "keep_alive == `0` || !stream"), "no JSON is null"


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("messages[", r"when\.jmespath: 'messages\[' is no JMESPath .*; write one like messages"),
        ("a || lenght(b) > `1`", "when.jmespath: JMESPath has no function lenght; it has abs"),
    ],
)
def test_what_is_no_jmespath_is_refused(expression: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        When(jmespath=expression)


def test_a_fault_before_a_request_is_for_no_rule() -> None:
    with pytest.raises(FaultDoesNotApply, match="before a request is read"):
        rule_for(faults=(close_on_accept(),))


# --- on a server ------------------------------------------------------------------------------------------------------


def test_the_second_request_to_a_route_is_struck_and_no_other(server: FakeOllama) -> None:
    server.programme = rules(ProgrammeRule(when=CHAT, nth=(2,), faults=(replace_with_error(503, "busy"),)))
    assert ask(server, "GET", "/api/tags")[0] == 200
    assert [chat(server)[0] for _ in range(3)] == [200, 503, 200]
    assert [entry.programme_rules for entry in server.journal.entries] == [(), (), ("rule 1",), ()]
    assert server.journal.entries[2].why.endswith("; struck by rule 1")


def test_fail_fail_then_answer_reads_from_top_to_bottom(server: FakeOllama) -> None:
    server.programme = rules(
        ProgrammeRule(when=CHAT, answer=BUSY, times=2), ProgrammeRule(when=CHAT, answer=Play(("chat-stream",)))
    )
    assert [chat(server)[0] for _ in range(3)] == [503, 503, 200]
    assert [entry.answered_by for entry in server.journal.entries] == ["fail", "fail", "0.32.15/chat-stream"]


def test_each_rule_counts_all_requests_that_it_is_for(server: FakeOllama) -> None:
    server.programme = rules(
        ProgrammeRule(when=CHAT, nth=(1,), answer=BUSY),
        ProgrammeRule(when=CHAT, nth=(2,), answer=OwnError.of(500, "two")),
        ProgrammeRule(when=CHAT, every=3, answer=OwnError.of(404, "three")),
    )
    assert [chat(server)[0] for _ in range(6)] == [503, 500, 404, 200, 200, 404]


def test_faults_of_several_rules_strike_one_answer(server: FakeOllama) -> None:
    server.programme = rules(
        ProgrammeRule(when=When(path="/api/*"), faults=(set_header("X-One", "1"),)),
        ProgrammeRule(when=CHAT, nth=(1,), faults=(set_header("X-Two", "2"),)),
        ProgrammeRule(when=CHAT, answer=own_reply(text="mine")),
    )
    assert b"mine" in chat(server)[1]
    assert server.journal.wait_until_settled()
    (entry,) = server.journal.entries
    assert b"X-One: 1" in entry.wire
    assert b"X-Two: 2" in entry.wire
    assert entry.programme_rules == ("rule 3", "rule 2", "rule 1")


def test_what_is_arranged_later_comes_before_the_programme_and_keeps_its_counts(server: FakeOllama) -> None:
    server.programme = rules(ProgrammeRule(when=CHAT, nth=(3,), answer=BUSY))
    assert chat(server)[0] == 200
    server.fail(500, "first", times=1)
    assert [chat(server)[0] for _ in range(2)] == [500, 503]
    assert [rule.times for rule in server.programme.rules] == [1, None]


def test_the_next_requests_are_answered_in_the_order_of_the_calls(server: FakeOllama) -> None:
    server.play("chat-stream")
    server.next.fail(503, "busy")
    server.next.play("chat-stream", close_at(after_record(2)))
    server.next.fail(429, "slow down", times=2)
    server.reply("then")
    answers = [chat(server) for _ in range(5)]
    assert [status for status, _ in answers] == [503, 200, 429, 429, 200]
    assert answers[1][1].count(b"\n") == 2
    assert b"then" in answers[4][1]


def test_next_answers_the_next_request_that_it_is_for(server: FakeOllama) -> None:
    server.next.reply("once", path="/api/generate")
    assert b"once" not in chat(server)[1]
    generated = [ask(server, "POST", "/api/generate", {"model": MODEL, "prompt": "x"})[1] for _ in range(2)]
    assert [b"once" in body for body in generated] == [True, False]


def test_what_next_arranged_is_forgotten_when_it_was_used(server: FakeOllama) -> None:
    for _ in range(3):
        server.next.fail(503, "busy")
        assert chat(server)[0] == 503
    server.next.fail(503, "busy")
    assert len(server.programme.rules) == 1


def test_what_is_next_comes_before_what_was_arranged_before_it(server: FakeOllama) -> None:
    server.fail(500, "always")
    server.next.fail(503, "busy")
    assert [chat(server)[0] for _ in range(2)] == [503, 500]


def test_what_is_next_and_was_taken_away_does_not_come_back(server: FakeOllama) -> None:
    server.next.fail(503, "busy")
    assert server._programme.remove(server._programme.rules[0].id)
    server.next.fail(429, "slow")
    assert [chat(server)[0] for _ in range(2)] == [429, 200]


def test_a_rule_that_others_used_up_meanwhile_answers_no_more(server: FakeOllama) -> None:
    server.programme = rules(ProgrammeRule(answer=BUSY, times=2))
    (running,) = server._programme.rules
    assert [server._programme.use(running) for _ in range(3)] == [1, 2, 0]


def test_one_of_many_connections_gets_what_is_next(server: FakeOllama) -> None:
    server.next.fail(503, "busy", times=3)
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: chat(server)[0], range(16)))
    assert sorted(statuses) == [200] * 13 + [503] * 3


def test_an_edited_rule_begins_and_the_others_go_on() -> None:
    first = ProgrammeRule(when=CHAT, nth=(2,), answer=BUSY, source="p: rule 1")
    second = ProgrammeRule(when=CHAT, every=3, answer=OwnError.of(429, "three"), source="p: rule 2")
    with FakeOllama(speed=0, any_model=True, programme=rules(first, second)) as server:
        server.reply("once", times=1)
        assert [chat(server)[0] for _ in range(2)] == [200, 503]
        new = ProgrammeRule(when=CHAT, nth=(1,), answer=OwnError.of(500, "new"), source="p: rule 1")
        edited = ProgrammeRule(when=CHAT, nth=(2,), answer=OwnError.of(502, "edited"), source="p: rule 2")
        moved = replace(second, source="p: rule 3")
        server.edit_programme(rules(new, edited, moved))
        assert [chat(server)[0] for _ in range(4)] == [500, 502, 200, 429], (
            "the third rule counts on: this is the sixth"
        )
        server.clear()
        assert server.programme == rules(new, edited, moved)


def test_equal_rules_go_on_each_with_its_own_count(server: FakeOllama) -> None:
    once = ProgrammeRule(when=CHAT, times=1, answer=BUSY)
    server.programme = rules(once)
    assert chat(server)[0] == 503
    server.edit_programme(rules(once, once))
    assert [chat(server)[0] for _ in range(2)] == [503, 200], "the second is new"


def test_an_edit_that_moves_a_rule_gives_it_its_new_place(server: FakeOllama) -> None:
    rule = ProgrammeRule(when=CHAT, answer=BUSY, source="p: line 1, rule 1")
    server.programme = rules(rule)
    server.edit_programme(
        rules(ProgrammeRule(when=When(path="/x"), answer=BUSY), replace(rule, source="p: line 9, rule 2"))
    )
    chat(server)
    assert server.journal.entries[-1].programme_rules == ("p: line 9, rule 2",)


def test_of_recordings_for_several_routes_each_request_gets_its_own(server: FakeOllama) -> None:
    server.programme = rules(ProgrammeRule(when=When(path="/api/*"), answer=Play(("chat-stream", "generate-stream"))))
    assert all(b'"message"' in chat(server)[1] for _ in range(2))
    answers = [ask(server, "POST", "/api/generate", {"model": MODEL, "prompt": "x"})[1] for _ in range(2)]
    assert all(b'"response"' in one for one in answers)


def test_a_broken_edit_changes_nothing(server: FakeOllama) -> None:
    server.programme = rules(ProgrammeRule(when=CHAT, answer=BUSY, times=2))
    assert chat(server)[0] == 503
    with pytest.raises(ProgrammeError, match="no recording called 'nope'"):
        server.edit_programme(rules(ProgrammeRule(answer=Play(("nope",)))))
    assert [chat(server)[0] for _ in range(2)] == [503, 200]


def test_setting_it_counts_from_the_beginning_and_clear_brings_back_the_first() -> None:
    second = rules(ProgrammeRule(when=CHAT, nth=(2,), answer=BUSY))
    with FakeOllama(speed=0, any_model=True, programme=second) as server:
        assert [chat(server)[0] for _ in range(2)] == [200, 503]
        server.programme = Programme()
        assert [chat(server)[0] for _ in range(2)] == [200, 200]
        server.clear()
        assert server.programme == second
        assert [chat(server)[0] for _ in range(2)] == [200, 503]


def test_what_the_guard_keeps_out_is_not_counted(server: FakeOllama) -> None:
    server.programme = rules(ProgrammeRule(when=CHAT, nth=(1,), answer=BUSY))
    assert ask(server, "POST", "/api/chat", {}, Origin="https://evil.example")[0] == 403
    assert chat(server)[0] == 503


def test_each_of_many_connections_has_its_own_number(server: FakeOllama) -> None:
    server.programme = rules(
        *(ProgrammeRule(when=CHAT, nth=(n,), answer=OwnError.of(400 + n, "mine")) for n in range(1, 33))
    )
    together = threading.Barrier(8)

    def four(_: int) -> list[int]:
        together.wait()
        return [chat(server)[0] for _ in range(4)]

    with ThreadPoolExecutor(8) as pool:
        seen = list(itertools.chain.from_iterable(pool.map(four, range(8))))
    assert sorted(seen) == list(range(401, 433))


def test_numbers_are_exact_whatever_number_of_connections_asks(server: FakeOllama) -> None:
    """Each rule counts all 200 requests; one that answers others is no reason to miss one."""
    lengths = {name: len(STORE.get(f"{STORE.newest}/{name}").body) for name in ("chat-history", "chat-stream")}
    server.programme = rules(
        ProgrammeRule(when=CHAT, nth=(1, 100, 200), answer=OwnError.of(401, "nth")),
        ProgrammeRule(
            when=replace(CHAT, jmespath="messages[0].content == 'x'"), every=8, answer=OwnError.of(402, "8th")
        ),
        ProgrammeRule(when=CHAT, probability=0.3, seed=5, times=20, answer=OwnError.of(403, "chance")),
        ProgrammeRule(when=CHAT, times=10, answer=OwnError.of(405, "ten times")),
        ProgrammeRule(when=CHAT, answer=Play(tuple(lengths))),
    )
    seen = at_once(50, lambda: [chat(server) for _ in range(4)])
    statuses = Counter(status for status, _ in seen)
    eighths = {*range(8, 201, 8)} - {200}
    by_chance = [n for n in range(1, 201) if n not in {1, 100, *eighths, 200} and server.programme.rules[2].is_turn(n)]
    assert len(by_chance) > 20, "so that `times` limits them"
    others = 200 - 3 - len(eighths) - 20 - 10
    assert statuses == {401: 3, 402: len(eighths), 403: 20, 405: 10, 200: others}
    played = Counter(len(body) for status, body in seen if status == 200)
    assert sorted(played) == sorted(lengths.values())
    assert max(played.values()) - min(played.values()) == others % 2, "one after the other"
    counts = [(one.matched, one.answered) for one in server._programme.rules]
    assert counts[:3] == [(200, 3), (200, len(eighths)), (200, 20)]


def at_once(threads: int, ask: Callable[[], list[tuple[int, bytes]]]) -> list[tuple[int, bytes]]:
    """What all of so many threads get that begin together."""
    together = threading.Barrier(threads)

    def one(_: int) -> list[tuple[int, bytes]]:
        together.wait()
        return ask()

    with ThreadPoolExecutor(threads) as pool:
        return list(itertools.chain.from_iterable(pool.map(one, range(threads))))


def test_the_number_of_an_answer_decides_which_recording_is_played(server: FakeOllama) -> None:
    """Not the count when it is looked up, which others may have changed meanwhile."""
    server.programme = rules(ProgrammeRule(when=CHAT, answer=Play(("chat-stream", "chat-history"))))
    (running,) = server._programme.rules
    body = json.dumps({"model": MODEL, "messages": []}).encode()
    seen = Seen(Asked(method="POST", target="/api/chat", headers=(), body=body), server._recorded.world)
    first, second, third = (running.candidate(seen, number).recording.name for number in (1, 2, 3))
    assert {first, second} == {"chat-history", "chat-stream"}
    assert third == first


def test_when_looks_at_the_body(server: FakeOllama) -> None:
    server.programme = rules(
        ProgrammeRule(when=When(json={"messages": [{"role": "tool"}]}), answer=own_reply(text="told")),
        ProgrammeRule(when=When(stream=False), answer=own_reply(text="whole")),
        ProgrammeRule(when=When(model="llama*"), answer=own_reply(text="llama")),
        ProgrammeRule(answer=own_reply(text="else")),
    )
    tool = [{"role": "user", "content": "x"}, {"role": "tool", "content": "4"}]
    assert b"told" in chat(server, messages=tool, stream=False)[1]
    assert b"whole" in chat(server, stream=False)[1]
    assert b"llama" in chat(server, model="llama3")[1]
    assert b"else" in chat(server)[1]


def test_of_several_recordings_the_nearest_come_one_after_the_other(server: FakeOllama) -> None:
    server.programme = rules(ProgrammeRule(answer=Play(("chat-tools-*", "!chat-tools-unsupported"))))
    assert ask(server, "GET", "/api/tags")[0] == 200
    for stream in (True, True, False):
        chat(server, stream=stream)
    tags, *played = [entry.answered_by for entry in server.journal.entries]
    assert tags.endswith("/tags")
    assert len(set(played)) == 3
    assert [packaged_store().get(id_).request.streams for id_ in played] == [True, True, False]
    same = packaged_store().get(played[1]).request
    ask(server, "POST", "/api/chat", same.json)
    assert server.journal.entries[-1].answered_by == played[1]


def test_a_path_of_ones_own_gets_the_recording(server: FakeOllama) -> None:
    server.programme = rules(ProgrammeRule(when=When(method="GET", path="/mine"), answer=Play(("version",))))
    assert ask(server, "POST", "/mine", {})[0] == 404
    assert ask(server, "GET", "/mine") == (200, b'{"version":"0.32.15"}')


def test_a_fault_that_did_not_strike_this_answer_is_in_journal_and_log(server: FakeOllama) -> None:
    server.programme = rules(ProgrammeRule(when=When(path="/api/*"), times=1, faults=(close_at(after_record(3)),)))
    assert ask(server, "GET", "/api/version")[0] == 200
    (entry,) = server.journal.entries
    assert entry.left_out[0].startswith("close_at(after_record(3)) was left out: ")
    assert entry.line.endswith("; 1 fault left out")
    with pytest.raises(FaultDoesNotApply):
        server.check()
    assert (
        b'"done":true'
        not in ask(server, "POST", "/api/chat", packaged_store().get("0.32.15/chat-stream").request.json)[1]
    )
    assert server.journal.entries[-1].left_out == ()


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (
            ProgrammeRule(answer=Play(("chat-steam",))),
            "rule 1: there is no recording called 'chat-steam'; did you mean",
        ),
        (
            ProgrammeRule(answer=Play(("version",)), faults=(close_at(after_record(3)),)),
            r"rule 1: close_at\(after_record\(3\)\) can strike none of version: ",
        ),
        (
            ProgrammeRule(when=When(path="/api/tags"), faults=(error_line_after_record(3, "x"),)),
            "rule 1: .* can strike no answer to such a request: ",
        ),
        (
            ProgrammeRule(when=When(path="/api/chatt"), faults=(replace_with_error(503),)),
            "rule 1: no recording answers a request to /api/chatt, so the faults have nothing to strike; correct",
        ),
        (
            ProgrammeRule(when=CHAT, answer=own_reply(text=("a", "b")), faults=(close_at(after_record(9)),)),
            "rule 1: .* can strike no answer to such a request: ",
        ),
        (ProgrammeRule(answer=BUSY, faults=(close_at(after_record(9)),)), "rule 1: .* can strike no answer"),
    ],
)
def test_what_can_have_no_effect_is_refused(rule: ProgrammeRule, message: str) -> None:
    with pytest.raises(ProgrammeError, match=message):
        FakeOllama(programme=rules(rule))


def test_a_rule_that_is_never_reached_is_refused() -> None:
    with pytest.raises(ProgrammeError, match="rule 2 never answers: rule 1 answers every request; swap them"):
        FakeOllama(programme=rules(ProgrammeRule(answer=BUSY), ProgrammeRule(answer=Play(("tags",)))))
    with pytest.raises(FaultDoesNotApply, match="leaves no request for a programme"):
        FakeOllama(programme=rules(ProgrammeRule(answer=BUSY)), faults=[close_on_accept()])


def test_two_hundred_rules_are_read_with_one_look_at_the_body(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cost of a request: its body is read once for all rules, and its kind of route is found once."""
    recorded = RecordedAnswers(store=None, version="newest", speed=0, gap_s=None, faults=())
    running, looks = RunningProgramme(recorded), list[str]()
    running.set(
        rules(
            *(
                ProgrammeRule(
                    when=When(path="/api/chat", model="*", json={"options": {"seed": n}}),
                    nth=(1,),
                    answer=own_reply(text="a"),
                )
                for n in range(200)
            )
        )
    )
    for name in ("request_of", "model_of"):
        whole = getattr(__import__("ollama_harness.server._running_rule", fromlist=[name]), name)
        monkeypatch.setattr(
            f"ollama_harness.server._running_rule.{name}",
            lambda *arguments, name=name, whole=whole: (looks.append(name), whole(*arguments))[1],
        )
    body = json.dumps({"model": MODEL, "messages": [], "options": {"seed": 150}}).encode()
    asked = Asked(method="POST", target="/api/chat", headers=(("Host", "x"),), body=body, at=datetime.now(UTC))
    found = list(running.met(Seen(asked, recorded.world), before_guard=False))
    assert [one.place for one in found] == [151]
    assert looks == ["request_of", "model_of"]


# --- scenarios --------------------------------------------------------------------------------------------------------

STORE = packaged_store()
SERVED = ServedScenarios(STORE, STORE.newest)
NOT_SERVED = [one.name for one in SERVED.summaries if not one.routes]


@in_one_test("name", [one.name for one in SERVED.summaries if one.routes])
def test_a_scenario_that_is_served_has_rules_or_faults_of_which_none_is_refused(name: str) -> None:
    found = SERVED.rules(name)
    server = FakeOllama(programme=found.programme, faults=found.on_accept, store=STORE)
    assert bool(server.programme.rules) is not bool(found.on_accept)


@in_one_test("name", NOT_SERVED)
def test_a_scenario_that_is_not_served_is_refused_with_what_to_use(name: str) -> None:
    with pytest.raises(HarnessError, match=f"use `ollama-harness run --scenario {name}`"):
        SERVED.rules(name)


def test_only_what_no_answer_can_do_is_not_served() -> None:
    others = {name for name in NOT_SERVED if SCENARIOS[name].environment is None}
    waiting = {"lock-step", "meanwhile"}
    assert others == waiting | {f"{name}-v1" for name in waiting}, "they wait for what a client yields"


def test_a_fault_that_only_run_can_do_is_left_out_and_named() -> None:
    (rule,) = SERVED.rules("cut-after-many-records").programme.rules
    assert [fault.name for fault in rule.faults] == ["close_at"]
    assert rule.source == "scenario cut-after-many-records (without lock_step(), which only `run` can do)"


def test_a_scenario_lists_the_routes_that_it_answers_or_strikes() -> None:
    routes = {one.name: one.routes for one in SERVED.summaries}
    assert routes["closed-on-accept"] == ("*",)
    assert set(routes["runner-killed"]) == {"/api/chat", "/api/generate"}
    assert "/v1/chat/completions" in routes["cut-after-record"]


# --- expressions ------------------------------------------------------------------------------------------------------

LITERALS = ["'tool'", "''", "'a'", "`1`", "`0`", "`1.0`", "`true`", "`false`", "`null`", "`[]`", "`[1]`", '`"a"`']
PLACES = ["role", "a", "a.b", "items[0]", "items[-1].a", "@", "length(items)", "items", "to_number(a)"]
TESTS = st.one_of(
    st.builds(
        "{} {} {}".format, st.sampled_from(PLACES), st.sampled_from(["==", "!=", "<", ">="]), st.sampled_from(LITERALS)
    ),
    st.builds(
        "{} {} {}".format, st.sampled_from(LITERALS), st.sampled_from(["==", "!=", "<", ">="]), st.sampled_from(PLACES)
    ),
    st.builds("{}({}, 'a')".format, st.sampled_from(["contains", "starts_with", "ends_with"]), st.sampled_from(PLACES)),
    st.sampled_from(PLACES),
)
EXPRESSIONS = st.recursive(
    TESTS,
    lambda inner: st.one_of(
        st.builds("({} && {})".format, inner, inner),
        st.builds("({} || {})".format, inner, inner),
        st.builds("!({})".format, inner),
        st.builds("items[?{}]".format, inner),
        st.builds("items[?{}].a".format, inner),
    ),
    max_leaves=4,
)
SCALARS = st.sampled_from(["tool", "a", "", "ab", 0, 1, 2, 1.0, True, False, None])
ASKED = st.fixed_dictionaries(
    {},
    optional={
        "role": SCALARS,
        "a": SCALARS | st.fixed_dictionaries({"b": SCALARS}) | st.lists(SCALARS, max_size=2),
        "items": st.lists(SCALARS | st.fixed_dictionaries({"a": SCALARS, "role": SCALARS}), max_size=3),
    },
)


@given(texts=st.lists(EXPRESSIONS, min_size=1, max_size=4), value=ASKED)
def test_an_expression_is_true_where_the_library_says_so(texts: list[str], value: Any) -> None:
    """Those of one request share what they find, and each means what it means alone."""
    kept: dict[object, Any] = {}
    assert [expression(text)(value, kept) for text in texts] == [library_says(text, value) for text in texts]


@pytest.mark.parametrize(
    ("text", "value", "is_true"),
    [
        ("a == `1`", {"a": True}, False),
        ("a == `1`", {"a": 1.0}, True),
        ("a != `true`", {"a": 1}, True),
        ("a == `null`", {}, True),
        ("`1` < a", {"a": 2}, True),
        ("`1` > a", {"a": 2}, False),
        ("a < `[]`", {"a": 2}, False),
        ("a < 'b' || b", {"a": 1, "b": 1}, False),
        ("items[?@ == `null`]", {"items": [None]}, False),
        ("items[?a == 'x'] && a == 'y'", {"a": "y", "items": [{"a": "z"}, {"a": "x"}]}, True),
        ("items[?a < 'b']", {"items": [{"a": "a"}, {"a": 1}]}, False),
        ("contains(items, 'x')", {"items": ["y", "x"]}, True),
        ("starts_with(items, 'x') || a", {"items": ["x"], "a": 1}, False),
        ("!`0`", {}, False),
    ],
)
def test_an_expression_means_what_jmespath_says(text: str, value: Any, is_true: bool) -> None:
    assert expression(text)(value, {}) is is_true
    assert library_says(text, value) is is_true


def library_says(text: str, value: Any) -> bool:
    try:
        found = jmespath.search(text, value)
    except (jmespath.exceptions.JMESPathError, TypeError):
        return False
    return found is not None and found is not False and found not in ("", [], {})


@pytest.mark.parametrize("text", ["a < 'x'", "a < `1`", "sum(a)", "ceil(to_number('1e999'))", "max_by(items, &a)"])
def test_what_cannot_be_asked_of_a_request_is_not_true_of_it(text: str, server: FakeOllama) -> None:
    server.programme = rules(ProgrammeRule(when=When(path="/api/chat", jmespath=text), answer=BUSY))
    values = (1, "x", None)
    statuses = {chat(server, a=a, items=[{"a": 1}, {"a": "x"}])[0] for a in values}
    assert statuses <= {200, 503}
    assert 200 in statuses


def test_equal_expressions_are_asked_once_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    search = ParsedResult.search
    monkeypatch.setattr(ParsedResult, "search", lambda self, value: asked.append(value) or search(self, value))
    kept: dict[object, Any] = {}
    texts = [f"messages[-1].content == 'x{number}'" for number in range(200)]
    texts += [f"contains(messages[-1].content, 'x{number}') || messages[-1].content == 'y'" for number in range(200)]
    value = {"messages": [{"content": "x7"}]}
    assert sum(expression(text)(value, kept) for text in texts) == 2
    assert asked == [value]


@pytest.mark.parametrize("text", ["(" * 5000 + "a" + ")" * 5000, " && ".join(["a"] * 2000), "!" * 150 + "a"])
def test_an_expression_that_is_nested_too_deeply_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^when.jmespath: .* is nested too deeply; write a shorter one"):
        When(jmespath=text)
    assert expression(" && ".join(["a"] * 90))({"a": 1}, {})


# --- files ------------------------------------------------------------------------------------------------------------

SCHEMA = json.loads((Path(__file__).parent.parent / "docs" / "programme.schema.json").read_text("utf-8"))

WHOLE = """
[[rules]]
name = "second chat"
when = { method = "POST", path = ["/api/chat", "/v1/*"], headers = { "X-Try" = "*" }, json = { think = true }, \
jmespath = "messages[-1].role == 'user'", stream = true, model = "smol*" }
nth = [2, 4]
play = ["chat-*", "!chat-load"]
speed = 2
faults = "close_at(after_record(3))"

[[rules]]
every = 3
probability = 0.5
seed = 7
times = 2
before_guard = true
fail = { status = 429, message = "slow down" }

[[rules]]
nth = 1
reply = { text = ["a", "b"], done_reason = "length" }

[[rules]]
embed = [[1, 2.5]]

[[rules]]
when.path = "/api/tags"
faults = ["replace_with_error(503)", "set_header('Retry-After', '1')"]
"""


def written(folder: Path, text: str, name: str = "p.toml") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def test_a_file_says_all_that_a_rule_can(tmp_path: Path) -> None:
    first, second, third, fourth, fifth = read_programme(written(tmp_path, WHOLE)).rules
    assert first == ProgrammeRule(
        name="second chat",
        source="p.toml: line 2, rule 1",
        when=When(
            method="POST",
            path=("/api/chat", "/v1/*"),
            headers={"X-Try": "*"},
            json={"think": True},
            jmespath="messages[-1].role == 'user'",
            stream=True,
            model="smol*",
        ),
        nth=(2, 4),
        answer=Play(("chat-*", "!chat-load"), speed=2),
        faults=(close_at(after_record(3)),),
    )
    assert second.answer == OwnError.of(429, "slow down")
    assert (second.every, second.probability, second.seed, second.times, second.before_guard) == (3, 0.5, 7, 2, True)
    assert third == ProgrammeRule(
        nth=(1,), answer=own_reply(text=("a", "b"), done_reason="length"), source="p.toml: line 18, rule 3"
    )
    assert fourth.answer == OwnVectors.of([[1, 2.5]])
    assert fifth.faults == (replace_with_error(503), set_header("Retry-After", "1"))
    assert fifth.when == When(path=("/api/tags",))


def test_json_says_the_same_as_toml(tmp_path: Path) -> None:
    same = written(tmp_path, json.dumps(tomllib.loads(WHOLE)), "p.json")
    of_json, of_toml = (
        [repr(replace(rule, source="")) for rule in read_programme(path).rules]
        for path in (same, written(tmp_path, WHOLE))
    )
    assert of_json == of_toml


#: What a rule of a file may be told, and how the error begins after the name of the file. The schema refuses the same,
#: but for what only the harness knows.
BAD = [
    ("nth = 0\nfail = 503", "line 2, rule 1, nth: 0 is too small", True),
    ("nth = []\nfail = 503", "line 2, rule 1, nth: is []; make it a number, or a list of numbers", True),
    ("every = '2'\nfail = 503", "line 2, rule 1, every: is '2'; make it a number", True),
    ("times = true\nfail = 503", "line 2, rule 1, times: is True; make it a number", True),
    ("probability = 2\nfail = 503", "line 2, rule 1, probability: 2 is none", True),
    ("fail = 200", "line 2, rule 1, fail: 200 is no status of an error; give one from 400 to 599", True),
    ("fail = 503\nplay = 'tags'", "line 2, rule 1, fail: there is play, too", True),
    ("fail = { status = 503, text = 'a' }", "line 2, rule 1, fail, text: is no key of fail; the keys are status", True),
    ("fail = 503\nwhne = {}", "line 3, rule 1, whne: is no key of a rule; the keys are name, when", True),
    ("fail = 503\nspeed = 1", "line 3, rule 1, speed: is there without play", True),
    (
        "when = { pth = '/a' }\nfail = 503",
        "line 2, rule 1, when, pth: is no key of when; the keys are method, path",
        True,
    ),
    ("when = { method = 'post' }\nfail = 503", "line 2, rule 1, when.method: 'post' is no method", True),
    ("when = { path = 3 }\nfail = 503", "line 2, rule 1, when, path: is 3; make it a path", True),
    ("when = { headers = { a = 1 } }\nfail = 503", "line 2, rule 1, when, headers: is {'a': 1}; make it a table", True),
    ("when = { stream = 'no' }\nfail = 503", "line 2, rule 1, when, stream: is 'no'; make it true or false", True),
    ("when = { jmespath = 'a[' }\nfail = 503", "line 2, rule 1, when.jmespath: 'a[' is no JMESPath (", False),
    ("when = 3\nfail = 503", "line 2, rule 1, when: is 3, not a table", True),
    ("nth = 2", "line 1, rule 1, answer: the rule changes nothing; give it play, reply", True),
    ("faults = 'close_at(3)'", "line 2, rule 1, faults: close_at takes (place); 3 is no Place", False),
    ("faults = 'nope()'", "line 2, rule 1, faults: there is no fault or place called 'nope'", False),
    ("faults = []\nfail = 503", "line 2, rule 1, faults: is []; make it a fault in quotes", True),
    ("embed = [[1], [1, 2]]", "line 2, rule 1, embed: ", False),
    ("play = ''", "line 2, rule 1, play: is ''; make it a recording", True),
    ("name = 3\nfail = 503", "line 2, rule 1, name: is 3; make it a text", True),
]


@pytest.mark.parametrize(("text", "message", "in_schema"), BAD, ids=[text.replace("\n", " ") for text, *_ in BAD])
def test_a_wrong_file_is_one_sentence_and_the_schema_refuses_it(
    text: str, message: str, in_schema: bool, tmp_path: Path
) -> None:
    path = written(tmp_path, f"[[rules]]\n{text}\n")
    with pytest.raises(HarnessError) as raised:
        read_programme(path)
    assert str(raised.value).startswith(f"{path}: {message}")
    value = tomllib.loads(path.read_text("utf-8"))
    assert jsonschema.Draft202012Validator(SCHEMA).is_valid(value) is not in_schema


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.toml", "", "rules: is no list of rules, or has none; give one, like [[rules]]"),
        ("p.toml", "rule = 3", "line 1, rule: is no key of a programme; the key is rules"),
        ("p.toml", "[[rules]\n", "line 1"),
        ("p.json", "[]", "is no JSON object"),
        ("p.json", '{"rules": [3]}', "line 1, rule 1: is 3, not a table"),
        ("p.toml", "[[rules]]\nreply = { txt = 'a' }", "line 2, rule 1, reply.txt: is no field of a reply"),
        (
            "p.toml",
            "[[rules]]\nreply = { text = 'a', done_reason = 'x' }",
            "line 2, rule 1, reply.done_reason: 'x' is none",
        ),
    ],
)
def test_what_is_no_programme_is_refused(name: str, text: str, message: str, tmp_path: Path) -> None:
    path = written(tmp_path, text, name)
    with pytest.raises(HarnessError) as raised:
        read_programme(path)
    assert str(raised.value).startswith(f"{path}: {message}")


def test_the_schema_is_one_and_takes_what_the_reader_takes() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert jsonschema.Draft202012Validator(SCHEMA).is_valid(tomllib.loads(WHOLE))
