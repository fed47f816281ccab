"""Forwarding: what a proxy does with a request, an answer and a tunnel between a client and a server on this machine.

Requests are read whole before they go on; answers go on as they come, unless the proxy is told to hold them back.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
import selectors
import socket
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from harness.connection import MAX_HEAD_BYTES, Connection, Left, Woken, abort
from harness.errors import ProtocolError
from harness.http1 import RequestHead, ResponseHead, read_body, read_response_head
from harness.journal import EndedBy, Entry, Journal, Protocol
from harness.parts import Chunk, Head, LastChunk
from harness.player import ended_early, play
from harness.recording import Headers
from harness.script import Ending, HowItEnds

__all__ = [
    "Broken",
    "Forward",
    "NotAllowed",
    "Target",
    "connect",
    "form",
    "forward",
    "target_of",
    "tunnel",
    "wants_close",
]

#: How long a listener on this machine may take to accept.
_CONNECT_S = 5.0

_PIECE_BYTES = 64 * 1024
_MOST_LINE_BYTES = 64 * 1024

#: RFC 9110 section 7.6.1, and the credentials that are the proxy's own (section 11.7.2).
_HOP_BY_HOP = {
    "connection",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward:
    """How a proxy forwards; as faithfully as it can, unless told otherwise.

    `buffers`: the answer is held back until it is whole. `framing` is the body's towards the client: "keep" passes on
    the very bytes, "chunked" makes chunks of its own, "length" holds the body back to count it, "close" ends it with
    the connection; chunks are never sent to a client of HTTP/1.0 (RFC 9112 section 6.1), nor in a `version` of 1.0.
    `idle_limit_s`: after such a silence of the server, in seconds, the client gets 504, or no more if the answer has
    begun. `gzips` compresses bodies for clients that accept it (RFC 9110 section 12.5.3).
    """

    buffers: bool = False
    framing: Literal["keep", "chunked", "length", "close"] = "keep"
    idle_limit_s: float | None = None
    version: Literal["HTTP/1.1", "HTTP/1.0"] = "HTTP/1.1"
    gzips: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """A host, a name or an address without brackets, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether it is localhost, in 127.0.0.0/8, or ::1; names are not looked up."""
        try:
            address = ipaddress.ip_address(self.host)
        except ValueError:
            return self.host.lower() == "localhost"
        return address == ipaddress.IPv6Address("::1") or address in ipaddress.ip_network("127.0.0.0/8")


class NotAllowed(Exception):
    """The target is not on this machine."""


class Broken(Exception):
    """The server did not answer as it should: the client gets `status`, or `how` if its answer has begun."""

    def __init__(self, why: str, *, status: int = 502, how: HowItEnds = HowItEnds.CLOSE) -> None:
        self.status, self.how = status, how
        super().__init__(why)


class _Gone(Exception):
    """The client left, or the proxy stops, while the server was waited for."""

    def __init__(self, woken: Woken) -> None:
        self.woken = woken
        super().__init__(woken)


def form(head: RequestHead) -> Protocol:
    """In which form a proxy is asked (RFC 9112 section 3.2)."""
    if head.method == "CONNECT":
        return Protocol.CONNECT
    return Protocol.ABSOLUTE if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", head.target) else Protocol.HTTP


def target_of(head: RequestHead) -> Target | None:
    """What a proxy is asked for (RFC 9112 section 3.2); None in origin form.

    Raises: ProtocolError, if it is not a host and a port, or not of http.
    """
    match form(head):
        case Protocol.CONNECT:
            return _authority(f"//{head.target}", default=None)
        case Protocol.ABSOLUTE if head.target.lower().startswith("http://"):
            return _authority(head.target, default=80)
        case Protocol.ABSOLUTE:
            raise ProtocolError(f"not an http URL: {head.target[:80]}", "RFC 9112 section 3.2.2")
        case _:
            return None


def connect(target: Target) -> socket.socket:
    """A connection to a target on this machine.

    Raises: NotAllowed, if it is on another; Broken, if nobody accepts.
    """
    if not target.is_loopback:
        raise NotAllowed(f"{target} is not on this machine")
    problem = ""
    for address in ("127.0.0.1", "::1") if target.host.lower() == "localhost" else (target.host,):
        try:
            sock = socket.create_connection((address, target.port), _CONNECT_S)
        except OSError as error:
            problem = problem or f"no connection to {target}: {error}"
        else:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setblocking(False)
            return sock
    raise Broken(problem)


def wants_close(head: RequestHead) -> bool:
    """Whether a client will not use its connection again (RFC 9112 section 9.3)."""
    options = _options(head.headers)
    return "close" in options or (head.version == "HTTP/1.0" and "keep-alive" not in options)


# ------------------------------------------------------------------------------------------------ one request


def forward(
    connection: Connection, upstream: socket.socket, head: RequestHead, *, entry: Entry, journal: Journal, does: Forward
) -> bool:
    """Send the request of this entry on and pass on what comes of it; whether the connection can be used again.

    A client that closes its side has left, and the server sees that too. An answer that breaks off breaks off for the
    client: with a FIN where its framing shows that something is missing, else, or after an RST, with an RST.

    Raises: Broken, if nothing of an answer has been sent to the client.
    """
    answer = _Answer(connection, upstream, head, does)
    try:
        answer.ask(entry)
        for piece in answer.pieces():
            connection.send(piece)
            entry.sent.append((time.monotonic() - entry.arrived_s, piece))
        how = HowItEnds.CLOSE if answer.closes else HowItEnds.KEEP_OPEN
    except Broken as broken:
        if not entry.sent:
            raise
        entry.why, how = str(broken), HowItEnds.RESET if answer.ends_by_closing else broken.how
    except Left:
        return not ended_early(connection, Woken.LEFT, entry=entry, journal=journal)
    except _Gone as gone:
        return not ended_early(connection, gone.woken, entry=entry, journal=journal)
    return play(connection, (), Ending(how=how, at_s=0.0), entry=entry, journal=journal)


class _Answer:
    """One request to the server, and its answer as the client is to see it.

    `closes` is whether the connection ends with it, `ends_by_closing` whether nothing else tells its end.
    """

    def __init__(self, connection: Connection, upstream: socket.socket, request: RequestHead, does: Forward) -> None:
        self._connection, self._upstream = connection, upstream
        self._request, self._does = request, does
        self._old = "HTTP/1.0" in (request.version, does.version)
        self.closes, self.ends_by_closing = wants_close(request) or does.version == "HTTP/1.0", False

    def ask(self, entry: Entry) -> None:
        """Send the request on."""
        left = memoryview(_onward(self._request, entry.body, entry.target))
        with contextlib.suppress(OSError):  # it has closed; what it said before is still to be read
            while left:
                woken = self._connection.wait_beside(self._upstream, events=selectors.EVENT_WRITE)
                if woken is not Woken.OTHER:
                    raise _Gone(woken)
                left = left[self._upstream.send(left) :]

    def pieces(self) -> Iterator[bytes]:
        """The answer in the pieces in which it goes on.

        Raises: Broken, _Gone.
        """
        rest = b""
        while True:
            try:
                head = read_response_head(rest)
                body = None if head is None else _Body(head, self._request.method)
            except ProtocolError as error:
                raise Broken(f"the server's answer is no HTTP: {error}") from None
            if head is None or body is None:
                if len(rest) > MAX_HEAD_BYTES or not (data := self._receive()):
                    raise Broken("the server ended the connection before the head of an answer was whole")
                rest += data
                continue
            interim, rest = rest[: head.size], rest[head.size :]
            if head.status >= 200:
                break
            if not self._old:  # RFC 9110 section 15.2
                yield interim
        yield from self._final(head, body, rest)

    def _final(self, upstream_head: ResponseHead, body: _Body, rest: bytes) -> Iterator[bytes]:
        varies = self._does.gzips and body.framing != "none" and not _compressed(upstream_head)
        gzips = varies and _accepts_gzip(self._request)
        framing = self._framing(body, gzips=gzips)
        self.ends_by_closing = framing == "close"
        self.closes = self.closes or self.ends_by_closing
        head = self._head(upstream_head, framing, gzips=gzips, varies=varies)
        keep = self._does.framing == "keep" and framing == body.framing and not gzips
        pieces = self._wire(body, rest, framing=framing, keep=keep, gzips=gzips)
        date = upstream_head.header("date")
        if framing == "length" and not keep:
            content = b"".join(pieces)
            yield head.with_header("Content-Length", str(len(content))).wire(date) + content
        elif self._does.buffers:
            yield head.wire(date) + b"".join(pieces)
        else:
            yield head.wire(date) + (next(pieces, b"") if rest else b"")
            yield from filter(None, pieces)

    def _framing(self, body: _Body, *, gzips: bool) -> str:
        """How the client is told the end of the body: none, length, chunked or close."""
        framing = body.framing if self._does.framing == "keep" or body.framing == "none" else self._does.framing
        if gzips and self._does.framing == "keep" and framing == "length":
            framing = "chunked"  # as nginx does: nobody knows the length yet
        return "close" if framing == "chunked" and self._old else framing

    def _head(self, upstream: ResponseHead, framing: str, *, gzips: bool, varies: bool) -> Head:
        dropped = (_HOP_BY_HOP | _options(upstream.headers)) - {"transfer-encoding"}
        headers = tuple((name, value) for name, value in upstream.headers if name.lower() not in dropped)
        head = Head(upstream.status, upstream.reason, headers, self._does.version)
        if framing != "none":
            head = head.with_header("Transfer-Encoding", "chunked" if framing == "chunked" else None)
        if framing in ("chunked", "close"):
            head = head.with_header("Content-Length", None)  # RFC 9112 section 6.3
        if gzips:
            head = head.with_header("Content-Encoding", "gzip")
        if varies:
            known = head.header("vary")
            head = head.with_header("Vary", f"{known}, Accept-Encoding" if known else "Accept-Encoding")
        head = Head(head.status, head.reason, (*head.headers, ("Via", "1.1 ollama-harness")), head.version)
        return head.with_header("Connection", "close") if self.closes and head.version == "HTTP/1.1" else head

    def _wire(self, body: _Body, rest: bytes, *, framing: str, keep: bool, gzips: bool) -> Iterator[bytes]:
        """The body's bytes for the client, a piece for each that comes from the server; some are empty."""
        gzip = zlib.compressobj(wbits=31) if gzips else None

        def framed(content: bytes) -> bytes:
            return Chunk(content).wire("") if content and framing == "chunked" else content

        while not body.whole:
            rest = rest or self._receive()
            if not rest and body.framing == "close":
                break
            if not rest:
                raise Broken("the server ended the connection before its answer was whole")
            content = body.feed(rest)
            if keep:
                yield rest[: len(rest) - body.beyond]
            elif gzip is None:
                yield framed(content)
            else:
                yield framed(gzip.compress(content) + gzip.flush(zlib.Z_SYNC_FLUSH) if content else b"")
            if body.error:
                raise Broken(body.error)
            rest = b""
        if gzip is not None:
            yield framed(gzip.flush())
        if framing == "chunked" and not keep:
            yield LastChunk().wire("")

    def _receive(self) -> bytes:
        """What the server sends next; empty after its FIN."""
        woken = self._connection.wait_beside(self._upstream, timeout_s=self._does.idle_limit_s)
        if woken is Woken.TIME:
            raise Broken(f"the server was silent for {self._does.idle_limit_s} s", status=504)
        if woken is not Woken.OTHER:
            raise _Gone(woken)
        try:
            return self._upstream.recv(_PIECE_BYTES)
        except OSError as error:
            raise Broken(f"the server reset the connection: {error}", how=HowItEnds.RESET) from None


