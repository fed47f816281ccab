"""TLS between HTTP and the socket, as another `Transport`: an `ssl.SSLObject` between two memory BIOs.

The SSLObject never sees the socket. What arrives is put into one BIO, and what it wants to send is taken out of the
other; so every segment, FIN and RST stays ours. A write is one TLS record (or several, above 16 KiB). Bytes count as
taken only when the whole record is in the hands of the system, so the journal has them when a client can read them.

**The end.** Go's server sends a close_notify before a FIN, and so does this one after a whole answer. Where there is no
room for it, it waits, five seconds at most, as Go does (`closeNotify` in crypto/tls). An answer that is cut ends with
the bare FIN of a program that died. TLS lets clients tell these apart (RFC 8446 section 6.1), which matters where only
the end of the connection delimits the body. An RST sends no close_notify. After our end nothing that arrives has a
meaning any more, so it is read and dropped without being decrypted.

**The handshake.** It comes before all else but faults that strike when a connection is accepted. One that fails costs
its connection only. Plain HTTP gets the answer of Go's net/http (`tlsRecordHeaderLooksLikeHTTP`).
"""

from __future__ import annotations

import contextlib
import socket
import ssl

from ollama_harness.errors import ProtocolError
from ollama_harness.faults import close_at, half_close_at
from ollama_harness.script.body_reader import BodyReader
from ollama_harness.script.http1 import read_response_head
from ollama_harness.server.engine import running
from ollama_harness.server.journal import Entry
from ollama_harness.server.transport import Transport

__all__ = ["HandshakeFailed", "TlsTransport", "is_whole"]

#: The most bytes in one TLS record (RFC 8446 section 5.1).
_RECORD_BYTES = 16 * 1024

#: The faults that cut an answer which only the end of the connection delimits, so that its framing does not show it.
_CUTS = (f"{close_at.__name__}(", f"{half_close_at.__name__}(")

#: How plain HTTP begins, for Go, and what Go answers to it. Source: `conn.serve` in Go's net/http/server.go.
_PLAIN_HTTP = (b"GET /", b"HEAD ", b"POST ", b"PUT /", b"OPTIO")
_TO_PLAIN_HTTP = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"


class HandshakeFailed(Exception):
    """The client and this server came to no agreement.

    Attributes: `received`, the client's first bytes; `reply`, what was sent in plain text; `by_client`, whether the
    client refused or left.
    """

    def __init__(self, why: str, received: bytes, *, reply: bytes = b"", by_client: bool = False) -> None:
        self.received, self.reply, self.by_client = received, reply, by_client
        super().__init__(why)


class TlsTransport(Transport):
    """Owns a socket, in the loop that runs. `shake_hands` comes first."""

    says_end = True

    def __init__(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        super().__init__(sock)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._unsent = b""  # of what is encrypted
        self._owed = 0  # how many bytes of the user's are in it
        self._is_over = False

    async def shake_hands(self) -> None:
        """Agree on keys.

        Raises: HandshakeFailed; ServerStops.
        """
        received = b""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError as error:
                raise self._failed(error, received) from None
            else:
                await self._flush_all(received)
                return
            await self._flush_all(received)
            try:
                while (data := super().receive()) is None:
                    await running().wait(self.readable)
            except OSError:
                data = b""
            if not data:
                raise HandshakeFailed("the client left during the TLS handshake", received, by_client=True)
            received = received or data
            self._incoming.write(data)

    def _failed(self, error: ssl.SSLError, received: bytes) -> HandshakeFailed:
        """Tell the client, as far as it listens, and return what is to be raised."""
        is_plain, refused = received[:5] in _PLAIN_HTTP, "ALERT" in (error.reason or "")
        self._is_over = True
        if is_plain:
            self._outgoing.read()
            self._outgoing.write(_TO_PLAIN_HTTP)
        with contextlib.suppress(OSError):
            self._flush()
        if is_plain:
            return HandshakeFailed("plain HTTP came to a TLS port", received, reply=_TO_PLAIN_HTTP)
        reason = (error.reason or str(error)).lower().replace("_", " ")
        what = "the client refused" if refused else "this is no TLS that can be agreed on"
        return HandshakeFailed(f"the TLS handshake failed: {what} ({reason})", received, by_client=refused)

    async def _flush_all(self, received: bytes) -> None:
        try:
            while not self._flush():
                await running().wait(self.writable)
        except OSError:
            why = "the client left during the TLS handshake"
            raise HandshakeFailed(why, received, by_client=True) from None

    def receive(self) -> bytes | None:
        data = super().receive()
        if self._is_over:
            return data
        if data:
            self._incoming.write(data)
        self.has_ended = self.has_ended or data == b""
        pieces = []
        try:
            while piece := self._tls.read(_RECORD_BYTES):
                pieces.append(piece)
            self.has_ended = True  # a close_notify
        except ssl.SSLWantReadError:
            pass
        self._flush()  # TLS has messages of its own
        return b"".join(pieces) or (b"" if self.has_ended else None)

    def send(self, data: bytes | memoryview) -> int:
        taken, view = 0, memoryview(data)
        while taken < len(view) or self._owed:
            if not self._owed:
                if not self._flush():
                    break
                self._owed = self._tls.write(view[taken : taken + _RECORD_BYTES])
            if not self._flush():
                break
            taken, self._owed = taken + self._owed, 0
        return taken

    def _flush(self) -> bool:
        """Send what is encrypted; returns whether all of it is sent.

        Raises: OSError, if the other side is gone.
        """
        self._unsent += self._outgoing.read()
        while self._unsent and (sent := super().send(self._unsent)):
            self._unsent = self._unsent[sent:]
        return not self._unsent

    def say_end(self) -> bool:
        if not self._is_over:
            self._is_over = True
            with contextlib.suppress(ssl.SSLError):  # it wants the other side's close_notify, which need not come
                self._tls.unwrap()
        return self._flush()

    def half_close(self) -> None:
        self._is_over = True
        super().half_close()


def is_whole(entry: Entry) -> bool:
    """Whether what was sent is an answer that is whole by its own framing, or that no fault has cut."""
    wire, method = entry.wire, entry.head.method if entry.head is not None else "GET"
    try:
        while (head := read_response_head(wire)) is not None and head.status < 200:
            wire = wire[head.size :]
        if head is None:
            return False
        body = BodyReader(head, method=method)
        body.read(wire[head.size :])
    except ProtocolError:
        return False
    if body.framing == "close":
        return entry.script is None or not any(one.startswith(_CUTS) for one in entry.script.struck_by)
    return body.whole
