"""What the journal says of an exchange: the step that answered, its rule, and one line for people."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from builders import A_FEW
from hypothesis import given
from hypothesis import strategies as st

from ollama_harness import FakeOllama
from ollama_harness.answers import Step
from ollama_harness.faults import after_record, close_at, close_on_accept, reset_at
from ollama_harness.matrix._raw_socket import connect, read_to_end
from ollama_harness.script.http1 import RequestHead
from ollama_harness.script.script import ConnectionEnd
from ollama_harness.server.journal import EndedBy, Entry, Journal

pytestmark = pytest.mark.same_everywhere

TAGS = b"GET /api/tags HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
CHAT = b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"


@pytest.fixture
def server() -> Iterator[FakeOllama]:
    with FakeOllama(speed=0) as server:
        yield server


def entry_of(server: FakeOllama, wire: bytes) -> Entry:
    """The entry of one request, when its exchange has ended."""
    with connect(server.port) as sock:
        sock.sendall(wire)
        read_to_end(sock)
    assert server.journal.wait_until_settled()
    return server.journal.entries[-1]


def chat(body: bytes) -> bytes:
    return CHAT % (len(body), body)


@pytest.mark.parametrize(
    ("wire", "step", "rule", "status", "why"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "protocol", "http-host", 400, "the Host header is missing"),
        (TAGS + b"Origin: https://evil.example\r\n\r\n", "guard", "origin-not-allowed", 403, "the Origin header"),
        (TAGS.replace(b"tags", b"none") + b"\r\n", "guard", "route-not-found", 404, "there is no such route"),
        (TAGS.replace(b"tags", b"ps") + b"\r\n", "programme", "", 200, "arranged for this method and path"),
        (chat(b"{"), "request", "native-syntax", 400, "unexpected EOF"),
        (chat(b'{"model":"llama3"}'), "model", "model-missing", 404, "model 'llama3' not found; there are "),
        (TAGS + b"\r\n", "recording", "", 200, "the same request"),
        (chat(b'{"model":"smollm2:135m","messages":[{}]}'), "made", "", 200, "the nearest, made to fit"),
    ],
    ids=lambda value: value if isinstance(value, str) and re.fullmatch(r"[a-z-]+", value) else "",
)
def test_an_entry_names_the_step_that_answered_and_its_rule(
    wire: bytes, step: str, rule: str, status: int, why: str, server: FakeOllama
) -> None:
    server.play("version", path="/api/ps")
    entry = entry_of(server, wire)
    assert (entry.step, entry.rule, entry.status) == (step, rule, status)
    assert entry.why.startswith(why)
    assert entry.answered_by == f"rule {rule}" if rule else not entry.answered_by.startswith("rule ")


def test_what_the_world_decides_is_an_answer_and_what_is_expected_is_the_programmes() -> None:
    with FakeOllama(speed=0, only_models=["mine"]) as server:
        server.expect_request("/mine").respond_with_data("mine")
        listed, expected = (
            entry_of(server, TAGS + b"\r\n"),
            entry_of(server, TAGS.replace(b"api/tags", b"mine") + b"\r\n"),
        )
    assert (listed.step, listed.rule) == (Step.ANSWER, "tags")
    assert (expected.step, expected.answered_by) == (Step.PROGRAMME, "expectation")


def test_a_fault_before_any_request_is_the_programmes(server: FakeOllama) -> None:
    server.play("version", close_on_accept())
    assert entry_of(server, b"").step is Step.PROGRAMME


# ------------------------------------------------------------------------------------------------ one line


def test_a_line_says_what_was_asked_what_answered_and_why(server: FakeOllama) -> None:
    line = entry_of(server, TAGS + b"\r\n").line
    assert re.fullmatch(r"\d\d:\d\d:\d\d  200  GET /api/tags  0\.32\.15/tags: the same request", line)


@pytest.mark.parametrize(
    ("fault", "end"),
    [(reset_at(after_record(2)), "; then reset"), (close_at(after_record(2)), "; then close"), (None, "d path")],
    ids=str,
)
def test_an_end_that_the_head_did_not_announce_is_in_the_line(fault: object, end: str, server: FakeOllama) -> None:
    server.play("chat-stream", *([fault] if fault else []))  # type: ignore[list-item]
    line = entry_of(server, chat(b"{}")).line
    assert line.endswith(end)
    assert len(line) <= 160


@A_FEW
@given(target=st.text(), answered_by=st.text(), why=st.text())
def test_no_line_is_longer_than_160_characters_or_more_than_a_line(target: str, answered_by: str, why: str) -> None:
    head = RequestHead(method="GET", target=target, version="HTTP/1.1", headers=(), size=0)
    entry = Entry(connection=1, index=1, head=head, body=b"", answered_by=answered_by, why=why)
    assert len(entry.line) <= 160
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u202e]", entry.line)


def settled(journal: Journal, *, connection: int = 1) -> Entry:
    entry = Entry(connection=connection, index=1, head=None, body=b"")
    journal.add(entry)
    journal.settle(entry, ConnectionEnd.CLOSE, EndedBy.SERVER)
    return entry


def test_ids_never_come_again() -> None:
    journal = Journal()
    first = settled(journal)
    journal.clear()
    assert (journal.entries, journal.connections) == ((), 0)
    assert (first.id, settled(journal).id) == (1, 2)


def test_clearing_counts_connections_from_the_beginning_and_keeps_their_numbers() -> None:
    journal = Journal()
    assert journal.connected() == 1
    journal.clear()
    assert (journal.connected(), journal.connections) == (2, 1)


def test_a_journal_of_a_size_drops_the_oldest_that_are_settled() -> None:
    journal = Journal(size=2)
    open_ = Entry(connection=1, index=1, head=None, body=b"")
    journal.add(open_)
    assert [settled(journal).id for _ in range(3)] == [2, 3, 4]
    assert [entry.id for entry in journal.entries] == [1, 4]


def test_who_follows_sees_each_entry_once_whether_it_is_kept_or_not() -> None:
    journal = Journal(size=1)
    before, follower = settled(journal), journal.follow()
    entries = [settled(journal) for _ in range(3)]
    assert [follower.get_nowait() for _ in entries] == entries
    assert follower.empty()
    journal.settle(Entry(connection=1, index=1, head=None, body=b""), ConnectionEnd.CLOSE, EndedBy.SERVER)
    assert follower.empty(), "an exchange that is not in the journal"
    assert before not in journal.entries