class _Body:
    """A body taken apart as it comes (RFC 9112 sections 6.3 and 7.1); `framing` is none, length, chunked or close.

    `beyond` is how many of the bytes fed last came after its end, `error` what broke its framing.

    Raises: ProtocolError, if the head gives no valid framing.
    """

    def __init__(self, head: ResponseHead, method: str) -> None:
        empty = read_body(b"", head, method=method)
        chunked = bool(head.header("transfer-encoding"))
        self.framing = "none" if empty.absent else "close" if empty.until_close else "chunked" if chunked else "length"
        self.whole, self.beyond, self.error = empty.whole, 0, ""
        self._left = 0 if self.framing == "chunked" else empty.needs  # bytes of this chunk, or of the whole body
        self._awaits: Literal["size", "end of chunk", "trailer"] = "size"
        self._line = b""

    def feed(self, data: bytes) -> bytes:
        """The content in these bytes, transfer coding removed."""
        if self.framing == "close":
            return data
        if self.framing == "length":
            content = data[: self._left]
            self._left -= len(content)
            self.whole, self.beyond = not self._left, len(data) - len(content)
            return content
        at, pieces = 0, []
        while at < len(data) and not self.whole and not self.error:
            if self._left:
                pieces.append(data[at : at + self._left])
                self._left -= len(pieces[-1])
                at += len(pieces[-1])
                continue
            end = data.find(b"\n", at) + 1 or len(data)
            self._line, at = self._line + data[at:end], end
            if self._line.endswith(b"\n"):
                self._read_line()
            elif len(self._line) > _MOST_LINE_BYTES:
                self.error = f"not a line of a chunked body: {self._line[:20]!r}"
        self.beyond = len(data) - at
        return b"".join(pieces)

    def _read_line(self) -> None:
        line, self._line = self._line, b""
        size = re.fullmatch(rb"([0-9A-Fa-f]{1,16})[ \t]*(;[^\r\n]*)?\r\n", line) if self._awaits == "size" else None
        if self._awaits == "trailer" and line.endswith(b"\r\n"):
            self.whole = line == b"\r\n"
        elif self._awaits == "end of chunk" and line == b"\r\n":
            self._awaits = "size"
        elif size is not None:
            self._left = int(size[1], 16)
            self._awaits = "end of chunk" if self._left else "trailer"
        else:
            self.error = f"not a chunked body: {line[:20]!r}"


