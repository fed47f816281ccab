"""What a request chooses for itself, by the header X-Ollama-Harness or by a prefix of its path."""

from __future__ import annotations

import http.client
import itertools
import json
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

import ollama
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_harness.answers import Asked, Step
from ollama_harness.faults import after_record, close_at, replace_with_error, set_header
from ollama_harness.matrix.served_scenario import ServedScenarios
from ollama_harness.server._choices import _split
from ollama_harness.server.fake_ollama import FakeOllama
from ollama_harness.server.programme import OwnError, Programme, ProgrammeRule, When
from ollama_harness.server.programme_notation import parse_fail

pytestmark = pytest.mark.same_everywhere

MODEL = "smollm2:135m"
CHAT = {"model": MODEL, "messages": [{"role": "user", "content": "x"}]}
CUT = "fault=close_at(after_record(3))"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def is_whole(self) -> bool:
        return b'"done":true' in self.body


@pytest.fixture
def server() -> Iterator[FakeOllama]:
    with FakeOllama(speed=0, any_model=True, scenarios=ServedScenarios) as server:
        yield server


def ask(server: FakeOllama, path: str = "/api/chat", *, method: str = "", body: Any = CHAT, **headers: Any) -> Answer:
    """The answer; `choice` is a value of X-Ollama-Harness, or several. Without a body it is a GET."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    try:
        data = None if body is None else json.dumps(body).encode()
        connection.putrequest(method or ("GET" if data is None else "POST"), path)
        choices = headers.pop("choice", ())
        for value in (choices,) if isinstance(choices, str | bytes) else choices:
            connection.putheader("X-Ollama-Harness", value)
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        if data is not None:
            connection.putheader("Content-Length", str(len(data)))
        connection.endheaders(data)
        response = connection.getresponse()
        try:
            read = response.read()
        except http.client.IncompleteRead as error:
            read = error.partial
        return Answer(response.status, dict(response.headers), read)
    finally:
        connection.close()


# --- the header -------------------------------------------------------------------------------------------------------


def test_a_fault_strikes_this_request_and_no_other(server: FakeOllama) -> None:
    answers = [ask(server, choice=CUT), ask(server)]
    assert answers[0].body.count(b"\n") == 3
    assert answers[1].is_whole
    assert server.journal.entries[0].programme_rules == ("header",)
    assert server.journal.entries[0].why.endswith("; struck by header")
    assert server.journal.entries[0].left_out == server.journal.entries[1].programme_rules == ()


def test_the_request_gets_the_answer_that_it_gets_without_the_header(server: FakeOllama) -> None:
    """Neither header nor prefix is compared with recordings."""
    plain = ask(server, choice="fault=set_header('X-Mine', '1')")
    assert plain.headers.pop("X-Mine") == "1"
    assert plain.body == ask(server).body == ask(server, "/_/fault=set_header('X-Mine','1')/api/chat").body
    assert len({entry.answered_by for entry in server.journal.entries}) == 1


@pytest.mark.parametrize(
    ("choice", "status", "said"),
    [
        ("play=chat-think-stream", 200, b'"thinking":'),
        ("play=chat-think-stream; speed=0", 200, b'"thinking":'),
        ("fail=503: busy", 503, b'{"error":"busy"}'),
        ("fail=429", 429, b'{"error":"Too Many Requests"}'),
        ("reply=Hello there; it is 4, or 5.", 200, b'"content":"Hello"'),
        ('reply="a; fail=503"', 200, b"fail"),
        (r'reply="gr\u00fcn"', 200, "grün".encode()),
        ("reply=grün".encode(), 200, "grün".encode()),
        ("reply=it's; fault=set_header('X-Mine', 'a;b')", 200, b"it"),
        ("fault=set_header('X-Mine', ';fail=503')", 200, b'"done":true'),
        ("scenario=runner-killed", 200, b'"error":'),
        ("runner-killed", 200, b'"error":'),
    ],
)
def test_what_a_request_can_choose(choice: str | bytes, status: int, said: bytes, server: FakeOllama) -> None:
    answer = ask(server, choice=choice)
    assert answer.status == status
    assert said in answer.body


@pytest.mark.parametrize(
    "choice",
    [
        "fail=503; fault=set_header('X-One', '1'); fault=set_header('X-Two', '2')",
        "fail=503, fault=set_header('X-One', '1'), set_header('X-Two', '2');",
        ("fail=503", "fault=set_header('X-One', '1')", "fault=set_header('X-Two', '2')"),
    ],
)
def test_several_are_separated_or_the_header_is_repeated(choice: Any, server: FakeOllama) -> None:
    answer = ask(server, choice=choice)
    assert (answer.status, answer.headers["X-One"], answer.headers["X-Two"]) == (503, "1", "2")


# --- the prefix -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prefix", "whole"),
    [
        ("/_/cut-after-record", False),
        ("/_/scenario=cut-after-record", False),
        (f"/_/{CUT}", False),
        (f"/_/{quote(CUT, safe='')}", False),
        ("/_/fault=set_header('X-Mine','a%2Fb')", True),
    ],
)
def test_a_prefix_chooses_for_all_that_follows_it(prefix: str, whole: bool, server: FakeOllama) -> None:
    assert ask(server, f"{prefix}/api/chat").is_whole is whole
    assert ask(server, "/api/chat").is_whole
    first = server.journal.entries[0]
    assert first.head is not None
    assert first.head.target == f"{prefix}/api/chat", "the journal has what was received"
    assert first.programme_rules[0].startswith("prefix /_/")


def test_the_rest_of_the_path_is_what_ollama_sees(server: FakeOllama) -> None:
    prefix = "/_/cut-after-record"
    assert json.loads(ask(server, f"{prefix}/api/tags?x=1", body=None).body)["models"]
    assert ask(server, prefix, body=None).body == ask(server, f"{prefix}/", body=None).body == b"Ollama is running"
    assert ask(server, f"{prefix}/api/nosuch").status == 404
    assert ask(server, f"{prefix}/api/chat", body=None).status == 405
    assert ask(server, f"{prefix}/api/chat", Origin="http://evil.example").status == 403
    assert ask(server, f"http://127.0.0.1{prefix}/api/version", body=None).status == 200
    redirected = ask(server, f"{prefix}/api/chat/")
    assert (redirected.status, redirected.headers["Location"]) == (307, f"{prefix}/api/chat")


@pytest.mark.parametrize("prefix", [f"/_/{CUT}", "/_/fail=503", "/_/nosuch"])
def test_a_browser_asks_before_it_uses_a_prefix(prefix: str, server: FakeOllama) -> None:
    """No choice strikes the preflight; the answer that follows it is struck, and the page may read it."""
    page = {"Origin": "http://localhost:3000"}
    asks = {"Access_Control_Request_Method": "POST", **page}
    assert ask(server, f"{prefix}/api/chat", method="OPTIONS", body=None, **asks).status == 204
    answer = ask(server, f"{prefix}/api/chat", **page)
    assert not answer.is_whole
    assert answer.headers["Access-Control-Allow-Origin"] == page["Origin"]


def test_a_library_is_given_a_base_url(server: FakeOllama) -> None:
    messages = [ollama.Message(role="user", content="x")]
    with ollama.Client(host=f"{server.url}/_/fail-then-succeed", trust_env=False) as client:
        with pytest.raises(ollama.ResponseError) as raised:
            client.chat(MODEL, messages)
        assert raised.value.status_code == 503
        assert client.chat(MODEL, messages).done
        assert client.list().models


def test_a_prefix_serves_the_compatible_routes(server: FakeOllama) -> None:
    answer = ask(server, "/_/cut-after-record/v1/chat/completions", body={**CHAT, "stream": True})
    assert answer.status == 200
    assert answer.body
    assert b"[DONE]" not in answer.body


def test_each_prefix_counts_its_exchanges_until_the_server_is_cleared(server: FakeOllama) -> None:
    path = "/_/fail-then-succeed/api/chat"
    assert [ask(server, one).status for one in ("/api/chat", path, "/api/chat", path)] == [200, 503, 200, 200]
    assert ask(server, choice="fail-then-succeed").status == 503, "the header counts for itself"
    server.clear()
    assert [ask(server, path).status for _ in range(2)] == [503, 200]


# --- the order --------------------------------------------------------------------------------------------------------


def test_a_choice_counts_exactly_whatever_number_of_connections_makes_it(server: FakeOllama) -> None:
    """Both doors have counts of their own, and each text has."""
    together = threading.Barrier(50)

    def four(number: int) -> list[int]:
        together.wait()
        if number % 2:
            return [ask(server, choice="scenario=fail-then-succeed").status for _ in range(4)]
        return [ask(server, "/_/fail-then-succeed/api/chat").status for _ in range(4)]

    with ThreadPoolExecutor(50) as pool:
        statuses = Counter(itertools.chain.from_iterable(pool.map(four, range(50))))
    assert statuses == {503: 2, 200: 198}


def test_the_header_comes_before_the_prefix_and_the_prefix_before_the_programme(server: FakeOllama) -> None:
    server.programme = Programme((ProgrammeRule(answer=OwnError.of(500, "programme")),))
    prefix = "/_/fail=502:%20prefix/api/chat"
    answers = [ask(server, prefix, choice="fail=503: header"), ask(server, prefix), ask(server)]
    assert [json.loads(one.body)["error"] for one in answers] == ["header", "prefix", "programme"]


def test_faults_of_all_strike_the_first_of_the_programme_first(server: FakeOllama) -> None:
    fault = set_header("X-Mine", "programme")
    server.programme = Programme((ProgrammeRule(faults=(fault, set_header("X-Its", "1"))),))
    prefix = "/_/fault=set_header('X-Mine','prefix')"
    answer = ask(server, f"{prefix}/api/chat", choice="fault=set_header('X-Mine', 'header')")
    assert (answer.headers["X-Mine"], answer.headers["X-Its"]) == ("header", "1")
    assert ask(server, f"{prefix}/api/chat").headers["X-Mine"] == "prefix"
    labels = ("rule 1", "prefix /_/fault=set_header('X-Mine','prefix')", "header")
    assert server.journal.entries[0].programme_rules == labels


def test_a_request_that_chooses_is_counted_by_the_programme(server: FakeOllama) -> None:
    chat = When(method="POST", path="/api/chat")
    server.programme = Programme((ProgrammeRule(when=chat, nth=(2,), answer=OwnError.of(500, "second")),))
    assert [ask(server, choice="fail=503").status, ask(server).status, ask(server).status] == [503, 500, 200]


def test_a_rule_before_the_guard_comes_before_all_choices(server: FakeOllama) -> None:
    server.programme = Programme((ProgrammeRule(answer=OwnError.of(500, "first"), before_guard=True),))
    assert ask(server, "/_/nosuch/api/chat", choice="fail=503").status == 500


def test_an_expectation_sees_the_request_without_its_choice(server: FakeOllama) -> None:
    server.expect_request("/api/mine").respond_with_data("mine")
    assert ask(server, "/_/cut-after-record/api/mine").body == b"mine"
    ((request, _),) = server.log
    assert request.path == "/api/mine"


# --- what cannot be ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("choice", "problem"),
    [
        ("scenario=cut-after-recrod", "there is no scenario called 'cut-after-recrod'; did you mean cut-after-record"),
        ("nosuch", "there is no scenario called 'nosuch'"),
        ("", "it chooses nothing; give a scenario, or fault=close_at(after_record(3))"),
        ("fualt=close_at(after_record(3))", "there is no choice called 'fualt'; did you mean fault"),
        ("fault=cloze_at(after_record(3))", "there is no fault or place called 'cloze_at'; did you mean close_at"),
        ("fault=close_at(3)", "close_at takes (place); 3 is no Place"),
        ("fault=close_at(after_record(3)", "is no fault; write one like close_at(after_record(3))"),
        ("fault=", "fault= says nothing; give fault=close_at(after_record(3))"),
        ("close_at(after_record(3))", "is no name of a scenario; write a fault as fault=close_at(after_record(3))"),
        ("fault=refuse()", "refuse() strikes before a request is read"),
        ("fault=close_at(after_record(99999))", "close_at(after_record(99999)) can strike no answer"),
        ("closed-on-accept", "start a server with it: `ollama-harness serve --scenario closed-on-accept`"),
        ("issue-9549", "issue-9549 is an environment"),
        ("issue-9549", "use `ollama-harness run --scenario issue-9549`"),
        ("lock-step", "use `ollama-harness run --scenario lock-step`"),
        ("play=chat-steam", "there is no recording called 'chat-steam'; did you mean chat-stream"),
        ("play=tags; fault=close_at(after_record(9))", "close_at(after_record(9)) can strike none of tags"),
        ("play=tags; fail=503", "play= and fail= are two answers; give one of them"),
        (
            "fail=503; scenario=runner-killed",
            "scenario=runner-killed has an answer of its own; remove",
        ),
        ("cut-after-record; runner-killed", "scenario= is there twice; give it once"),
        ("fail=200", "status: 200 is no status of an error"),
        ("fail=busy", "'busy' is no status; give one from 400 to 599"),
        ("fail=503; runner-killed", "'503; runner-killed' is no status"),
        ("x" * 9000, "it has more than 8192 characters"),
        ("speed=3", "speed= is there without play=; give play=NAME, too"),
        ("play=tags; speed=fast", "speed=fast is no number"),
        (r'reply="a\z"', "is no text of JSON"),
    ],
)
def test_a_choice_that_cannot_be_is_a_400_that_says_why(choice: str, problem: str, server: FakeOllama) -> None:
    answer = ask(server, choice=choice)
    error = json.loads(answer.body)["error"]
    assert answer.status == 400
    assert error.startswith("ollama-harness: X-Ollama-Harness: ")
    assert problem in error
    assert answer.headers["X-Ollama-Harness"] == "bad-choice"
    entry = server.journal.entries[0]
    assert (entry.step, entry.answered_by) == (Step.NOTHING, "nothing")
    assert problem in entry.why


def test_a_wrong_prefix_has_the_shape_of_its_route(server: FakeOllama) -> None:
    answer = ask(server, "/_/nosuch/v1/chat/completions")
    assert answer.status == 400
    assert json.loads(answer.body)["error"]["message"].startswith("ollama-harness: /_/nosuch: there is no scenario")


def test_a_server_without_scenarios_says_so() -> None:
    with FakeOllama(speed=0) as server:
        assert "this server was made without scenarios" in json.loads(ask(server, "/_/tools/api/chat").body)["error"]


def test_a_fault_that_cannot_strike_this_answer_leaves_it_whole_and_is_in_the_log(server: FakeOllama) -> None:
    answer = ask(server, "/api/version", body=None, choice=CUT)
    assert json.loads(answer.body)["version"]
    (entry,) = server.journal.entries
    assert len(entry.left_out) == 1
    assert entry.left_out[0].startswith("close_at(after_record(3)) was left out: ")
    assert entry.line.endswith("; 1 fault left out")
    server.check()  # type: ignore[no-untyped-call]


def test_a_choice_that_is_not_for_this_request_is_said_to_have_changed_nothing(server: FakeOllama) -> None:
    assert ask(server, "/_/runner-killed/api/tags", body=None).status == 200
    assert server.journal.entries[0].why.endswith("; prefix /_/runner-killed changed nothing")


def test_a_long_body_is_read_before_a_choice_answers(server: FakeOllama) -> None:
    """The guard refuses such a request without its body; a choice answers before the guard's 404."""
    body = {"model": MODEL, "x": "x" * 400_000}
    assert ask(server, "/_/fail=503/api/nosuch", body=body).status == 503
    assert ask(server, "/_/nosuch/api/nosuch", body=body).status == 400
    assert ask(server, "/_/cut-after-record/api/nosuch", body=body).status == 404


