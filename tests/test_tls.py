"""FakeOllama behind TLS: the same bytes and ends as without, the certificates, and handshakes that fail."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import queue
import socket
import ssl
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from ollama_harness.cli.front import check_front, trust_lines
from ollama_harness.errors import TlsError
from ollama_harness.faults import Fault, after_record, close_at, close_on_accept, half_close_at, pause_at, reset_at
from ollama_harness.faults import reset_on_accept as reset_at_once
from ollama_harness.matrix._raw_socket import NO_RESETS, resets_are_real
from ollama_harness.server._connection import Connection
from ollama_harness.server._tls import TlsTransport
from ollama_harness.server.certificates import Certificate, TlsKind, ca_file, certificate
from ollama_harness.server.engine import running
from ollama_harness.server.fake_ollama import FakeOllama
from ollama_harness.server.journal import EndedBy, Protocol
from ollama_harness.server.listener import Listener
from ollama_harness.server.programme import OwnError, Programme, ProgrammeRule

#: It is longer than any client of these tests stays.
PAUSE = pause_at(after_record(1), 60.0)
ASK = json.dumps({"model": "smollm2:135m", "messages": [{"role": "user", "content": "Hi"}]}).encode()


def request(path: str = "/api/chat", *, closes: bool = False) -> bytes:
    close = b"Connection: close\r\n" if closes else b""
    return (
        b"POST %b HTTP/1.1\r\nHost: localhost\r\n%bContent-Length: %d\r\n\r\n"
        % (
            path.encode(),
            close,
            len(ASK),
        )
        + ASK
    )


def trusting(server: FakeOllama) -> ssl.SSLContext:
    assert server.certificate is not None
    return trusting_in(server.certificate)


def trusting_in(made: Certificate) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=made.ca_pem.decode())
    if hasattr(ssl, "OP_IGNORE_UNEXPECTED_EOF"):
        context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    return context


def connected(server: FakeOllama, context: ssl.SSLContext | None = None, name: str = "localhost") -> ssl.SSLSocket:
    """A client's connection, which shows an end without close_notify as an error."""
    sock = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    try:
        return (context or trusting(server)).wrap_socket(sock, server_hostname=name, suppress_ragged_eofs=False)
    except BaseException:
        sock.close()
        raise


