"""A real Ollama behind a FakeOllama; here another FakeOllama plays it."""

from __future__ import annotations

import contextlib
import json
import re
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ollama_harness.cli.serve import serve
from ollama_harness.cli.upstream import about_upstream
from ollama_harness.errors import FaultDoesNotApply, ProgrammeError
from ollama_harness.faults import FAULTS, Fault, after_record, close_at, live, rechunk, reset_at
from ollama_harness.faults.live import Strikes, how_they_strike
from ollama_harness.faults.notation import parse_fault
from ollama_harness.matrix._raw_socket import NO_RESETS, resets_are_real
from ollama_harness.recorder import FolderKeeper
from ollama_harness.recordings.recording import Recording
from ollama_harness.recordings.store import packaged_store
from ollama_harness.script.http1 import read_request_head
from ollama_harness.script.script import ConnectionEnd, Script
from ollama_harness.server import _playback
from ollama_harness.server.fake_ollama import FakeOllama
from ollama_harness.server.programme import ON_ACCEPT, Forwarded, Programme, ProgrammeRule, When
from ollama_harness.server.programme_file import read_programme

LIVE = sorted(set(FAULTS) - set(ON_ACCEPT))
HOLDS = (ConnectionEnd.HOLD, ConnectionEnd.HALF_CLOSE)


@pytest.fixture(scope="module")
def real() -> Iterator[FakeOllama]:
    """What stands for the real Ollama."""
    with FakeOllama(speed=0, any_model=True) as server:
        server.load()
        yield server


def recording(name: str) -> Recording:
    return packaged_store().get(f"{packaged_store().newest}/{name}")


def request(one: Recording) -> bytes:
    content = one.request.content or b""
    head = f"{one.request.method} {one.request.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content


def connect(server: FakeOllama) -> socket.socket:
    return socket.create_connection((server.host, server.port), 10)


def received(server: FakeOllama, data: bytes, size: int) -> bytes:
    """The first bytes of the answer, and then the client leaves."""
    got = b""
    with connect(server) as client:
        client.sendall(data)
        while len(got) < max(size, 1) and (more := client.recv(65536)):
            got += more
    assert server.journal.wait_until_settled()
    return got


def without_date(wire: bytes) -> bytes:
    return re.sub(rb"\r\nDate: [^\r]*", b"\r\nDate: x", wire)


#: Other arguments than those of the example, which would take seconds.
QUICK: dict[str, tuple[Any, ...]] = {"throttle": (500_000,), "slow_records": (0.001,), "jitter": (0.002, 7)}


def cases() -> Iterator[tuple[Fault, Recording]]:
    """Every fault with recordings that it strikes: its own, and a stream of events."""
    for name in LIVE:
        kind = FAULTS[name]
        fault = kind.make(*QUICK.get(name, kind.example))
        for one in map(recording, dict.fromkeys((kind.plays or "chat-stream", "v1-chat-stream"))):
            with contextlib.suppress(FaultDoesNotApply):
                fault(Script.from_recording(one, speed=0))
                yield fault, one


def test_every_fault_is_tried_on_a_live_answer() -> None:
    assert {fault.name for fault, _ in cases()} == set(LIVE)


@pytest.mark.same_everywhere
@pytest.mark.parametrize(("fault", "one"), list(cases()), ids=lambda each: getattr(each, "name", None))
def test_a_fault_strikes_a_live_answer_as_it_strikes_the_whole(
    real: FakeOllama, fault: Fault, one: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_playback, "LOCK_STEP_LIMIT_S", 0.01)
    whole = fault(Script.from_recording(one, speed=0)).answer_to(read_request_head(request(one)))
    expected = whole.render(date="x" * 29).wire
    with FakeOllama(upstream=real.url, faults=[fault]) as server:
        received(server, request(one), len(expected))
        (entry,) = server.journal.entries
        assert without_date(entry.wire) == without_date(expected)
        assert entry.ended is whole.ending.how
        assert (entry.left_out, entry.answered_by) == ((), "upstream")