@pytest.mark.parametrize("target", [b"/_/", b"/_//api/tags", b"/_/%FF/api/tags", b"/_/a%00b/api/tags"])
def test_a_prefix_in_any_form_gets_an_answer(target: bytes, server: FakeOllama) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as sock:
        sock.sendall(b"GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" % target)
        assert sock.recv(12) == b"HTTP/1.1 400"


# --- the notation -----------------------------------------------------------------------------------------------------


@given(st.text(max_size=30))
def test_any_text_is_split_to_its_end_or_refused(text: str) -> None:
    """It comes to an end: nothing in a text is looked at for ever."""
    try:
        is_split = bool(list(_split(text)))
    except ValueError:
        is_split = True
    assert is_split or not text.replace(";", " ").replace(",", " ").strip()


@given(st.lists(st.text(max_size=9), min_size=1, max_size=4))
def test_quoted_values_are_read_as_they_are(values: list[str]) -> None:
    text = "; ".join(f"reply={json.dumps(value)}" for value in values)
    assert list(_split(text)) == [("reply", value) for value in values]


@pytest.mark.parametrize(
    "fault", [close_at(after_record(3)), replace_with_error(503, "a; b=(c, 'd'"), set_header("a", '"')]
)
def test_faults_are_split_where_they_end(fault: Any) -> None:
    parts = [("fault", str(fault)), ("fault", str(fault)), ("fail", "503: a"), ("scenario", "x")]
    assert list(_split(f"fault={fault}; {fault},fail=503: a; scenario=x;")) == parts


