"""Picky servers: who breaks a demand gets the refusal, who meets it the answer; and each is judged by what it got."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import DATE, DONE, HELLO, stream

from ollama_harness.clients import client
from ollama_harness.errors import FaultDoesNotApply
from ollama_harness.faults import (
    apply,
    close_after_answer,
    demand_first,
    demand_header,
    demand_spelling,
    drop_terminal_record,
    forbid_header,
    replace_with,
)
from ollama_harness.matrix._raw_socket import connect, read_exactly, read_to_end
from ollama_harness.matrix.cells import Cell, PlannedScenario
from ollama_harness.matrix.exchange import _unsafe_retry
from ollama_harness.matrix.runner import Runner
from ollama_harness.matrix.scenarios import picky, scenario
from ollama_harness.matrix.scenarios.scenario import Scenario
from ollama_harness.oracle.verdict import Verdict
from ollama_harness.recordings.recording import Headers
from ollama_harness.recordings.store import RecordingStore
from ollama_harness.script.head_predicates import First, HeadPredicate, Holds, Lacks, Spelt
from ollama_harness.script.http1 import RequestHead, read_request_head
from ollama_harness.script.script import Script
from ollama_harness.server.fake_ollama import FakeOllama
from ollama_harness.server.journal import Entry

pytestmark = pytest.mark.same_everywhere

PLAIN = stream(HELLO, DONE).at_speed(0)
NO_EXPECT = forbid_header("Expect", "100-continue", "squid-417")
USUAL: Headers = (("Host", "h"), ("Content-Type", "application/json"), ("Accept", "*/*"), ("User-Agent", "me/1"))


def head(*headers: tuple[str, str]) -> RequestHead:
    return RequestHead("POST", "/api/chat", "HTTP/1.1", headers, 0)


def wire(script: Script) -> bytes:
    return script.render(date=DATE).wire


def undated(data: bytes, server: FakeOllama) -> bytes:
    return data.replace(server.journal.entries[-1].date.encode(), DATE.encode())


# --------------------------------------------------------------------------------------------- what is demanded


@pytest.mark.parametrize(
    ("rule", "headers", "unmet"),
    [
        (Lacks("Expect", "100-continue"), (), ""),
        (Lacks("Expect", "100-continue"), (("expect", "100-Continue"),), "it has Expect: 100-Continue"),
        (Lacks("User-Agent", "python-requests"), (("User-Agent", "python-httpx/1"),), ""),
        (Lacks("User-Agent", "python-requests"), (("User-Agent", "x Python-Requests/2"),), "it has User-Agent: x "),
        (Holds("User-Agent"), (("user-agent", "x"),), ""),
        (Holds("User-Agent"), (("User-Agent", ""),), "it has no User-Agent"),
        (Holds("Accept", ("*/*", "a/b")), (("Accept", "text/html, A/B;q=0.5"),), ""),
        (Holds("Accept", ("*/*", "a/b")), (("Accept", "text/html"),), "it has Accept: text/html"),
        (Holds("Accept", ("a/b",)), (), "it has no Accept"),
        (Holds("Accept", ("a/b",), or_absent=True), (), ""),
        (Holds("Accept", ("a/b",), or_absent=True), (("Accept", ""),), "it has no Accept"),
        (Spelt("Content-Type"), (("Content-Type", "x"),), ""),
        (Spelt("Content-Type"), (("content-type", "x"),), "it spells Content-Type content-type"),
        (Spelt("Content-Type"), (), "it has no Content-Type"),
        (First("Host"), (("host", "h"), ("Accept", "*/*")), ""),
        (First("Host"), (("Accept", "*/*"), ("Host", "h")), "it begins with Accept"),
        (First("Host"), (), "it begins with nothing"),
    ],
)
def test_a_demand_says_how_it_is_broken(rule: HeadPredicate, headers: Headers, unmet: str) -> None:
    got = rule.unmet(head(*headers))
    assert got == unmet or (unmet and got.startswith(unmet))


@pytest.mark.parametrize("headers", [(), USUAL, tuple((name.lower(), value) for name, value in reversed(USUAL))])
@pytest.mark.parametrize(
    "rule",
    [
        Lacks("Expect", "100-continue"),
        Holds("Accept", ("a/b",)),
        Holds("Accept", ("a/b",), or_absent=True),
        Holds("User-Agent"),
        Spelt("Content-Type"),
        First("Host"),
    ],
)
def test_a_demand_makes_heads_that_keep_it_and_heads_that_break_it(rule: HeadPredicate, headers: Headers) -> None:
    kept = rule.kept(headers)
    assert rule.unmet(head(*kept)) == ""
    assert rule.unmet(head(*rule.broken(kept))) != ""


def test_a_demand_stands_whatever_else_is_changed_and_the_first_that_is_broken_decides() -> None:
    conditions = (demand_header("User-Agent", "github-403"), demand_first("Host", "cloudflare-challenge"))
    script = apply(PLAIN, [*conditions, drop_terminal_record()])
    assert script.answer_to(head(*USUAL)) is script
    assert script.unmet(head(*USUAL)) == ""
    assert script.answer_to(head(("Accept", "*/*"))) == replace_with("github-403")(PLAIN)
    assert script.answer_to(head(("User-Agent", "x"))) == replace_with("cloudflare-challenge")(PLAIN)


def test_what_demands_nothing_does_not_apply() -> None:
    with pytest.raises(FaultDoesNotApply, match="is no condition: give members"):
        demand_header("Accept", "go-406", or_absent=True)(PLAIN)
    with pytest.raises(FaultDoesNotApply, match=r"there is no answer '.+'; give one of"):
        demand_spelling("Accept", "nobody")(PLAIN)


# --------------------------------------------------------------------------------------------- what is played


@pytest.mark.parametrize(
    ("line", "unmet"),
    [(b"", ""), (b"User-Agent: Python-Requests/1\r\n", "it has User-Agent: Python-Requests/1")],
)
def test_a_request_by_hand_gets_the_answer_or_the_refusal_byte_for_byte(line: bytes, unmet: str) -> None:
    forbids = forbid_header("User-Agent", "python-requests", "nginx-403")
    with FakeOllama(version=None) as server, connect(server.port) as sock:
        script = server.play(PLAIN, forbids)
        due = replace_with("nginx-403")(PLAIN) if unmet else PLAIN
        for _ in range(2):  # nginx keeps the connection
            sock.sendall(b"GET /x HTTP/1.1\r\nHost: localhost\r\n" + line + b"\r\n")
            assert undated(read_exactly(sock, len(wire(due))), server) == wire(due)
        assert wire(script) == wire(PLAIN)
        assert server.journal.wait_until_settled()
        assert [(one.connection, one.unmet) for one in server.journal.entries] == [(1, unmet)] * 2
        assert server.journal.entries[0].why.endswith(f"refused, because {unmet}" if unmet else "method and path")


def test_an_expectation_is_refused_before_the_body_is_read() -> None:
    with FakeOllama(version=None) as server, connect(server.port) as sock:
        server.play(PLAIN, NO_EXPECT)
        sock.sendall(b"POST /x HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        seen = read_to_end(sock)
        assert (undated(seen.data, server), seen.end) == (wire(replace_with("squid-417")(PLAIN)), "fin")
        assert server.journal.entries[-1].body == b""


def test_an_expectation_that_nobody_refuses_is_met() -> None:
    with FakeOllama(version=None) as server, connect(server.port) as sock:
        server.play(PLAIN, forbid_header("Expect", "something-else", "squid-417"))
        sock.sendall(b"POST /x HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        goes_on = b"HTTP/1.1 100 Continue\r\n\r\n"
        assert read_exactly(sock, len(goes_on)) == goes_on
        sock.sendall(b"hello")
        assert undated(read_exactly(sock, len(wire(PLAIN))), server) == wire(PLAIN)
        assert server.journal.entries[-1].body == b"hello"


def test_what_follows_a_request_that_was_refused_unread_is_not_taken_for_another() -> None:
    refuses = forbid_header("Expect", "100-continue", "nginx-403")  # who refuses so keeps the connection otherwise
    with FakeOllama(version=None) as server, connect(server.port) as sock:
        server.play(PLAIN, refuses)
        sock.sendall(b"POST /x HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nGET /")
        assert read_to_end(sock).end == "fin"
        assert len(server.journal.entries) == 1


# --------------------------------------------------------------------------------------------- what is judged


@pytest.mark.parametrize(
    ("name", "scenario_name", "verdict", "end"),
    [
        ("canary-perfect", "picky-agent-missing", Verdict.PASS, "error"),
        ("canary-deaf", "picky-agent-missing", Verdict.SILENT_LOSS, "error"),
        ("canary-perfect", "picky-agent-httpx", Verdict.PASS, "complete"),
        ("canary-deaf", "picky-agent-httpx", Verdict.PASS, "complete"),
    ],
)
def test_a_client_is_judged_by_what_was_played_to_it(
    name: str, scenario_name: str, verdict: Verdict, end: str, runner: Runner, store: RecordingStore
) -> None:
    cell = Cell(client(name), PlannedScenario.of(scenario(scenario_name), store.get(f"{store.newest}/generate-cold")))
    exchange = runner.run_cell(cell).decisive
    assert (exchange.judgement.verdict, str(exchange.reference.ends[cell.layer].kind)) == (verdict, end)
    assert bool(exchange.entries[0].unmet) == (end == "error")
    assert exchange.script.answer_to(exchange.entries[0].head) == exchange.script


def test_a_request_may_be_sent_again_in_another_form_once_it_was_refused_and_only_then() -> None:
    script = apply(PLAIN, [NO_EXPECT])
    again = Entry(connection=2, index=1, head=head(*USUAL), body=b"", script=script)
    refused = replace(again, connection=1, head=head(("Expect", "100-continue")), unmet="it has Expect: 100-continue")
    assert _unsafe_retry((), (refused, again), script) == ""
    assert "2 times" in _unsafe_retry((), (again, replace(again, connection=3)), script)
    assert _unsafe_retry((), (again, replace(again, script=PLAIN)), script) == "", "another request, for something else"


@pytest.mark.parametrize("one", picky.SCENARIOS, ids=lambda one: one.name)
def test_no_scenario_is_met_or_broken_by_every_head(one: Scenario) -> None:
    (demand,) = apply(PLAIN, one.faults).conditions
    kept = demand.rule.kept(USUAL)
    assert demand.rule.unmet(head(*kept)) == ""
    assert demand.rule.unmet(head(*demand.rule.broken(kept)))
    assert demand.refusal.head is not None
    assert 400 <= demand.refusal.head.status < 500


def test_a_refusal_ends_as_whoever_gives_it_does() -> None:
    asked = read_request_head(b"GET / HTTP/1.1\r\nExpect: 100-continue\r\n\r\n")
    assert apply(PLAIN, [close_after_answer(), NO_EXPECT]).answer_to(asked) == replace_with("squid-417")(PLAIN)