@pytest.mark.parametrize("text", ["close_at(after_record(3))", "drop_terminal_record()", "add_field(3, 'x', '1')"])
def test_these_strike_while_the_answer_comes(text: str) -> None:
    streams = [one for one in packaged_store().of_version(packaged_store().newest) if one.suffix == ".ndjson"]
    assert Strikes.WHOLE not in how_they_strike([parse_fault(text)], map(Script.from_recording, streams))


def test_a_fault_that_would_change_what_is_sent_already_is_left_out() -> None:
    script = Script.from_recording(recording("chat-stream"))
    fault = parse_fault("count_body()")
    answer = live.LiveAnswer((fault,), (Strikes.EACH_RECORD,), replace(script, segments=(), ending=script.ending))
    sent = []
    for segment in script.segments:
        for part in segment.parts:
            sent += answer.feed((replace(segment, parts=(part,)),))
    sent += answer.finish(script.ending)
    assert b"".join(one.rendered("").data for one in sent) == script.render(date="").wire
    assert answer.left_out == ((fault, "what it would change has been sent already"),)


def test_a_long_answer_keeps_no_loop_busy_with_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_MOST_TRYING_S", 0.0)
    script = Script.from_recording(recording("chat-stream"))
    fault = parse_fault("add_field(-1, 'x', '1')")
    answer = live.LiveAnswer((fault,), (Strikes.EACH_RECORD,), replace(script, segments=(), ending=script.ending))
    first, *rest = script.segments
    assert answer.feed((first,)) == [first]
    assert [answer.feed((one,)) for one in rest] == [[] for _ in rest]
    late = answer.finish(script.ending)
    sent = b"".join(one.rendered("").data for one in (first, *late))
    assert sent == fault(script).render(date="").wire


CHAT = b'{"model": "mine", "messages": [{"role": "user", "content": "Hi"}]}'


