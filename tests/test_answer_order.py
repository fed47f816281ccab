"""Which step answers: Go's server, the guard, what the user arranged, or what else Ollama says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ollama_harness import FakeOllama
from ollama_harness.matrix._raw_socket import connect, read_exactly, read_to_end

pytestmark = pytest.mark.same_everywhere

FOREIGN = [("Host", "evil.example"), ("Origin", "https://evil.example")]
NO_ROUTES = [
    ("GET", "/no/such/route", 404),
    ("POST", "/api/tags", 405),
    ("GET", "/api//tags", 307),
    ("GET", "/api/tags/", 301),
    ("OPTIONS", "/api/tags", 204),
]


@pytest.fixture
def server() -> Iterator[FakeOllama]:
    with FakeOllama(speed=0) as server:
        yield server


def status_of(server: FakeOllama, method: str, path: str, *headers: tuple[str, str]) -> int:
    """The status of a request from this machine, unless a header says something else."""
    fields = {"Host": "localhost", "Connection": "close", **dict(headers)}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    with connect(server.port) as sock:
        sock.sendall(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode())
        return int(read_exactly(sock, 12)[9:])


@pytest.mark.parametrize(("method", "path", "status"), NO_ROUTES)
def test_what_is_arranged_is_a_route_of_any_path_and_method(
    method: str, path: str, status: int, server: FakeOllama
) -> None:
    assert status_of(server, method, path) == status, "as Ollama says"
    server.play("root-get", method=method, path=path, times=1)
    assert status_of(server, method, path) == 200
    server.expect_oneshot_request(path, method=method).respond_with_data(status=202)
    assert status_of(server, method, path) == 202
    assert status_of(server, method, path) == status, "both are used up"


@pytest.mark.parametrize("header", FOREIGN, ids=lambda header: header[0])
def test_whom_ollama_does_not_let_in_gets_nothing_that_is_arranged(header: tuple[str, str], server: FakeOllama) -> None:
    server.expect_request("/api/tags").respond_with_data("expected")
    server.play("tags")
    assert status_of(server, "GET", "/api/tags", header) == 403
    assert not server.log, "the expectation was not asked"


@pytest.mark.parametrize("header", FOREIGN, ids=lambda header: header[0])
def test_a_play_before_the_guard_answers_those_too_and_comes_before_all_else(
    header: tuple[str, str], server: FakeOllama
) -> None:
    server.play("version", path="/api/tags", before_guard=True, times=2)
    server.play("error-unknown-route", path="/api/tags")
    server.expect_request("/api/tags").respond_with_data(status=202)
    assert [status_of(server, "GET", "/api/tags", header) for _ in range(3)] == [200, 200, 403]
    assert status_of(server, "GET", "/api/tags") == 202


def test_what_go_refuses_is_refused_whatever_is_arranged(server: FakeOllama) -> None:
    server.play("root-get", before_guard=True)
    with connect(server.port) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert read_to_end(sock).data.startswith(b"HTTP/1.1 400 Bad Request: missing required Host header\r\n")


def test_a_body_that_is_kept_back_is_not_asked_for_where_the_head_decides(server: FakeOllama) -> None:
    """An expectation could look at the body, but a foreign host does not come so far."""
    server.expect_request("/api/chat").respond_with_data("expected")
    fields = (("Host", "evil.example"), ("Expect", "100-continue"), ("Content-Length", "5"))
    assert status_of(server, "POST", "/api/chat", *fields) == 403
    assert status_of(server, "POST", "/api/chat", *fields[1:]) == 100


def test_a_target_in_absolute_form_gets_the_play_for_its_path(server: FakeOllama) -> None:
    server.play("root-get", path="/mine")
    assert status_of(server, "GET", "http://localhost/mine") == 200