class Client:
    """A client that sees the ends of TLS and of TCP apart; Python's SSLSocket shows an RST as an EOF in 3.11."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")

    def __enter__(self) -> Client:
        while True:
            try:
                self._tls.do_handshake()
                return self
            except ssl.SSLWantReadError:
                self.sock.sendall(self._outgoing.read())
                self._incoming.write(self.sock.recv(65536))

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def send(self, data: bytes) -> None:
        """Send these bytes; the first with the last message of the handshake, as Node does."""
        self._tls.write(data)
        self.sock.sendall(self._outgoing.read())

    def read_to_end(self) -> tuple[bytes, tuple[str, ...]]:
        """All bytes that come, and what ends them: close_notify, FIN, RST."""
        data, ends = bytearray(), list[str]()
        while True:
            try:
                raw = self.sock.recv(65536)
            except ConnectionResetError:
                return bytes(data), (*ends, "RST")
            if not raw:
                return bytes(data), (*ends, "FIN")
            self._incoming.write(raw)
            with contextlib.suppress(ssl.SSLWantReadError):
                while piece := self._tls.read(65536):
                    data += piece
                ends.append("close_notify")


def client_of(server: FakeOllama) -> Client:
    return Client(server.port, trusting(server))


def asked(server: FakeOllama, *, closes: bool = False) -> tuple[bytes, tuple[str, ...]]:
    with client_of(server) as client:
        client.send(request(closes=closes))
        return client.read_to_end()


# ------------------------------------------------------------------------------------------------ bytes and ends


def test_a_whole_stream_comes_as_without_tls_and_ends_with_a_close_notify() -> None:
    with FakeOllama(speed=0, tls="good") as server:
        wire, end = asked(server, closes=True)
        assert end == ("close_notify", "FIN")
        assert server.journal.wait_until_settled()
        (entry,) = server.journal.entries
        assert wire == entry.wire
        assert wire.count(b'"done":true') == 1
        assert entry.ended_by is EndedBy.SERVER
        assert server.url == f"https://127.0.0.1:{server.port}" == server.url_for("/").rstrip("/")


def test_a_connection_is_used_again() -> None:
    with FakeOllama(speed=0, tls="good") as server, client_of(server) as client:
        client.send(request() + request(closes=True))  # the second before the first is answered
        wire, end = client.read_to_end()
        assert (wire.count(b"HTTP/1.1 200"), end) == (2, ("close_notify", "FIN"))
        assert server.journal.connections == 1


@pytest.mark.parametrize(
    ("fault", "end"),
    [
        (close_at(after_record(3)), "FIN"),
        (half_close_at(after_record(3)), "FIN"),
        pytest.param(
            *(reset_at(after_record(3)), "RST"), marks=pytest.mark.skipif(not resets_are_real(), reason=NO_RESETS)
        ),
    ],
    ids=str,
)
def test_what_cuts_a_stream_leaves_what_came_before_and_sends_no_close_notify(fault: Fault, end: str) -> None:
    with FakeOllama(speed=0, tls="good", faults=[fault]) as server:
        wire, ended = asked(server)
        assert (wire.count(b'"done":false'), ended) == (3, (end,))
        assert server.journal.entries[0].wire == wire


def test_segments_are_tls_records_of_their_own() -> None:
    with FakeOllama(gap_s=0.02, tls="good") as server, connected(server) as sock:
        sock.sendall(request(closes=True))
        pieces = list(iter(lambda: sock.recv(65536), b""))
        assert server.journal.wait_until_settled()
        assert pieces == [data for _, data in server.journal.entries[0].sent]
        assert len(pieces) > 3


def test_what_is_longer_than_the_buffers_arrives_whole() -> None:
    text = "x" * 6_000_000
    with FakeOllama(tls="good") as server:
        server.expect_request("/long").respond_with_data(text)
        with connected(server) as sock:
            sock.sendall(b"GET /long HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert server.journal.wait_for(bool, timeout_s=10)  # it is being sent, and nobody reads
            wire = b""
            while len(wire.partition(b"\r\n\r\n")[2]) < len(text):
                wire += sock.recv(1 << 20)
        assert wire.endswith(text.encode())


def test_a_close_notify_waits_for_room() -> None:
    """The buffers are full of bytes that are no TLS, so that nothing but the close_notify waits."""
    made, filled = certificate("good", "127.0.0.1"), queue.SimpleQueue[int]()
    made.context.num_tickets = 0  # they would come before those bytes

    async def fill_and_end(sock: socket.socket) -> None:
        transport = TlsTransport(sock, made.context)
        connection = Connection(transport)
        await transport.shake_hands()
        size = 0
        for piece in (1000, 1):
            with contextlib.suppress(BlockingIOError):
                while True:
                    size += sock.send(bytes(piece))
        running().call(lambda: filled.put(size))  # once the end waits
        await connection.close()

    listener = Listener("127.0.0.1", 0, fill_and_end)
    try:
        with Client(listener.port, trusting_in(made)) as client:
            client.send(b"x")
            left = filled.get(timeout=10)
            while left:
                left -= len(client.sock.recv(min(left, 65536)))
            assert client.read_to_end() == (b"", ("close_notify", "FIN"))
    finally:
        listener.shutdown()


def uploaded(size: int, pieces: int) -> bytes:
    """A long request in chunks."""
    text = b'{"model":"smollm2:135m","stream":false,"messages":[{"role":"user","content":"%b"}]}' % (b"x" * size)
    step = len(text) // pieces + 1
    chunks = (text[at : at + step] for at in range(0, len(text), step))
    head = b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in chunks) + b"0\r\n\r\n"


@pytest.mark.parametrize(("size", "pieces"), [(30_000, 1), (40_000, 20), (3_000_000, 700)])
def test_a_long_request_is_answered_though_nothing_more_arrives(size: int, pieces: int) -> None:
    """Several TLS records may come in one read, and then the socket is not readable again."""
    with FakeOllama(speed=0, tls="good") as server, client_of(server) as client:
        client.send(uploaded(size, pieces))
        wire, end = client.read_to_end()
        assert (wire[:12], end) == (b"HTTP/1.1 200", ("close_notify", "FIN"))
        assert len(server.journal.entries[0].body) > size


def test_long_requests_are_answered_in_turn_by_an_ollama_behind_tls() -> None:
    with (
        FakeOllama(speed=0) as ollama,
        FakeOllama(speed=0, tls="good", upstream=ollama.url, parallel=1) as server,
        concurrent.futures.ThreadPoolExecutor(6) as pool,
    ):

        def upload(pieces: int) -> bytes:
            with client_of(server) as client:
                client.send(uploaded(1_000_000, pieces))
                return client.read_to_end()[0]

        answers = list(pool.map(upload, (1, 10, 60, 250, 500, 1000)))
        assert {answer[:12] for answer in answers} == {b"HTTP/1.1 200"}
        assert {answer.count(b'"done":true') for answer in answers} == {1}


def close(sock: ssl.SSLSocket) -> None:
    sock.close()


def send_fin(sock: ssl.SSLSocket) -> None:
    sock.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("leave", [close, send_fin])
def test_a_client_that_leaves_ends_the_stream(leave: Callable[[ssl.SSLSocket], None]) -> None:
    with FakeOllama(speed=0, tls="good", faults=[PAUSE]) as server, connected(server) as sock:
        sock.sendall(request())
        sock.recv(1)
        leave(sock)
        assert server.journal.wait_until_settled()
        assert server.journal.entries[0].ended_by is EndedBy.CLIENT


def say_goodbye(sock: ssl.SSLSocket) -> None:
    """Send a close_notify without a FIN, and wait for the server's."""
    with contextlib.suppress(OSError):
        sock.unwrap()


