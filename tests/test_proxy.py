"""FakeProxy on a raw socket: what it answers, what it passes on and when, and how connections end."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_harness.errors import PortInUse
from ollama_harness.faults import close_on_accept, refuse
from ollama_harness.matrix._raw_socket import (
    NO_RESETS,
    PATIENCE_S,
    SocketView,
    connect,
    leave_and_read,
    read_exactly,
    read_to_end,
    resets_are_real,
)
from ollama_harness.network.route import Route
from ollama_harness.oracle.reference import reference
from ollama_harness.script.http1 import read_body, read_response_head
from ollama_harness.script.message_parts import Raw
from ollama_harness.script.script import ConnectionEnd, Script, ScriptEnd, Segment
from ollama_harness.server._upstream import Target
from ollama_harness.server.fake_ollama import FakeOllama
from ollama_harness.server.journal import EndedBy, Entry, Protocol
from ollama_harness.server.proxy import MODES, FakeProxy, Forward, route_of
from ollama_harness.server.transport import Transport, abort

real_resets = pytest.mark.skipif("not resets_are_real()", reason=NO_RESETS)

CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
PASSED_ON = CHUNKED[:-2] + b"Via: 1.1 ollama-harness\r\n\r\n"
COUNTED = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
UNCOUNTED = b"HTTP/1.1 200 OK\r\n\r\n"


class Upstream:
    """A server whose every word is written by the test."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(PATIENCE_S)
        self.port: int = self._listener.getsockname()[1]
        self._accepted: list[socket.socket] = []

    def accept(self) -> socket.socket:
        sock, _ = self._listener.accept()
        sock.settimeout(PATIENCE_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._accepted.append(sock)
        return sock

    def close(self) -> None:
        for sock in (*self._accepted, self._listener):
            sock.close()

    def asks(self, *headers: str, method: str = "GET", version: str = "HTTP/1.1") -> bytes:
        """A request for this server, in absolute form."""
        target = f"http://127.0.0.1:{self.port}/api/tags?x=1"
        lines = [f"{method} {target} {version}", f"Host: 127.0.0.1:{self.port}", *headers]
        return "\r\n".join([*lines, "", ""]).encode()


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    upstream = Upstream()
    yield upstream
    upstream.close()


@pytest.fixture
def proxy() -> Iterator[FakeProxy]:
    with FakeProxy(does=Forward()) as proxy:
        yield proxy


def read_head(sock: socket.socket) -> bytes:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = sock.recv(1)
        assert byte, f"the connection ended after {head!r}"
        head += byte
    return head


def answered(upstream: Upstream, does: Forward, *pieces: bytes, asks: bytes = b"") -> SocketView:
    """What the client sees of an upstream that sends these pieces and a FIN."""
    with FakeProxy(does=does) as proxy, connect(proxy.port) as client:
        client.sendall(asks or upstream.asks("Connection: close"))
        with upstream.accept() as behind:
            read_head(behind)
            for piece in pieces:
                behind.sendall(piece)
            behind.shutdown(socket.SHUT_WR)
            return read_to_end(client)


def settled(proxy: FakeProxy) -> tuple[Entry, ...]:
    assert proxy.journal.wait_until_settled(timeout_s=PATIENCE_S)
    return proxy.journal.entries


# ------------------------------------------------------------------------------------------------ a script


@pytest.mark.parametrize(
    ("asks", "protocol", "target"),
    [
        (b"GET http://ollama.example/api/tags HTTP/1.1\r\nHost: a\r\n\r\n", "absolute", "ollama.example:80"),
        (b"POST http://[::1]:11434/ HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", "absolute", "[::1]:11434"),
        (b"CONNECT ollama.example:443 HTTP/1.1\r\nHost: a\r\n\r\n", "connect", "ollama.example:443"),
        (b"GET /api/tags HTTP/1.1\r\nHost: a\r\n\r\n", "http", ""),
        (b"CONNECT nonsense HTTP/1.1\r\n\r\n", "connect", ""),
        (b"GET https://ollama.example/ HTTP/1.1\r\n\r\n", "absolute", ""),
    ],
)
def test_a_script_answers_every_request_and_the_journal_shows_its_form_and_target(
    asks: bytes, protocol: str, target: str
) -> None:
    with FakeProxy(does=MODES["refuses"]) as proxy, connect(proxy.port) as client:
        client.sendall(asks)
        seen = read_to_end(client)
    assert (seen.data, seen.end) == (
        b"HTTP/1.1 502 Bad Gateway\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        "fin",
    )
    (entry,) = proxy.journal.entries
    assert (entry.protocol, entry.target, entry.wire) == (protocol, target, seen.data)
    assert (entry.answered_by, entry.ended, entry.ended_by) == ("script", ConnectionEnd.CLOSE, EndedBy.SERVER)
    assert entry.head is not None


@pytest.mark.parametrize(
    ("mode", "begins", "holds"),
    [
        ("html-403", b"HTTP/1.1 403 Forbidden\r\n", b"Content-Type: text/html"),
        ("html-407", b"HTTP/1.1 407 Proxy Authentication Required\r\n", b'\r\nProxy-Authenticate: Basic realm="proxy"'),
        ("html-407", b"HTTP/1.1 407 ", b"Content-Type: text/html"),
        ("privoxy-500", b"HTTP/1.1 500 Internal Privoxy Error\r\n", b"<h1>500 Internal Privoxy Error</h1>"),
        ("squid-503", b"HTTP/1.1 503 Service Unavailable\r\n", b"X-Squid-Error: ERR_CONNECT_FAIL 111"),
        ("redirect-302", b"HTTP/1.1 302 Found\r\n", b"Location: /login\r\n"),
        ("captive-portal-200", b"HTTP/1.1 200 OK\r\n", b"Content-Type: text/html"),
    ],
)
def test_each_answer_is_whole_and_the_journal_shows_what_gave_it(mode: str, begins: bytes, holds: bytes) -> None:
    with FakeProxy(does=MODES[mode]) as proxy, connect(proxy.port) as client:
        client.sendall(b"POST http://127.0.0.1:1/api/chat HTTP/1.1\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}")
        seen = read_to_end(client)
    head, _, body = seen.data.partition(b"\r\n\r\n")
    assert head.startswith(begins)
    assert holds in seen.data
    assert b"Content-Length: %d" % len(body) in head
    assert seen.end == "fin"
    assert seen.data == proxy.journal.entries[0].wire


@pytest.mark.parametrize("mode", [name for name, does in MODES.items() if isinstance(does, Script)])
def test_what_a_script_means_to_a_client_can_be_computed(mode: str) -> None:
    does = MODES[mode]
    assert isinstance(does, Script)
    assert not reference(does).records


def test_an_empty_answer_is_a_fin_without_a_byte() -> None:
    with FakeProxy(does=MODES["empty"]) as proxy, connect(proxy.port) as client:
        client.sendall(b"GET http://127.0.0.1:1/ HTTP/1.1\r\n\r\n")
        seen = read_to_end(client)
    assert (seen.data, seen.end) == (b"", "fin")


@real_resets
def test_a_reset_is_an_rst_without_a_byte() -> None:
    with FakeProxy(does=MODES["reset"]) as proxy, connect(proxy.port) as client:
        client.sendall(b"GET http://127.0.0.1:1/ HTTP/1.1\r\n\r\n")
        seen = read_to_end(client)
    assert (seen.data, seen.end) == (b"", "rst")
    assert proxy.journal.entries[0].ended is ConnectionEnd.RESET


def test_a_proxy_that_hangs_says_nothing_until_its_client_leaves() -> None:
    with FakeProxy(does=MODES["hang"]) as proxy, connect(proxy.port) as client:
        client.sendall(b"GET http://127.0.0.1:1/ HTTP/1.1\r\n\r\n")
        assert proxy.journal.wait_for(bool, timeout_s=PATIENCE_S)
        assert leave_and_read(client).data == b""
        (entry,) = settled(proxy)
    assert (entry.ended, entry.client_left_s is not None) == (ConnectionEnd.HOLD, True)


def test_a_script_that_keeps_the_connection_open_is_played_to_the_next_request_too() -> None:
    script = Script(
        method="GET",
        segments=(Segment(0.0, (Raw(b"HTTP/1.1 204 No Content\r\n\r\n"),)),),
        ending=ScriptEnd(how=ConnectionEnd.KEEP_OPEN, at_s=0.0),
    )
    with FakeProxy(does=script) as proxy, connect(proxy.port) as client:
        for _ in range(2):
            client.sendall(b"GET http://127.0.0.1:1/ HTTP/1.1\r\n\r\n")
            assert read_head(client) == b"HTTP/1.1 204 No Content\r\n\r\n"
        assert [(entry.connection, entry.index) for entry in proxy.journal.entries] == [(1, 1), (1, 2)]


def test_a_script_that_awaits_no_request_strikes_every_connection() -> None:
    refuses = MODES["refuses"]
    assert isinstance(refuses, Script)
    with FakeProxy(does=close_on_accept()(refuses)) as proxy, connect(proxy.port) as client:
        assert read_to_end(client).end == "fin"


@pytest.mark.parametrize("gone", [{"listens": False, "does": Forward()}, {"does": refuse()(MODES["refuses"])}])
def test_a_proxy_that_is_gone_refuses_connections_and_keeps_its_port(gone: dict[str, object]) -> None:
    with FakeProxy(**gone) as proxy:  # type: ignore[arg-type]
        with pytest.raises(ConnectionRefusedError):
            connect(proxy.port)
        with pytest.raises(PortInUse):
            FakeProxy(port=proxy.port, does=Forward()).start()
    assert not proxy.journal.connections


# ------------------------------------------------------------------------------------------------ what is no HTTP


@pytest.mark.parametrize("does", [MODES["hang"], Forward()], ids=["script", "forward"])
def test_a_tls_hello_gets_a_fatal_alert_and_a_fin(does: Script | Forward) -> None:
    hello = b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03"
    with FakeProxy(does=does) as proxy, connect(proxy.port) as client:
        client.sendall(hello)
        seen = read_to_end(client)
        assert (seen.data, seen.end) == (b"\x15\x03\x03\x00\x02\x02\x28", "fin")
        (entry,) = settled(proxy)
    assert (entry.protocol, entry.head, entry.answered_by) == (Protocol.TLS, None, "nothing")
    assert hello.startswith(entry.body)
    assert entry.body


@pytest.mark.parametrize(
    ("greeting", "reply", "protocol", "target"),
    [
        (b"\x05\x01\x00", b"\x05\xff", Protocol.SOCKS5, ""),
        (b"\x05\x02\x00\x02", b"\x05\xff", Protocol.SOCKS5, ""),
        (b"\x04\x01\x2c\xaa\x7f\x00\x00\x01me\0", b"\x00\x5b" + bytes(6), Protocol.SOCKS4, "127.0.0.1:11434"),
        (b"\x04\x01\x2c\xaa\0\0\0\x01\0localhost\0", b"\x00\x5b" + bytes(6), Protocol.SOCKS4, "localhost:11434"),
    ],
)
def test_a_socks_greeting_is_refused_in_its_own_words(
    greeting: bytes, reply: bytes, protocol: Protocol, target: str
) -> None:
    with FakeProxy(does=MODES["refuses"]) as proxy, connect(proxy.port) as client:
        client.sendall(greeting)
        seen = read_to_end(client)
    assert (seen.data, seen.end) == (reply, "fin")
    (entry,) = proxy.journal.entries
    assert (entry.protocol, entry.target, entry.head, entry.body) == (protocol, target, None, greeting)


@pytest.mark.parametrize("part", [b"\x05", b"\x05\x02\x00", b"\x04\x01\x2c", b"\x05\x01\x00\x05\x01\x00\x03\x0alo"])
def test_half_a_socks_greeting_ends_when_its_client_leaves(part: bytes, proxy: FakeProxy) -> None:
    with connect(proxy.port) as client:
        client.sendall(part)
        assert leave_and_read(client).end == "fin"
    (entry,) = settled(proxy)
    assert "broke off" in entry.why


def test_what_is_no_http_at_all_gets_400(proxy: FakeProxy) -> None:
    with connect(proxy.port) as client:
        client.sendall(b"hello\r\n\r\n")
        assert read_to_end(client).data.startswith(b"HTTP/1.1 400 Bad Request\r\n")


@pytest.mark.parametrize(
    ("protocol", "expected"),
    [
        (Protocol.HTTP, Route.PROXIED),
        (Protocol.ABSOLUTE, Route.PROXIED),
        (Protocol.CONNECT, Route.TUNNEL),
        (Protocol.TLS, Route.TLS),
        (Protocol.SOCKS4, Route.SOCKS),
        (Protocol.SOCKS5, Route.SOCKS),
    ],
)
def test_the_route_follows_from_the_form_of_the_request(protocol: Protocol, expected: Route) -> None:
    assert route_of(Entry(connection=1, index=1, head=None, body=b"", protocol=protocol)) is expected


# ------------------------------------------------------------------------------------------------ forwarding: requests


def test_a_request_goes_on_in_origin_form_without_what_was_meant_for_the_proxy(
    upstream: Upstream, proxy: FakeProxy
) -> None:
    with connect(proxy.port) as client:
        client.sendall(
            b"POST http://me:secret@127.0.0.1:%d/api/chat?x=1 HTTP/1.1\r\nHost: elsewhere\r\n"
            b"Proxy-Connection: keep-alive\r\nProxy-Authorization: Basic x\r\n"
            b"Connection: X-Mine, keep-alive\r\nX-Mine: 1\r\nTE: trailers\r\n"
            b"X-Kept: 2\r\nContent-Length: 2\r\n\r\n{}" % upstream.port
        )
        behind = upstream.accept()
        expected = (
            b"POST /api/chat?x=1 HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nX-Kept: 2\r\nVia: 1.1 ollama-harness\r\n"
            b"Content-Length: 2\r\n\r\n{}" % upstream.port
        )
        assert read_exactly(behind, len(expected)) == expected
    (entry,) = proxy.journal.entries
    assert (entry.protocol, entry.target) == (Protocol.ABSOLUTE, f"127.0.0.1:{upstream.port}")
    assert (entry.answered_by, entry.body) == ("upstream", b"{}")


@pytest.mark.parametrize(
    ("asks", "line"),
    [
        (b"GET http://127.0.0.1:%d HTTP/1.1", b"GET / HTTP/1.1\r\n"),
        (b"GET http://127.0.0.1:%d?q=1 HTTP/1.1", b"GET /?q=1 HTTP/1.1\r\n"),
        (b"OPTIONS http://127.0.0.1:%d HTTP/1.1", b"OPTIONS * HTTP/1.1\r\n"),
        (b"GET http://localhost:%d/a HTTP/1.0", b"GET /a HTTP/1.1\r\n"),
    ],
)
def test_the_request_line_is_rewritten(asks: bytes, line: bytes, upstream: Upstream, proxy: FakeProxy) -> None:
    with connect(proxy.port) as client:
        client.sendall(asks % upstream.port + b"\r\n\r\n")
        assert read_head(upstream.accept()).startswith(line)


def test_a_chunked_request_goes_on_with_its_length(upstream: Upstream, proxy: FakeProxy) -> None:
    with connect(proxy.port) as client:
        client.sendall(upstream.asks("Transfer-Encoding: chunked", method="POST") + b"2\r\n{\n\r\n1\r\n}\r\n0\r\n\r\n")
        behind = upstream.accept()
        assert read_head(behind).endswith(b"Content-Length: 3\r\n\r\n")
        assert read_exactly(behind, 3) == b"{\n}"


def test_one_connection_serves_many_requests(proxy: FakeProxy) -> None:
    with FakeOllama(speed=0) as server:
        client = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=PATIENCE_S)
        for _ in range(3):
            client.request("GET", f"{server.url}/api/version")
            assert json.loads(client.getresponse().read()) == {"version": server.store.newest}
        client.close()
    assert [(entry.connection, entry.index) for entry in proxy.journal.entries] == [(1, 1), (1, 2), (1, 3)]
    assert server.journal.connections == 3


