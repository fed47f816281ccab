"""Forwarding: the proxy sends a request to the server, and the answer to the client, as faithfully as `Forward` says.

A request is read whole before it is sent on, so a client that leaves early costs the server nothing. An answer is sent
on piece by piece, as it arrives, unless the proxy buffers. `_UpstreamResponse.relay` reads it and gives the bytes for
the client: its head is changed (hop-by-hop headers, Via, framing), and its body passes as it is or gets another
framing. `forward` writes each piece to the client and notes it in the journal. Every wait for the server also watches
the client and the stop of the proxy (`Upstream`), so a client that leaves ends the request at the server too.

How the client's connection ends tells it how the answer ended. If an answer breaks off, the client must not take it for
a whole one. With a Content-Length or chunks a FIN is enough. If only the end of the connection ends the body, a FIN
would be a good end, so the client gets an RST. An RST of the server is always passed on as an RST.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from ollama_harness.errors import ProtocolError
from ollama_harness.script.body_reader import BodyReader
from ollama_harness.script.http1 import RequestHead, ResponseHead
from ollama_harness.script.message_parts import Chunk, Head, LastChunk
from ollama_harness.script.script import ConnectionEnd, ScriptEnd
from ollama_harness.server._connection import ClientLeft, Connection
from ollama_harness.server._hop_by_hop import accepts_gzip, compressed, request_onward, stripped
from ollama_harness.server._playback import end_early, play
from ollama_harness.server._upstream import Upstream, UpstreamFailed
from ollama_harness.server.engine import ServerStops
from ollama_harness.server.journal import Entry, Journal
from ollama_harness.server.transport import Transport

__all__ = ["Forward", "forward"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward:
    """How a proxy forwards. The defaults are as faithful as a proxy can be.

    `buffers`: the answer is kept back until it is whole. `framing` is that of the body for the client: "keep" passes on
    the same bytes, "chunked" makes new chunks, "length" keeps the body back to count it, "close" ends it with the
    connection. Chunks are never sent to a client of HTTP/1.0 (RFC 9112 section 6.1), nor if `version` is HTTP/1.0.
    `idle_limit_s`: after a silence of the server of so many seconds the client gets 504, or the end of an answer that
    has begun. `gzips` compresses bodies for clients that accept it (RFC 9110 section 12.5.3).
    """

    buffers: bool = False
    framing: Literal["keep", "chunked", "length", "close"] = "keep"
    idle_limit_s: float | None = None
    version: Literal["HTTP/1.1", "HTTP/1.0"] = "HTTP/1.1"
    gzips: bool = False


async def forward(
    connection: Connection, upstream: Transport, head: RequestHead, *, entry: Entry, journal: Journal, does: Forward
) -> bool:
    """Send the entry's request to the server and its answer to the client; returns if the connection can be used again.

    A client that closes its side has left, and then the caller closes the connection to the server too. If the answer
    breaks off, the client gets a FIN if the framing shows that something is missing; else, or after an RST, an RST.

    Raises: UpstreamFailed, if nothing of an answer has been sent to the client.
    """
    server = Upstream(upstream, connection, idle_limit_s=does.idle_limit_s)
    answer = _UpstreamResponse(server, head, does)

    async def write(piece: bytes) -> None:
        await connection.send(piece)
        entry.sent.append((time.monotonic() - entry.arrived_s, piece))

    try:
        await server.send(request_onward(head, entry.body, absolute=bool(entry.target)))
        await answer.relay(write)
        how = ConnectionEnd.CLOSE if answer.closes else ConnectionEnd.KEEP_OPEN
    except UpstreamFailed as problem:
        if not entry.sent:
            raise
        entry.why, how = str(problem), ConnectionEnd.RESET if answer.ends_by_closing else problem.how
    except (ClientLeft, ServerStops) as gone:
        end_early(connection, gone, entry=entry, journal=journal)
        return False
    return await play(connection, (), ScriptEnd(how=how, at_s=0.0), entry=entry, journal=journal)


class _UpstreamResponse:
    """The server's answer to a request, in the form for the client.

    `closes`: the connection ends after it. `ends_by_closing`: only the end of the connection ends the body.
    """

    def __init__(self, server: Upstream, request: RequestHead, does: Forward) -> None:
        self._server, self._request, self._does = server, request, does
        self._old = "HTTP/1.0" in (request.version, does.version)
        self.closes, self.ends_by_closing = request.wants_close or does.version == "HTTP/1.0", False

    async def relay(self, write: Callable[[bytes], Awaitable[None]]) -> None:
        """Write the bytes for the client, piece by piece.

        Raises: UpstreamFailed, and what `write` raises.
        """
        while True:
            try:
                head, wire = await self._server.read_head()
                body = BodyReader(head, method=self._request.method)
            except ProtocolError as error:
                raise UpstreamFailed(f"the server's answer is no HTTP: {error}") from None
            if head.status >= 200:
                break
            if not self._old:  # RFC 9110 section 15.2
                await write(wire)
        await self._relay_final(head, body, write)

    async def _relay_final(
        self, head: ResponseHead, body: BodyReader, write: Callable[[bytes], Awaitable[None]]
    ) -> None:
        varies = self._does.gzips and body.framing != "none" and not compressed(head)
        gzips = varies and accepts_gzip(self._request)
        framing = self._framing(body, gzips=gzips)
        keep = self._does.framing == "keep" and framing == body.framing and not gzips
        self.ends_by_closing = framing == "close"
        self.closes = self.closes or self.ends_by_closing
        own = self._head(head, framing, gzips=gzips, varies=varies)
        counts = framing == "length" and not keep
        reframing = None if keep else _Reframing(chunked=framing == "chunked", gzips=gzips)
        keeps_back, kept = counts or self._does.buffers, list[bytes]()
        # What arrived in one read with the head is sent in one write with it; so is a whole body, counted or buffered.
        first = own.wire(head.header("date"))
        if not (keeps_back or self._server.rest):
            await write(first)
            first = b""
        while (received := await self._received(body)) is not None:
            wire, content = received
            piece = wire if reframing is None else reframing.piece(content)
            if keeps_back:
                kept.append(piece)
            elif first or piece:
                await write(first + piece)
                first = b""
        kept.append(b"" if reframing is None else reframing.end())
        rest = b"".join(kept)
        if counts:
            first = own.with_header("Content-Length", str(len(rest))).wire(head.header("date"))
        if first or rest:
            await write(first + rest)

    def _framing(self, body: BodyReader, *, gzips: bool) -> str:
        """How the body ends for the client: none, length, chunked or close."""
        framing = body.framing if self._does.framing == "keep" or body.framing == "none" else self._does.framing
        if gzips and self._does.framing == "keep" and framing == "length":
            framing = "chunked"  # as nginx does, because the compressed length is not known yet
        return "close" if framing == "chunked" and self._old else framing

    def _head(self, upstream: ResponseHead, framing: str, *, gzips: bool, varies: bool) -> Head:
        head = stripped(upstream, self._does.version)
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

    async def _received(self, body: BodyReader) -> tuple[bytes, bytes] | None:
        """The next bytes of the body from the server, and the content in them; None at its end.

        Raises: UpstreamFailed.
        """
        if body.error is not None:
            raise UpstreamFailed(body.error)
        if body.whole:
            return None
        data = await self._server.receive()
        if not data and body.framing == "close":
            return None
        if not data:
            raise UpstreamFailed("the server ended the connection before its answer was whole")
        return body.read(data)


class _Reframing:
    """Gives a body another framing, and compresses it with gzip, flushed after each piece, so that none waits."""

    def __init__(self, *, chunked: bool, gzips: bool) -> None:
        self._chunked, self._gzip = chunked, zlib.compressobj(wbits=31) if gzips else None

    def piece(self, content: bytes) -> bytes:
        """The bytes for the client of this part of the body; empty if there are none."""
        if self._gzip is not None and content:
            content = self._gzip.compress(content) + self._gzip.flush(zlib.Z_SYNC_FLUSH)
        return self._framed(content)

    def end(self) -> bytes:
        """The bytes after the last part."""
        last = self._framed(self._gzip.flush()) if self._gzip is not None else b""
        return last + (LastChunk().wire("") if self._chunked else b"")

    def _framed(self, content: bytes) -> bytes:
        return Chunk(content).wire("") if content and self._chunked else content