def post(path: str, body: bytes = CHAT, *headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def answer(server: FakeOllama, data: bytes) -> bytes:
    """The whole answer, up to the FIN."""
    return received(server, data, 1_000_000)


def test_an_answer_passes_as_it_is(real: FakeOllama) -> None:
    with FakeOllama(upstream=real.url) as server:
        assert without_date(answer(server, post("/api/chat"))) == without_date(answer(real, post("/api/chat")))
        (entry,) = server.journal.entries
        assert (entry.answered_by, entry.step, entry.ended) == ("upstream", "upstream", ConnectionEnd.CLOSE)
        assert entry.why == f"sent on to {real.url}"


def test_a_refusal_of_the_real_ollama_passes_as_it_is(real: FakeOllama) -> None:
    with FakeOllama(upstream=real.url) as server:
        for data in (post("/api/nothing"), post("/api/chat", b"{"), post("/api/chat", CHAT, "Origin: http://a.b")):
            assert without_date(answer(server, data)) == without_date(answer(real, data))
        assert {entry.answered_by for entry in server.journal.entries} == {"upstream"}


def test_the_real_ollama_sees_neither_a_choice_nor_headers_for_one_hop(real: FakeOllama) -> None:
    real.journal.clear()
    headers = (
        "X-Ollama-Harness: fault=close_at(after_record(1))",
        "Keep-Alive: 5",
        "Connection: X-Hop",
        "X-Hop: 1",
        "X-Mine: 1",
    )
    with FakeOllama(upstream=real.url) as server:
        got = answer(server, post("/_/fault=set_header('X-A','b')/api/chat", CHAT, *headers))
    assert b"X-A: b" in got
    assert got.count(b'"done"') == 1
    assert real.journal.wait_until_settled()
    (entry,) = real.journal.entries
    assert entry.head is not None
    assert entry.head.target == "/api/chat"
    assert dict(entry.head.headers) == {
        "Host": f"127.0.0.1:{real.port}",
        "Content-Length": str(len(CHAT)),
        "Connection": "close",
        "X-Mine": "1",
    }


@pytest.mark.skipif(not resets_are_real(), reason=NO_RESETS)
def test_a_cut_ends_the_request_at_the_real_ollama() -> None:
    with (
        FakeOllama(any_model=True, gap_s=0.05) as slow,
        FakeOllama(upstream=slow.url, faults=[reset_at(after_record(2))]) as server,
    ):
        slow.load()
        with pytest.raises(ConnectionResetError):
            answer(server, post("/api/chat"))
        assert server.journal.wait_until_settled()
        assert slow.journal.wait_until_settled()
        assert slow.journal.entries[0].ended_by == "client"
        assert server.journal.entries[0].ended is ConnectionEnd.RESET


def test_a_client_that_leaves_ends_the_request_at_the_real_ollama() -> None:
    with FakeOllama(any_model=True, gap_s=0.05) as slow, FakeOllama(upstream=slow.url) as server:
        slow.load()
        received(server, post("/api/chat"), 1)
        assert slow.journal.wait_until_settled()
        assert slow.journal.entries[0].ended_by == "client"
        assert server.journal.entries[0].ended_by == "client"


@pytest.mark.parametrize(
    ("fault", "end"),
    [
        ("close_at", ConnectionEnd.CLOSE),
        pytest.param(
            *("reset_at", ConnectionEnd.RESET), marks=pytest.mark.skipif(not resets_are_real(), reason=NO_RESETS)
        ),
    ],
)
def test_an_answer_that_breaks_off_breaks_off_the_same_way(fault: str, end: ConnectionEnd) -> None:
    broken = FAULTS[fault].make(after_record(2))
    with FakeOllama(any_model=True, speed=0, faults=[broken]) as bad, FakeOllama(upstream=bad.url) as server:
        with contextlib.suppress(ConnectionResetError):
            answer(server, post("/api/chat"))
        assert server.journal.wait_until_settled()
        (entry,) = server.journal.entries
        assert entry.ended is end
        assert "the server" in entry.why
        assert entry.wire.count(b'"done":') == 2


def test_an_upstream_that_is_not_there_is_named_in_the_shape_of_the_route() -> None:
    with FakeOllama(listens=False) as nothing, FakeOllama(upstream=nothing.url) as server:
        head, _, body = answer(server, post("/v1/chat/completions")).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
        assert b"X-Ollama-Harness: upstream-failed" in head
        assert nothing.url in json.loads(body)["error"]["message"]
        assert nothing.url in server.journal.entries[0].line
        assert server.verify().requests_unanswered == (server.journal.entries[0].id,)


def test_a_fault_that_cannot_strike_is_left_out_and_said(real: FakeOllama) -> None:
    with FakeOllama(upstream=real.url, faults=[close_at(after_record(100))]) as server:
        assert b'"done":true' in answer(server, post("/api/chat"))
        (entry,) = server.journal.entries
        assert entry.left_out[0].startswith("close_at(after_record(100)) was left out: there is no record 100")


def test_a_rule_forwards_what_it_is_for(real: FakeOllama) -> None:
    rule = ProgrammeRule(when=When(path="/api/chat"), answer=Forwarded(), nth=(2,), faults=(rechunk(16),))
    last = ProgrammeRule(when=When(path="/api/tags"), faults=(close_at(after_record(1)),))
    with FakeOllama(upstream=real.url, misses_only=True, programme=Programme((rule, last)), any_model=True) as server:
        assert b"\r\n10\r\n" not in answer(server, post("/api/chat"))
        assert b"\r\n10\r\n" in answer(server, post("/api/chat"))
        assert [bool(entry.programme_rules) for entry in server.journal.entries] == [False, True]


def test_a_rule_cannot_forward_to_nothing() -> None:
    with pytest.raises(ProgrammeError, match="there is no Ollama to forward to; give --upstream URL"):
        FakeOllama(programme=Programme((ProgrammeRule(answer=Forwarded()),)))


def test_only_misses_are_sent_on(real: FakeOllama) -> None:
    with FakeOllama(upstream=real.url, misses_only=True, speed=0) as server:
        received(server, request(recording("chat-stream")), 10)
        answer(server, post("/api/chat"))
        assert [one.answered_by for one in server.journal.entries] == [recording("chat-stream").id, "upstream"]


def test_what_passes_is_kept_before_faults_and_answers_the_next_time(real: FakeOllama, tmp_path: Path) -> None:
    secret = post("/api/chat", CHAT, "Authorization: Bearer abcdefghijklmnop")
    folder = tmp_path / "mine"
    with FakeOllama(
        upstream=real.url, keeper=FolderKeeper(folder, real.url), once=True, faults=[close_at(after_record(-1))]
    ) as server:
        first = answer(server, secret)
        again = answer(server, secret)
        assert [one.answered_by for one in server.journal.entries] == ["upstream", "kept/0"]
    keeper = FolderKeeper(folder, real.url)
    (one,) = keeper.recordings
    assert one.name == "api-chat-1"
    assert one.ollama_version == packaged_store().newest
    assert one.body.endswith(b"}\n")
    assert len(one.frames) == one.body.count(b"\n") > 2
    assert "abcdefghijklmnop" not in (folder / "api-chat-1.meta.json").read_text()
    assert without_date(first) == without_date(again)
    with FakeOllama(upstream="127.0.0.1:9", keeper=keeper, once=True, speed=0) as server:
        body = answer(server, post("/api/chat")).partition(b"\r\n\r\n")[2]
        assert b'"done":true' in body
        assert server.journal.entries[0].answered_by == "api-chat-1"


@pytest.mark.parametrize("url", ["https://a:1", "http://u:p@a", "http://a/b", "ftp://a", "http://"])
def test_a_url_that_cannot_be_an_upstream_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"write it as http://|https is not supported"):
        FakeOllama(upstream=url)