# ------------------------------------------------------------------------------------------------ a tunnel


def tunnel(
    connection: Connection,
    client: socket.socket,
    upstream: socket.socket,
    stop: socket.socket,
    *,
    entry: Entry,
    journal: Journal,
    idle_limit_s: float | None,
) -> None:
    """Pass bytes on both ways until both sides have ended: a FIN as a FIN, an RST as an RST.

    After a silence of the server of `idle_limit_s` seconds the client gets a FIN. `client` is the connection's socket.
    """
    other = {client: upstream, upstream: client}
    pending = {client: b"", upstream: connection.take()}
    reading, writing = {client, upstream}, {client, upstream}
    heard_s = time.monotonic()
    for sock in other:
        sock.setblocking(False)

    def end(how: HowItEnds, why: str) -> None:
        entry.why = why
        client.setblocking(True)
        play(connection, (), Ending(how=how, at_s=0.0), entry=entry, journal=journal)

    while writing:
        with selectors.DefaultSelector() as selector:
            selector.register(stop, selectors.EVENT_READ)
            for sock in other:
                wants_read = sock in reading and not pending[other[sock]]
                events = selectors.EVENT_READ * wants_read | selectors.EVENT_WRITE * bool(pending[sock])
                if events:
                    selector.register(sock, events)
            limited = idle_limit_s is not None and upstream in reading and not pending[client]
            silence_s = max(0.0, heard_s + (idle_limit_s or 0.0) - time.monotonic()) if limited else None
            ready = {key.fileobj: events for key, events in selector.select(silence_s)}
        if stop in ready:
            ended_early(connection, Woken.STOP, entry=entry, journal=journal)
            return
        if not ready and limited and time.monotonic() >= heard_s + (idle_limit_s or 0.0):
            end(HowItEnds.CLOSE, f"the server was silent for {idle_limit_s} s")
            return
        for sock in other:
            try:
                if ready.get(sock, 0) & selectors.EVENT_READ:
                    data = sock.recv(_PIECE_BYTES)
                    pending[other[sock]] += data
                    if not data:
                        reading.discard(sock)
                        if sock is client:
                            journal.left(entry)
                    if sock is upstream:
                        heard_s = time.monotonic()
                if ready.get(sock, 0) & selectors.EVENT_WRITE:
                    sent = pending[sock][: sock.send(pending[sock])]
                    pending[sock] = pending[sock][len(sent) :]
                    if sock is client:
                        entry.sent.append((time.monotonic() - entry.arrived_s, sent))
            except BlockingIOError:
                continue
            except OSError as error:
                if sock is client:
                    abort(upstream)
                    ended_early(connection, Woken.LEFT, entry=entry, journal=journal)
                else:
                    end(HowItEnds.RESET, f"the server reset the connection: {error}")
                return
        for sock in other:
            if sock in writing and other[sock] not in reading and not pending[sock]:
                writing.discard(sock)
                with contextlib.suppress(OSError):  # its reset will show when it is read
                    sock.shutdown(socket.SHUT_WR)
                if sock is client:
                    by = EndedBy.SERVER if client in reading else EndedBy.CLIENT
                    journal.settle(entry, HowItEnds.CLOSE, by)
    connection.dispose()