@pytest.mark.parametrize(
    "asks",
    [
        b"GET http://192.0.2.1/ HTTP/1.1\r\n\r\n",
        b"GET http://ollama.example:11434/ HTTP/1.1\r\n\r\n",
        b"GET http://localhost.example/ HTTP/1.1\r\n\r\n",
        b"GET http://0.0.0.0:80/ HTTP/1.1\r\n\r\n",
        b"GET http://[::ffff:192.0.2.1]/ HTTP/1.1\r\n\r\n",
        b"CONNECT ollama.example:443 HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_not_on_this_machine_is_forbidden(
    asks: bytes, proxy: FakeProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connect(proxy.port) as client:
        monkeypatch.setattr(socket, "create_connection", lambda *_, **__: pytest.fail("it connected"))
        client.sendall(asks)
        assert read_head(client).startswith(b"HTTP/1.1 403 Forbidden\r\n")
    (entry,) = proxy.journal.entries
    assert entry.answered_by == "nothing"
    assert "not on this machine" in entry.why


@pytest.mark.parametrize(
    "asks",
    ["GET http://ollama.example/api/tags?x=1 HTTP/1.1", "GET /api/tags?x=1 HTTP/1.1"],
    ids=["absolute", "origin"],
)
def test_an_upstream_replaces_every_target(asks: str, upstream: Upstream) -> None:
    with FakeProxy(does=Forward(), upstream=("127.0.0.1", upstream.port)) as proxy, connect(proxy.port) as client:
        client.sendall(f"{asks}\r\nHost: ollama.example\r\n\r\n".encode())
        head = read_head(upstream.accept())
    assert head.startswith(b"GET /api/tags?x=1 HTTP/1.1\r\nHost: ollama.example\r\n")
    assert proxy.journal.entries[0].target == ("ollama.example:80" if "//" in asks else "")


def test_an_upstream_must_be_on_this_machine() -> None:
    with pytest.raises(ValueError, match=r"upstream is 192\.0\.2\.1:80; give one on this machine"):
        FakeProxy(does=Forward(), upstream=("192.0.2.1", 80))


@pytest.mark.parametrize(
    "asks",
    [
        b"GET /api/tags HTTP/1.1\r\n\r\n",
        b"GET https://127.0.0.1/ HTTP/1.1\r\n\r\n",
        b"GET http://127.0.0.1:99999/ HTTP/1.1\r\n\r\n",
        b"GET http:///path HTTP/1.1\r\n\r\n",
        b"CONNECT 127.0.0.1 HTTP/1.1\r\n\r\n",
    ],
)
def test_what_names_no_target_gets_400(asks: bytes, proxy: FakeProxy) -> None:
    with connect(proxy.port) as client:
        client.sendall(asks)
        assert read_to_end(client).data.startswith(b"HTTP/1.1 400 Bad Request\r\n")


@pytest.mark.parametrize("asks", ["GET http://127.0.0.1:{}/ HTTP/1.1", "CONNECT 127.0.0.1:{} HTTP/1.1"])
def test_a_server_that_refuses_is_a_502(asks: str, proxy: FakeProxy) -> None:
    with FakeOllama(listens=False) as server, connect(proxy.port) as client:
        client.sendall(f"{asks.format(server.port)}\r\n\r\n".encode())
        assert read_head(client).startswith(b"HTTP/1.1 502 Bad Gateway\r\n")


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("LOCALHOST", True), ("10.0.0.1", False), ("x", False),
     ("127.1", False), ("::", False)],
)  # fmt: skip
def test_only_this_machines_own_addresses_are_loopback(host: str, expected: bool) -> None:
    assert Target(host, 80).is_loopback is expected