def test_ollama_does_not_see_the_header() -> None:
    with FakeOllama(speed=0, any_model=True) as server:
        seen = []
        server.play("chat-stream", when=lambda request: seen.append(dict(request.headers)) or True)
        assert ask(server, choice=CUT, X_Mine="1").status == 200
    assert [(one.get("X-Ollama-Harness"), one.get("X-Mine")) for one in seen] == [(None, "1")]


def test_words_may_be_in_latin_1_and_have_raw_tabs(server: FakeOllama) -> None:
    assert "é".encode() in ask(server, choice="reply=é".encode("latin-1")).body
    answer = ask(server, choice='reply="a\tb"')
    assert (answer.status, b'"content":"\\t' in answer.body) == (200, True)


def test_no_more_choices_are_kept_than_so_many_and_the_last_used_are(server: FakeOllama) -> None:
    """A client may send any text; those in use go on with their counts."""
    ask(server, choice="scenario=fail-then-succeed")
    choices = server._answerer._choices
    asked = Asked(method="POST", target="/api/chat", headers=(), body=b"")
    for number in range(1100):
        choices.of(replace(asked, headers=(("X-Ollama-Harness", f"fail={400 + number % 100}: {number}"),)))
        if number % 500 == 0:
            assert ask(server, choice="scenario=fail-then-succeed").status == 200
    assert len(choices._kept) == 1024
    assert ask(server, choice="scenario=fail-then-succeed").status == 200


def test_a_status_may_have_a_message() -> None:
    assert parse_fail(" 503 : a: b") == OwnError.of(503, "a: b")
