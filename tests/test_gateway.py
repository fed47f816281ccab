"""A gateway before FakeOllama: a path that Ollama is below, and a key."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import Any

import click
import pytest

from ollama_harness.answers import Step
from ollama_harness.cli.serve import serve
from ollama_harness.faults import after_record, stall_at
from ollama_harness.script.http1 import RequestHead
from ollama_harness.script.message_parts import Raw
from ollama_harness.script.script import ConnectionEnd, Script, ScriptEnd, Segment
from ollama_harness.server.fake_ollama import FakeOllama
from ollama_harness.server.gateway import Gateway
from ollama_harness.server.journal import EndedBy
from ollama_harness.server.programme import OwnError, Programme, ProgrammeRule, When

pytestmark = pytest.mark.same_everywhere

CHAT = {"model": "smollm2:135m", "messages": [{"role": "user", "content": "Hi"}]}
KEY = {"Authorization": "Bearer my-key"}
CHALLENGE = 'Bearer realm="ollama"'


@pytest.fixture
def server() -> Iterator[FakeOllama]:
    with FakeOllama(speed=0, prefix="/ollama", require_key="my-key") as server:
        yield server


def ask(
    server: FakeOllama, method: str, path: str, body: Any = None, headers: Any = None
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers or {})
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    finally:
        connection.close()


def test_what_passes_is_answered_as_without_a_gateway(server: FakeOllama) -> None:
    with FakeOllama(speed=0) as bare:
        expected = ask(bare, "POST", "/api/chat", CHAT)
    answer = ask(server, "POST", "/ollama/api/chat", CHAT, KEY)
    for one in (expected, answer):
        one[1].pop("Date")
    assert answer == expected
    (entry,) = server.journal.entries
    assert entry.head is not None
    assert (entry.head.target, entry.head.headers[-1]) == ("/ollama/api/chat", ("Authorization", "Bearer my-key"))


@pytest.mark.parametrize("path", ["/", "/api/version", "/ollamas/api/version", "/ollama."])
def test_another_path_gets_the_page_of_nginx_with_or_without_the_key(path: str, server: FakeOllama) -> None:
    status, headers, body = ask(server, "GET", path, headers=KEY)
    assert (status, headers["Server"], headers["Content-Type"]) == (404, "nginx/1.24.0", "text/html")
    assert b"<center><h1>404 Not Found</h1></center>" in body
    assert "WWW-Authenticate" not in headers
    (entry,) = server.journal.entries
    assert (entry.answered_by, entry.step) == ("gateway", Step.GUARD)
    assert entry.why == "the gateway has Ollama below /ollama only"


def test_the_prefix_without_its_slash_is_redirected(server: FakeOllama) -> None:
    status, headers, _ = ask(server, "GET", "/ollama?a=b")
    assert (status, headers["Location"]) == (301, f"http://127.0.0.1:{server.port}/ollama/?a=b")
    assert ask(server, "GET", "/ollama/", headers=KEY)[2] == b"Ollama is running"


@pytest.mark.parametrize(
    ("given", "code", "why"),
    [
        ({}, None, "it has no key"),
        ({"Authorization": "Bearer other"}, "invalid_api_key", "it has another key"),
        ({"Authorization": "bearer my-key"}, "invalid_api_key", "it has another key"),
        ({"Authorization": "Basic bXkta2V5"}, "invalid_api_key", "it has another key"),
        ({"Authorization": "Bearer m\u00e9"}, "invalid_api_key", "it has another key"),
    ],
)
def test_v1_without_the_key_gets_an_error_of_openai(
    given: dict[str, str], code: str | None, why: str, server: FakeOllama
) -> None:
    status, headers, body = ask(server, "POST", "/ollama/v1/chat/completions", CHAT, given)
    assert (status, headers["WWW-Authenticate"]) == (401, CHALLENGE)
    error = json.loads(body)["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", code)
    assert server.journal.entries[0].why == f"the gateway refuses it: {why}"


@pytest.mark.parametrize("method", ["POST", "OPTIONS", "HEAD"])
def test_any_other_route_without_the_key_gets_the_page_of_nginx(method: str, server: FakeOllama) -> None:
    status, headers, body = ask(server, method, "/ollama/api/chat")
    assert (status, headers["WWW-Authenticate"], headers["Content-Type"]) == (401, CHALLENGE, "text/html")
    assert (b"401 Authorization Required" in body) is (method != "HEAD")


def test_a_connection_is_used_again_after_a_refusal_and_closed_when_the_client_wants(server: FakeOllama) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    found = []
    for headers in ({}, KEY, {"Connection": "close"}):
        connection.request("POST", "/ollama/api/chat", json.dumps(CHAT), headers)
        response = connection.getresponse()
        found.append((response.status, response.getheader("Connection")))
        response.read()
    connection.close()
    assert found == [(401, "keep-alive"), (200, None), (401, "close")]
    assert server.journal.connections == 1


def test_a_body_that_waits_for_100_continue_is_not_asked_for(server: FakeOllama) -> None:
    status, _, _ = ask(server, "POST", "/ollama/api/chat", CHAT, {"Expect": "100-continue"})
    assert status == 401
    assert server.journal.entries[0].body == b""


def test_rules_and_choices_name_paths_as_ollama_sees_them() -> None:
    busy = ProgrammeRule(when=When(path="/api/chat"), answer=OwnError.of(503, "busy"))
    with FakeOllama(speed=0, prefix="/a/b", programme=Programme((busy,))) as server:
        assert ask(server, "POST", "/a/b/api/chat", CHAT)[0] == 503
        assert ask(server, "GET", "/a/b/_/fail=418/api/version")[0] == 418
        assert ask(server, "POST", "/api/chat", CHAT)[0] == 404
        assert server.verify().ok


def test_the_control_api_is_at_both_places_and_needs_no_key(server: FakeOllama) -> None:
    assert server.url == f"http://127.0.0.1:{server.port}/ollama"
    assert server.control_url == f"http://127.0.0.1:{server.port}/_harness"
    assert [ask(server, "GET", f"{where}/_harness/health")[0] for where in ("", "/ollama")] == [200, 200]
    assert not server.journal.entries


def test_a_key_alone_is_asked_for_at_the_root() -> None:
    with FakeOllama(require_key="my-key") as server:
        assert [ask(server, "GET", "/api/version", headers=given)[0] for given in ({}, KEY)] == [401, 200]


@pytest.mark.parametrize("prefix", ["ollama", "/ollama/", "/", "/a//b", "/a b", "/a?b"])
def test_what_is_no_prefix_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match="give one such as /ollama"):
        FakeOllama(prefix=prefix)
    with pytest.raises(click.BadParameter, match="give one such as /ollama"):
        serve.main(["--prefix", prefix], standalone_mode=False)


@pytest.mark.parametrize("key", ["", "a b", "é"])
def test_what_no_header_can_have_is_refused_as_a_key(key: str) -> None:
    with pytest.raises(ValueError, match="give such a one"):
        FakeOllama(require_key=key)
    with pytest.raises(click.BadParameter, match="give such a one"):
        serve.main(["--require-key", key], standalone_mode=False)


# ------------------------------------------------------------------------------------------------ it gives up


def scripted(*times: float, end_s: float, how: ConnectionEnd = ConnectionEnd.KEEP_OPEN) -> Script:
    segments = tuple(Segment(at_s, (Raw(b"x"),)) for at_s in times)
    return Script(method="POST", segments=segments, ending=ScriptEnd(how=how, at_s=end_s))


HEAD = RequestHead("POST", "/api/chat", "HTTP/1.1", (), 0)
STOPS = ConnectionEnd.CLOSE


@pytest.mark.parametrize(
    ("script", "waited_s", "segments", "end"),
    [
        (scripted(0.5, 1.0, 1.9, end_s=1.9), 0.0, 3, None),
        (scripted(0.5, 1.0, 2.0, end_s=2.0), 0.0, 2, (STOPS, 2.0)),
        (scripted(0.5, 1.0, end_s=1.0, how=ConnectionEnd.HOLD), 0.0, 2, (STOPS, 2.0)),
        (scripted(0.5, end_s=3.0, how=ConnectionEnd.RESET), 0.0, 1, (STOPS, 1.5)),
        (scripted(0.5, end_s=3.0), 0.0, 1, None),
        (scripted(0.5, end_s=0.5), 0.4, 1, None),
    ],
)
def test_a_silence_that_is_too_long_ends_the_stream(
    script: Script, waited_s: float, segments: int, end: tuple[ConnectionEnd, float] | None
) -> None:
    found = Gateway(idle_timeout_s=1.0).patient(script, HEAD, waited_s=waited_s)
    assert found.segments == script.segments[:segments]
    assert (found is script) is (end is None)
    assert end is None or (found.ending.how, found.ending.at_s) == end


@pytest.mark.parametrize(
    ("script", "waited_s", "at_s"),
    [
        (scripted(1.1, end_s=1.1), 0.0, 1.0),
        (scripted(0.5, end_s=0.5), 0.6, 0.4),
        (scripted(0.0, end_s=0.0), 2.0, 0.0),
        (scripted(end_s=0.0, how=ConnectionEnd.HOLD), 0.0, 1.0),
    ],
)
def test_a_silence_before_the_head_is_a_504(script: Script, waited_s: float, at_s: float) -> None:
    found = Gateway(idle_timeout_s=1.0).patient(script, HEAD, waited_s=waited_s)
    assert found.head is not None
    assert (found.head.status, found.head.reason) == (504, "Gateway Time-out")
    assert (found.segments[0].at_s, found.ending.at_s, found.ending.how) == (
        pytest.approx(at_s),
        pytest.approx(at_s),
        ConnectionEnd.KEEP_OPEN,
    )


def test_a_stream_that_stalls_is_given_up() -> None:
    with FakeOllama(speed=0, idle_timeout_s=0.2, faults=[stall_at(after_record(2))]) as server:
        with pytest.raises(http.client.IncompleteRead):
            ask(server, "POST", "/api/chat", CHAT)
        assert server.journal.wait_until_settled()
        (entry,) = server.journal.entries
        assert (entry.ended, entry.ended_by) == (ConnectionEnd.CLOSE, EndedBy.SERVER)
        assert entry.wire.count(b'"done":false') == 2
        assert entry.why.endswith("; the gateway gave up after 0.2 s of silence")


def test_a_request_in_the_queue_is_given_up_and_frees_its_place() -> None:
    with FakeOllama(speed=0, idle_timeout_s=0.3, parallel=1, max_queue=1) as server:
        slots = server._serving._slots
        assert slots is not None
        slots._free = 0  # as if another request had it, and did not end
        assert [ask(server, "POST", "/api/chat", CHAT)[0] for _ in range(3)] == [504, 504, 504]
        slots.leave()
        assert ask(server, "POST", "/api/chat", CHAT)[0] == 200
        assert all(one.waited_s >= 0.3 for one in server.journal.entries[:3])


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf"])
def test_what_is_no_time_to_give_up_after_is_refused(seconds: str) -> None:
    with pytest.raises(ValueError, match="give more than 0"):
        FakeOllama(idle_timeout_s=float(seconds))
    with pytest.raises(click.BadParameter, match="give more than 0"):
        serve.main(["--idle-timeout", seconds], standalone_mode=False)