# ------------------------------------------------------------------------------------------------ forwarding: answers


def test_each_record_reaches_the_client_before_the_next_one_is_written(upstream: Upstream, proxy: FakeProxy) -> None:
    with connect(proxy.port) as client:
        client.sendall(upstream.asks())
        behind = upstream.accept()
        read_head(behind)
        behind.sendall(CHUNKED)
        assert read_exactly(client, len(PASSED_ON)) == PASSED_ON
        for piece in (b"3\r\none\r\n", b"5;x=y\r\nt", b"wo", b"\r\n\r\n", b"0\r\nTrailer: kept\r\n\r\n"):
            behind.sendall(piece)
            assert read_exactly(client, len(piece)) == piece
        (entry,) = settled(proxy)
        assert (entry.ended, entry.ended_by) == (ConnectionEnd.KEEP_OPEN, EndedBy.SERVER)
        assert behind.recv(1) == b"", "the answer is whole, so the proxy needs its connection no more"


def test_a_proxy_that_buffers_holds_everything_back_until_the_answer_is_whole(upstream: Upstream) -> None:
    with FakeProxy(does=Forward(buffers=True)) as proxy, connect(proxy.port) as client:
        client.sendall(upstream.asks())
        behind = upstream.accept()
        read_head(behind)
        for piece in (CHUNKED, b"3\r\none\r\n", b"3\r\ntwo\r\n"):
            behind.sendall(piece)
        behind.sendall(b"0\r\n\r\n")
        whole = PASSED_ON + b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
        assert read_exactly(client, len(whole)) == whole
        (entry,) = settled(proxy)
    assert [data for _, data in entry.sent] == [whole]