def test_a_client_that_says_goodbye_and_waits_for_the_answer_ends_the_stream() -> None:
    with FakeOllama(speed=0, tls="good", faults=[PAUSE]) as server, connected(server) as sock:
        sock.sendall(request())
        sock.recv(1)
        threading.Thread(target=say_goodbye, args=(sock,), daemon=True).start()
        assert server.journal.wait_until_settled()
        assert server.journal.entries[0].ended_by is EndedBy.CLIENT


@pytest.mark.parametrize("fault", [close_on_accept(), reset_at_once()], ids=str)
def test_a_fault_on_accept_strikes_before_the_handshake(fault: Fault) -> None:
    with FakeOllama(tls="good", faults=[fault]) as server:
        with pytest.raises((ssl.SSLEOFError, ConnectionResetError, ConnectionAbortedError)):
            connected(server)
        assert server.journal.wait_until_settled()
        assert [entry.answered_by for entry in server.journal.entries] == ["faults"]


def test_the_control_api_is_behind_tls_too_unless_it_has_a_port_of_its_own() -> None:
    with FakeOllama(tls="good") as server, FakeOllama(tls="good", control_port=0) as other:
        assert server.control_url == f"{server.url}/_harness"
        assert str(other.control_url).startswith("http://")
        with client_of(server) as client:
            client.send(b"GET /_harness/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert client.read_to_end()[0].startswith(b"HTTP/1.1 200 ")
        assert server.journal.connections == 0


@pytest.mark.parametrize("fin", [False, True], ids=["open", "fin"])
def test_a_request_that_comes_with_the_end_of_the_handshake_is_answered(fin: bool) -> None:
    """Node sends both at once."""
    with FakeOllama(speed=0, tls="good") as server, client_of(server) as client:
        client.send(request(closes=True))
        if fin:
            client.sock.shutdown(socket.SHUT_WR)
        assert server.journal.wait_for(bool, timeout_s=10)
        assert server.journal.entries[0].head is not None


# ------------------------------------------------------------------------------------------------ certificates


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
@pytest.mark.parametrize("kind", [TlsKind.GOOD, TlsKind.SELF_SIGNED])
def test_a_client_that_trusts_it_accepts_a_certificate(kind: TlsKind, name: str) -> None:
    with FakeOllama(tls=kind) as server, connected(server, name=name) as sock:
        assert sock.version() is not None


@pytest.mark.parametrize(
    ("kind", "problem"), [(TlsKind.EXPIRED, "certificate has expired"), (TlsKind.WRONG_NAME, "Hostname mismatch")]
)
def test_a_client_that_trusts_it_refuses_what_is_wrong_with_it(kind: TlsKind, problem: str) -> None:
    with FakeOllama(tls=kind) as server, pytest.raises(ssl.SSLCertVerificationError, match=problem):
        connected(server)


@pytest.mark.parametrize(
    ("kind", "problem"),
    [(TlsKind.GOOD, "unable to get local issuer certificate"), (TlsKind.SELF_SIGNED, "self-signed certificate")],
)
def test_a_handshake_that_the_client_ends_is_noted_and_costs_its_connection_only(kind: TlsKind, problem: str) -> None:
    programme = Programme((ProgrammeRule(answer=OwnError.of(503, "busy")),))
    with FakeOllama(speed=0, tls=kind, programme=programme) as server:
        with pytest.raises(ssl.SSLCertVerificationError, match=problem):
            connected(server, ssl.create_default_context())
        assert server.journal.wait_for(bool, timeout_s=10)
        assert server.journal.wait_until_settled()
        (entry,) = server.journal.entries
        assert (entry.protocol, entry.head, entry.ended_by) == (Protocol.TLS, None, EndedBy.CLIENT)
        assert "the client refused" in entry.why
        assert "unknown ca" in entry.why
        assert entry.body.startswith(b"\x16\x03")
        assert asked(server, closes=True)[0].startswith(b"HTTP/1.1 503 ")
        assert server.verify(strict=True).ok, "a handshake is no request"


def test_a_client_that_leaves_in_the_handshake_is_noted() -> None:
    with FakeOllama(tls="good") as server:
        socket.create_connection(("127.0.0.1", server.port), timeout=10).close()
        assert server.journal.wait_for(bool, timeout_s=10)
        assert server.journal.wait_until_settled()
        (entry,) = server.journal.entries
        assert (entry.why, entry.ended_by) == ("the client left during the TLS handshake", EndedBy.CLIENT)


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", request()], ids=["GET", "POST"])
def test_plain_http_gets_what_go_says_to_it(sent: bytes) -> None:
    reply = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"
    with FakeOllama(tls="good") as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as sock:
            sock.sendall(sent)
            assert b"".join(iter(lambda: sock.recv(65536), b"")) == reply
        assert server.journal.wait_until_settled()
        (entry,) = server.journal.entries
        assert (entry.status, entry.why, entry.wire) == (400, "plain HTTP came to a TLS port", reply)


def test_what_is_neither_gets_an_alert() -> None:
    with FakeOllama(tls="good") as server, socket.create_connection(("127.0.0.1", server.port), timeout=10) as sock:
        sock.sendall(b"\x05\x01\x00SOCKS5")
        answer = b"".join(iter(lambda: sock.recv(65536), b""))
        assert answer[:1] in (b"\x15", b"")  # an alert, where OpenSSL sends one
        assert server.journal.wait_until_settled()
        assert server.journal.entries[0].ended_by is EndedBy.SERVER


# ------------------------------------------------------------------------------------------------ files and options


def test_the_file_to_trust_is_temporary_or_stays_where_it_was_wanted(tmp_path: Path) -> None:
    made = certificate("good", "127.0.0.1")
    with ca_file(made, None) as temporary:
        assert temporary.read_bytes() == made.ca_pem
    assert not temporary.exists()
    with ca_file(made, tmp_path / "ca.pem"):
        pass
    other = certificate("self-signed", "127.0.0.1")
    with ca_file(other, tmp_path / "ca.pem") as again:  # of an earlier server
        assert again.read_bytes() == other.ca_pem
    assert again.exists()


def test_a_file_that_is_not_ours_stays_as_it_is(tmp_path: Path) -> None:
    import trustme

    path, theirs = tmp_path / "ca.pem", trustme.CA().cert_pem.bytes()
    path.write_bytes(theirs)
    with pytest.raises(TlsError, match="give another --tls-ca"), ca_file(certificate("good", "::1"), path):
        pass
    assert path.read_bytes() == theirs


def test_the_lines_say_which_variables_to_set(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    with trust_lines(certificate("good", "127.0.0.1"), path) as lines:
        text = "\n".join(lines)
    assert all(f"{name} " in text for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"))
    assert text.count(f"= {path}") == 3


def test_a_kind_that_is_not_there_is_refused() -> None:
    with pytest.raises(TlsError, match="give one of good, self-signed, expired, wrong-name"):
        FakeOllama(tls="bad")


def test_without_trustme_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trustme", None)
    with pytest.raises(TlsError, match=r"pip install 'ollama-harness\[tls\]'"):
        FakeOllama(tls="good")


def test_a_file_without_tls_is_refused(tmp_path: Path) -> None:
    with pytest.raises(click.UsageError, match="give --tls good, too"):
        check_front(tls=None, tls_ca=tmp_path / "ca.pem", parallel=None, max_queue=None)