def test_fifty_streams_come_whole_at_once(real: FakeOllama) -> None:
    with FakeOllama(upstream=real.url) as server:
        clients = [connect(server) for _ in range(50)]
        for client in clients:
            client.sendall(post("/api/chat"))
        answers = set()
        for client in clients:
            with client:
                got = b""
                while more := client.recv(65536):
                    got += more
            answers.add(re.sub(rb'"created_at":"[^"]*"', b"", without_date(got)))
        assert len(answers) == 1
        assert answers.pop().endswith(b"}\n\r\n0\r\n\r\n")


def test_a_file_and_the_control_api_know_the_rule(tmp_path: Path, real: FakeOllama) -> None:
    file = tmp_path / "p.toml"
    file.write_text('[[rules]]\nwhen = { path = "/api/chat" }\nforward = true\n')
    programme = read_programme(file)
    assert programme.rules[0].answer == Forwarded()
    with FakeOllama(upstream=real.url, programme=programme) as server:
        shown = json.loads(
            answer(server, b"GET /_harness/programme HTTP/1.0\r\nHost: localhost\r\n\r\n").split(b"\r\n\r\n")[1]
        )
        assert shown["rules"][0]["forward"] is True
    file.write_text("[[rules]]\nforward = 1\n")
    with pytest.raises(ProgrammeError, match="rule 1, forward: is not true; make it true, or remove it"):
        read_programme(file)


def test_what_a_fault_has_ended_is_not_kept(tmp_path: Path) -> None:
    with FakeOllama(any_model=True, speed=0, faults=[parse_fault("stall_at(after_record(2))")]) as stalled:
        keeper = FolderKeeper(tmp_path / "mine", stalled.url)
        with FakeOllama(upstream=stalled.url, keeper=keeper, faults=[close_at(after_record(1))]) as server:
            answer(server, post("/api/chat"))
            assert "not kept" in server.journal.entries[0].why
    assert keeper.recordings == ()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--once",), "--once: there is no Ollama behind the server; give --upstream URL, too"),
        (("--misses-only",), "--misses-only: there is no Ollama behind the server"),
        (
            ("--upstream", "http://127.0.0.1:1", "--once"),
            "--once: nothing keeps the answers; give --record-to DIR, too",
        ),
        (("--upstream", "https://x"), "https is not supported; give the http:// URL of Ollama itself"),
    ],
)
def test_options_that_can_have_no_effect_are_refused(options: tuple[str, ...], problem: str) -> None:
    done = CliRunner().invoke(serve, options)
    assert done.exit_code == 2
    assert problem in " ".join(done.output.split())


def test_the_first_lines_say_what_is_kept_back(real: FakeOllama, tmp_path: Path) -> None:
    with FakeOllama(upstream=real.url, faults=[rechunk(16)], misses_only=True) as server:
        assert list(about_upstream(server, tmp_path, once=True)) == [
            f"upstream: {real.url} answers what no recording answers, and keeps it in {tmp_path} for the next time",
            "  rechunk(16): application/x-ndjson is kept back until it is whole",
            "  rechunk(16): text/event-stream is kept back until it is whole",
        ]