ONE_TWO = (CHUNKED, b"3\r\none\r\n", b"3\r\ntwo\r\n0\r\n\r\n")
HEAD = b"Content-Type: application/x-ndjson\r\n"
VIA = b"Via: 1.1 ollama-harness\r\n"
END = b"Connection: close\r\n\r\n"


@pytest.mark.parametrize(
    ("does", "pieces", "expected"),
    [
        (Forward(framing="length"), ONE_TWO,
         b"HTTP/1.1 200 OK\r\n" + HEAD + VIA + END[:-2] + b"Content-Length: 6\r\n\r\nonetwo"),
        (Forward(framing="close"), ONE_TWO, b"HTTP/1.1 200 OK\r\n" + HEAD + VIA + END + b"onetwo"),
        (Forward(version="HTTP/1.0"), ONE_TWO, b"HTTP/1.0 200 OK\r\n" + HEAD + VIA + b"\r\nonetwo"),
        (Forward(version="HTTP/1.0"), (COUNTED, b"hello"),
         b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n" + VIA + b"\r\nhello"),
        (Forward(framing="close"), (COUNTED, b"hello"), b"HTTP/1.1 200 OK\r\n" + VIA + END + b"hello"),
        (Forward(framing="chunked"), (COUNTED + b"hello",),
         b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + VIA + END + b"5\r\nhello\r\n0\r\n\r\n"),
        (Forward(framing="chunked"), (UNCOUNTED + b"hello",),
         b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + VIA + END + b"5\r\nhello\r\n0\r\n\r\n"),
        (Forward(framing="length"), (UNCOUNTED, b"hello"),
         b"HTTP/1.1 200 OK\r\n" + VIA + END[:-2] + b"Content-Length: 5\r\n\r\nhello"),
        (Forward(), (UNCOUNTED, b"hello"), b"HTTP/1.1 200 OK\r\n" + VIA + END + b"hello"),
        (Forward(), (COUNTED, b"hello, and too much"),
         b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n" + VIA + END + b"hello"),
        (Forward(), (b"HTTP/1.1 204 No Content\r\nKeep-Alive: x\r\nConnection: keep-alive, X\r\nX: 1\r\n\r\n",),
         b"HTTP/1.1 204 No Content\r\n" + VIA + END),
        (Forward(), (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + COUNTED + b"hello",),
         b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n" + VIA + END + b"hello"),
    ],
)  # fmt: skip
def test_answers_have_the_framing_of_forward_and_end_in_the_right_place(
    does: Forward, pieces: tuple[bytes, ...], expected: bytes, upstream: Upstream
) -> None:
    seen = answered(upstream, does, *pieces)
    assert (seen.data, seen.end) == (expected, "fin")


def test_chunks_are_never_sent_to_a_client_of_http_1_0(upstream: Upstream) -> None:
    seen = answered(upstream, Forward(), *ONE_TWO, asks=upstream.asks(version="HTTP/1.0"))
    assert seen.data == b"HTTP/1.1 200 OK\r\n" + HEAD + VIA + END + b"onetwo"


def test_an_answer_to_head_has_no_body(upstream: Upstream) -> None:
    seen = answered(
        upstream, Forward(framing="chunked"), COUNTED, asks=upstream.asks("Connection: close", method="HEAD")
    )
    assert seen.data == COUNTED[:-2] + VIA + END


def test_chunks_of_the_proxys_own_hold_what_came_together(upstream: Upstream) -> None:
    with FakeProxy(does=Forward(framing="chunked")) as proxy, connect(proxy.port) as client:
        client.sendall(upstream.asks())
        behind = upstream.accept()
        read_head(behind)
        for piece, passed_on in (
            (CHUNKED, PASSED_ON),
            (b"6\r\none", b"3\r\none\r\n"),
            (b"two\r\n", b"3\r\ntwo\r\n"),
            (b"1\r\n1\r\n1\r\n2\r\n", b"2\r\n12\r\n"),
            (b"0\r\n\r\n", b"0\r\n\r\n"),
        ):
            behind.sendall(piece)
            assert read_exactly(client, len(passed_on)) == passed_on


@given(
    chunks=st.lists(st.binary(min_size=1, max_size=40), max_size=6),
    cuts=st.lists(st.integers(0, 300), max_size=6),
    framing=st.sampled_from(["keep", "chunked", "length", "close"]),
)
def test_however_a_body_is_cut_up_its_content_arrives(chunks: list[bytes], cuts: list[int], framing: str) -> None:
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    edges = sorted({0, len(body), *(cut for cut in cuts if cut < len(body))})
    upstream = Upstream()
    try:
        does = Forward(framing=framing)  # type: ignore[arg-type]
        with FakeProxy(does=does) as proxy, connect(proxy.port) as client:
            client.sendall(upstream.asks("Connection: close"))
            behind = upstream.accept()
            read_head(behind)
            for start, stop in zip([0, *edges], edges, strict=False):
                behind.sendall((CHUNKED if stop == 0 else b"") + body[start:stop])
            response = http.client.HTTPResponse(client)
            response.begin()
            assert response.read() == b"".join(chunks)
    finally:
        upstream.close()


# --------------------------------------------------------------------------------------------- forwarding: compression


def test_compressed_records_are_passed_on_one_by_one(upstream: Upstream) -> None:
    with FakeProxy(does=Forward(gzips=True)) as proxy, connect(proxy.port) as client:
        client.sendall(upstream.asks("Accept-Encoding: gzip, deflate", "Connection: close"))
        behind = upstream.accept()
        read_head(behind)
        behind.sendall(CHUNKED)
        assert read_head(client) == CHUNKED[:-2] + b"Content-Encoding: gzip\r\nVary: Accept-Encoding\r\n" + VIA + END
        unzip = zlib.decompressobj(wbits=31)
        for record in (b'{"response":"Hi"}\n', b'{"done":true}\n'):
            behind.sendall(b"%x\r\n%b\r\n" % (len(record), record))
            size = b""
            while not size.endswith(b"\r\n"):
                size += client.recv(1)
            assert unzip.decompress(read_exactly(client, int(size, 16) + 2)[:-2]) == record
        behind.sendall(b"0\r\n\r\n")
        rest = read_to_end(client).data
    assert rest.endswith(b"\r\n0\r\n\r\n")
    assert unzip.decompress(rest.partition(b"\r\n")[2]) == b""
    assert unzip.eof


@pytest.mark.parametrize(
    "does", [Forward(gzips=True), Forward(gzips=True, framing="length"), Forward(gzips=True, buffers=True)]
)
@pytest.mark.parametrize("size", [b"5", b"0"])
def test_a_compressed_answer_is_the_answer(does: Forward, size: bytes, upstream: Upstream) -> None:
    asks = upstream.asks("Accept-Encoding: gzip", "Connection: close")
    seen = answered(upstream, does, COUNTED.replace(b"5", size) + b"hello"[: int(size)], asks=asks)
    head = read_response_head(seen.data)
    assert head is not None
    body = read_body(seen.data[head.size :], head, method="GET")
    assert (head.header("content-encoding"), head.header("vary")) == ("gzip", "Accept-Encoding")
    assert (gzip.decompress(body.data), body.whole) == (b"hello"[: int(size)], True)
    assert head.size + body.size == len(seen.data)


@pytest.mark.parametrize("accepts", ["Accept-Encoding: identity", "Accept-Encoding: gzip;q=0, br", "X: none"])
def test_a_client_that_does_not_accept_gzip_gets_none(accepts: str, upstream: Upstream) -> None:
    seen = answered(upstream, Forward(gzips=True), COUNTED, b"hello", asks=upstream.asks(accepts, "Connection: close"))
    assert seen.data == COUNTED[:-2] + b"Vary: Accept-Encoding\r\n" + VIA + END + b"hello"


def test_what_is_compressed_already_is_left_alone(upstream: Upstream) -> None:
    head = COUNTED[:-2] + b"Content-Encoding: br\r\n"
    asks = upstream.asks("Accept-Encoding: gzip, br", "Connection: close")
    seen = answered(upstream, Forward(gzips=True), head + b"\r\nhello", asks=asks)
    assert seen.data == head + VIA + END + b"hello"


# ------------------------------------------------------------------------------------------ forwarding: broken answers


@pytest.mark.parametrize(
    ("does", "pieces", "expected", "end"),
    [
        (Forward(), (CHUNKED, b"3\r\none\r\n"), PASSED_ON[:-2] + END + b"3\r\none\r\n", "fin"),
        (Forward(), (CHUNKED, b"9\r\none"), PASSED_ON[:-2] + END + b"9\r\none", "fin"),
        (Forward(framing="chunked"), (CHUNKED, b"9\r\none"), PASSED_ON[:-2] + END + b"3\r\none\r\n", "fin"),
        (Forward(framing="chunked"), (CHUNKED + b"3\r\none\r\nnonsense\r\n",),
         PASSED_ON[:-2] + END + b"3\r\none\r\n", "fin"),
        (Forward(), (COUNTED, b"hel"), COUNTED[:-2] + VIA + END + b"hel", "fin"),
        (Forward(framing="close"), (COUNTED, b"hel"), b"HTTP/1.1 200 OK\r\n" + VIA + END + b"hel", "rst"),
        (Forward(version="HTTP/1.0"), (CHUNKED, b"3\r\none\r\n"),
         b"HTTP/1.0 200 OK\r\n" + HEAD + VIA + b"\r\none", "rst"),
    ],
)  # fmt: skip
def test_a_chunked_or_counted_answer_that_breaks_off_is_not_ended_by_the_proxy(
    does: Forward, pieces: tuple[bytes, ...], expected: bytes, end: str, upstream: Upstream
) -> None:
    """Where only the end of the connection would tell, a FIN would make a lie of it."""
    if end == "rst" and not resets_are_real():
        pytest.skip(NO_RESETS)
    with FakeProxy(does=does) as proxy, connect(proxy.port) as client:
        client.sendall(upstream.asks("Connection: close"))
        behind = upstream.accept()
        read_head(behind)
        for piece in pieces:
            behind.sendall(piece)
        assert read_exactly(client, len(expected)) == expected
        behind.shutdown(socket.SHUT_WR)
        seen = read_to_end(client)
    assert (seen.data, seen.end) == (b"", end)


@real_resets
@pytest.mark.parametrize("head", [CHUNKED, UNCOUNTED])
def test_a_reset_of_the_server_is_a_reset_for_the_client(head: bytes, upstream: Upstream, proxy: FakeProxy) -> None:
    with connect(proxy.port) as client:
        client.sendall(upstream.asks())
        behind = upstream.accept()
        read_head(behind)
        behind.sendall(head + b"3\r\none\r\n")
        passed_on = read_head(client)
        assert read_exactly(client, 8) == b"3\r\none\r\n"
        abort(behind)
        assert read_to_end(client).end == "rst"
    (entry,) = settled(proxy)
    assert entry.wire == passed_on + b"3\r\none\r\n"
    assert (entry.ended, entry.ended_by) == (ConnectionEnd.RESET, EndedBy.SERVER)
    assert "reset" in entry.why


@pytest.mark.parametrize(
    ("does", "pieces"),
    [
        (Forward(), ()),
        (Forward(), (b"HTTP/1.1 200 O",)),
        (Forward(), (b"hello\r\n\r\n",)),
        (Forward(), (b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",)),
        (Forward(buffers=True), (CHUNKED, b"3\r\none\r\n")),
        (Forward(framing="length"), (COUNTED, b"hel")),
    ],
)
def test_what_breaks_off_before_the_client_has_seen_any_of_it_is_a_502(
    does: Forward, pieces: tuple[bytes, ...], upstream: Upstream
) -> None:
    seen = answered(upstream, does, *pieces)
    assert seen.data.startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
    assert b"one" not in seen.data


def test_a_silence_of_the_server_ends_the_answer_where_it_is(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer is there before it is asked for, so that no silence comes before it."""
    ready, behind = connect(upstream.port), upstream.accept()
    behind.sendall(CHUNKED + b"3\r\none\r\n")
    ready.recv(1, socket.MSG_PEEK)

    async def at_once(*_: object) -> Transport:
        return Transport(ready)

    monkeypatch.setattr("ollama_harness.server.proxy.proxy_connection.connect", at_once)
    with FakeProxy(does=Forward(idle_limit_s=0.1)) as proxy, connect(proxy.port) as client:
        client.sendall(upstream.asks())
        seen = read_to_end(client)
        (entry,) = settled(proxy)
    assert (seen.data, seen.end) == (PASSED_ON + b"3\r\none\r\n", "fin")
    assert "silent for 0.1 s" in entry.why
    assert seen.arrivals[-1][0] - entry.arrived_s >= 0.1


def test_a_silence_before_any_answer_is_a_504(upstream: Upstream) -> None:
    with FakeProxy(does=Forward(idle_limit_s=0.05)) as proxy, connect(proxy.port) as client:
        client.sendall(upstream.asks())
        assert read_head(client).startswith(b"HTTP/1.1 504 Gateway Timeout\r\n")


def test_a_client_that_leaves_is_seen_by_the_server(upstream: Upstream, proxy: FakeProxy) -> None:
    with connect(proxy.port) as client:
        client.sendall(upstream.asks())
        behind = upstream.accept()
        read_head(behind)
        behind.sendall(CHUNKED)
        read_head(client)
    assert read_to_end(behind).data == b""
    (entry,) = settled(proxy)
    assert (entry.ended_by, entry.client_left_s is not None) == (EndedBy.CLIENT, True)


@pytest.mark.parametrize("method", ["GET", "CONNECT"])
def test_stop_ends_an_answer_that_is_being_forwarded(method: str, upstream: Upstream, proxy: FakeProxy) -> None:
    with connect(proxy.port) as client:
        tunnel = f"CONNECT 127.0.0.1:{upstream.port} HTTP/1.1\r\n\r\n".encode()
        client.sendall(tunnel if method == "CONNECT" else upstream.asks())
        behind = upstream.accept()
        behind.sendall(CHUNKED)
        read_head(client)
        proxy.stop()
        assert read_to_end(client).end != "open"
        assert read_to_end(behind).end != "open"
    assert [entry.ended_by for entry in proxy.journal.entries] == [EndedBy.STOP]
    assert not [thread for thread in threading.enumerate() if thread.name.endswith("(_serve)")]


def test_stop_does_not_wait_for_a_server_that_does_not_read(upstream: Upstream, proxy: FakeProxy) -> None:
    size = 30_000_000
    with connect(proxy.port) as client:
        client.sendall(upstream.asks(f"Content-Length: {size}", method="POST") + bytes(size))
        upstream.accept()
        started = time.monotonic()
        proxy.stop()
        assert time.monotonic() - started < 10


# ------------------------------------------------------------------------------------------------ tunnels


def connect_method(port: int) -> bytes:
    return f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()


def socks5(address: bytes) -> Callable[[int], bytes]:
    return lambda port: b"\x05\x01\x00\x05\x01\x00" + address + port.to_bytes(2, "big")


def socks4(address: bytes, name: bytes = b"") -> Callable[[int], bytes]:
    return lambda port: b"\x04\x01" + port.to_bytes(2, "big") + address + b"me\0" + name


ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
SOCKS5_DONE = b"\x05\x00\x05\x00\x00\x01" + bytes(6)
SOCKS4_DONE = b"\x00\x5a" + bytes(6)


@pytest.mark.parametrize(
    ("asks", "established", "protocol", "host"),
    [
        (connect_method, ESTABLISHED, Protocol.CONNECT, "127.0.0.1"),
        (socks5(b"\x01\x7f\x00\x00\x01"), SOCKS5_DONE, Protocol.SOCKS5, "127.0.0.1"),
        (socks5(b"\x03\x09localhost"), SOCKS5_DONE, Protocol.SOCKS5, "localhost"),
        (socks4(b"\x7f\x00\x00\x01"), SOCKS4_DONE, Protocol.SOCKS4, "127.0.0.1"),
        (socks4(b"\x00\x00\x00\x01", b"localhost\0"), SOCKS4_DONE, Protocol.SOCKS4, "localhost"),
    ],
)
def test_a_tunnel_passes_bytes_and_fins_in_both_directions(
    asks: Callable[[int], bytes],
    established: bytes,
    protocol: Protocol,
    host: str,
    upstream: Upstream,
    proxy: FakeProxy,
) -> None:
    with connect(proxy.port) as client:
        client.sendall(asks(upstream.port) + b"early")  # a client need not wait before it speaks
        behind = upstream.accept()
        assert read_exactly(client, len(established)) == established
        assert read_exactly(behind, 5) == b"early"
        for near, far in ((client, behind), (behind, client), (client, behind)):
            near.sendall(b"\x00\xff\r\n")
            assert read_exactly(far, 4) == b"\x00\xff\r\n"
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(behind).end == "fin"
        behind.sendall(b"still here")
        behind.shutdown(socket.SHUT_WR)
        seen = read_to_end(client)
        assert (seen.data, seen.end) == (b"still here", "fin")
    (entry,) = settled(proxy)
    assert (entry.protocol, entry.target) == (protocol, f"{host}:{upstream.port}")
    assert (entry.wire, entry.ended_by) == (established + b"\x00\xff\r\nstill here", EndedBy.CLIENT)
    if protocol is not Protocol.CONNECT:
        assert (entry.head, entry.body) == (None, asks(upstream.port))


def test_a_tunnel_that_is_left_open_is_settled_when_all_that_came_has_been_passed_on(
    upstream: Upstream, proxy: FakeProxy
) -> None:
    with connect(proxy.port) as client:
        client.sendall(connect_method(upstream.port))
        behind = upstream.accept()
        read_head(client)
        for size in (1, 300_000):
            behind.sendall(bytes(size))
            assert read_exactly(client, size) == bytes(size)
            (entry,) = settled(proxy)
            assert (entry.ended, entry.ended_by) == (ConnectionEnd.KEEP_OPEN, EndedBy.SERVER)
        assert entry.wire == ESTABLISHED + bytes(300_001)


def test_a_tunnel_that_the_server_ends_has_been_ended_by_the_server(upstream: Upstream, proxy: FakeProxy) -> None:
    with connect(proxy.port) as client:
        client.sendall(connect_method(upstream.port))
        upstream.accept().close()
        assert read_to_end(client).data == ESTABLISHED
        (entry,) = settled(proxy)
        assert (entry.ended, entry.ended_by) == (ConnectionEnd.CLOSE, EndedBy.SERVER)


@real_resets
@pytest.mark.parametrize("by", ["client", "server"])
def test_a_reset_on_one_side_of_a_tunnel_is_a_reset_on_the_other(by: str, upstream: Upstream, proxy: FakeProxy) -> None:
    client = connect(proxy.port)
    client.sendall(connect_method(upstream.port))
    behind = upstream.accept()
    read_head(client)
    near, far = (client, behind) if by == "client" else (behind, client)
    abort(near)
    assert read_to_end(far).end == "rst"
    far.close()
    (entry,) = settled(proxy)
    assert entry.ended_by is (EndedBy.CLIENT if by == "client" else EndedBy.SERVER)


def test_a_tunnel_carries_more_than_any_buffer_in_both_directions_at_once(upstream: Upstream, proxy: FakeProxy) -> None:
    size = 8_000_000
    with connect(proxy.port) as client:
        client.sendall(connect_method(upstream.port))
        behind = upstream.accept()
        read_head(client)
        received: list[bytes] = []
        ends = (client, behind)
        threads = [threading.Thread(target=sock.sendall, args=(bytes(size),)) for sock in ends]
        threads += [
            threading.Thread(target=lambda sock=sock: received.append(read_exactly(sock, size))) for sock in ends
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [len(data) for data in received] == [size, size]


def test_a_silence_of_the_server_ends_a_tunnel(upstream: Upstream) -> None:
    with FakeProxy(does=Forward(idle_limit_s=0.1)) as proxy, connect(proxy.port) as client:
        client.sendall(connect_method(upstream.port))
        upstream.accept()
        seen = read_to_end(client)
        assert (seen.data, seen.end) == (ESTABLISHED, "fin")
        (entry,) = settled(proxy)
    assert "silent for 0.1 s" in entry.why


@pytest.mark.parametrize(
    ("asks", "reply"),
    [
        (b"\x05\x01\x02", b"\x05\xff"),  # only with a password
        (socks5(b"\x01\xc0\x00\x02\x01")(80), b"\x05\x00\x05\x02\x00\x01" + bytes(6)),
        (socks5(b"\x03\x0eollama.example")(80), b"\x05\x00\x05\x02\x00\x01" + bytes(6)),
        (b"\x05\x01\x00\x05\x02\x00\x01\x7f\x00\x00\x01\x00\x50", b"\x05\x00\x05\x07\x00\x01" + bytes(6)),  # BIND
        (b"\x05\x01\x00\x05\x01\x00\x09", b"\x05\x00\x05\x08\x00\x01" + bytes(6)),
        (socks4(b"\xc0\x00\x02\x01")(80), b"\x00\x5b" + bytes(6)),
        (b"\x04\x02\x00\x50\x7f\x00\x00\x01\x00", b"\x00\x5b" + bytes(6)),
    ],
)
def test_a_socks_request_that_cannot_be_served_is_refused(asks: bytes, reply: bytes, proxy: FakeProxy) -> None:
    with connect(proxy.port) as client:
        client.sendall(asks)
        seen = read_to_end(client)
    assert (seen.data, seen.end) == (reply, "fin")
    (entry,) = settled(proxy)
    assert entry.answered_by == "nothing"


def test_the_socks_reply_shows_that_the_target_refuses(proxy: FakeProxy) -> None:
    with FakeOllama(listens=False) as server, connect(proxy.port) as client:
        client.sendall(socks5(b"\x01\x7f\x00\x00\x01")(server.port))
        assert read_to_end(client).data == b"\x05\x00\x05\x05\x00\x01" + bytes(6)


# ------------------------------------------------------------------------------------------------ starting and stopping


def test_a_proxy_can_be_stopped_and_started_again_on_its_port() -> None:
    proxy = FakeProxy(does=MODES["empty"])
    proxy.stop()  # it does not run, and that is no error
    with proxy:
        port = proxy.port
        assert (proxy.url, proxy.address) == (f"http://127.0.0.1:{port}", f"127.0.0.1:{port}")
        with pytest.raises(RuntimeError, match="running already"):
            proxy.start()
    with proxy:
        assert proxy.port == port


@given(data=st.lists(st.binary(max_size=60), max_size=4))
def test_no_bytes_of_a_client_crash_the_proxy(data: list[bytes]) -> None:
    with FakeProxy(does=Forward()) as proxy:
        with connect(proxy.port) as client, contextlib.suppress(OSError):
            for piece in data:
                client.sendall(piece)
            leave_and_read(client)
        with connect(proxy.port) as client:
            client.sendall(b"GET http://192.0.2.1/ HTTP/1.1\r\nConnection: close\r\n\r\n")
            assert read_to_end(client).data.startswith(b"HTTP/1.1 403 ")