# ------------------------------------------------------------------------------------------------ heads


def _onward(head: RequestHead, body: bytes, target: str) -> bytes:
    """The request as the server gets it: in origin form, with the Host that was asked for, and a Content-Length.

    An Expect has been answered already. Source: RFC 9112 section 3.2.2, RFC 9110 sections 7.6.1 and 7.6.3.
    """
    path = head.target
    if target:
        url = urlsplit(head.target)
        path = (url.path or ("*" if head.method == "OPTIONS" else "/")) + (f"?{url.query}" if url.query else "")
        host = url.netloc.rpartition("@")[2]
    else:
        host = next((value for name, value in head.headers if name.lower() == "host"), "")
    framed = any(name.lower() in ("content-length", "transfer-encoding") for name, _ in head.headers)
    dropped = _HOP_BY_HOP | _options(head.headers) | {"host", "expect", "content-length"}
    headers = [
        ("Host", host),
        *((name, value) for name, value in head.headers if name.lower() not in dropped),
        ("Via", f"{head.version.partition('/')[2]} ollama-harness"),
        *([("Content-Length", str(len(body)))] if framed else []),
    ]
    lines = [f"{head.method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


def _authority(url: str, *, default: int | None) -> Target:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port if parts.port is not None else default
    except ValueError as error:
        raise ProtocolError(f"not a target: {url[:80]} ({error})", "RFC 9112 section 3.2") from None
    if not host or port is None:
        raise ProtocolError(f"not a target, host and port: {url[:80]}", "RFC 9112 section 3.2")
    return Target(host, port)


def _options(headers: Headers) -> set[str]:
    """The options of the Connection header; they name headers that are meant for the next hop only."""
    return {
        option.strip().lower() for name, value in headers if name.lower() == "connection" for option in value.split(",")
    }


def _accepts_gzip(request: RequestHead) -> bool:
    accepted = ",".join(value for name, value in request.headers if name.lower() == "accept-encoding").lower()
    members = [member.replace(" ", "").partition(";q=") for member in accepted.split(",")]
    return any(coding == "gzip" and not re.fullmatch(r"0(\.0*)?", weight) for coding, _, weight in members)


def _compressed(head: ResponseHead) -> bool:
    return bool(head.header("content-encoding")) or "no-transform" in head.header("cache-control").lower()
