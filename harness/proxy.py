"""FakeProxy: a forward proxy on 127.0.0.1 that notes who came which way, and answers itself or really forwards.

It recognises what a proxy is asked in: absolute form, CONNECT, SOCKS 4, 4a and 5, and a TLS hello, by its first bytes.
"""

from __future__ import annotations

import functools
import ipaddress
import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, assert_never

from harness.connection import Connection, Left, Woken
from harness.errors import ProtocolError
from harness.faults import add_header, apply, redirect, replace_with, replace_with_text
from harness.forwarding import (
    Broken,
    Forward,
    NotAllowed,
    Target,
    connect,
    form,
    forward,
    target_of,
    tunnel,
    wants_close,
)
from harness.http1 import RequestHead
from harness.journal import Entry, Journal, Protocol
from harness.listener import Listener
from harness.parts import Head, Raw
from harness.player import ended_early, play
from harness.refusals import not_http
from harness.routing.way import Way
from harness.script import Ending, HowItEnds, Script, Send, http_date

__all__ = ["MODES", "FakeProxy", "Forward", "way"]


def _script(data: bytes, how: HowItEnds) -> Script:
    sends = (Send(0.0, (Raw(data),)),) if data else ()
    return Script(method="POST", sends=sends, ending=Ending(how=how, at_s=0.0))


#: What proxies' answers are put in the place of.
_ANY = Script(
    method="POST", sends=(Send(0.0, (Head(200, "OK", ()),)),), ending=Ending(how=HowItEnds.KEEP_OPEN, at_s=0.0)
)
_PASSWORD_PAGE = "<html><head><title>407</title></head><body><h1>Proxy Authentication Required</h1></body></html>\n"
_ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"

#: What a proxy does, by name. The answers' own sources are in `harness.faults.answers`.
MODES: dict[str, Script | Forward] = {
    "forwards": Forward(),
    "buffers": Forward(buffers=True),
    "adds-chunking": Forward(framing="chunked"),
    "strips-chunking": Forward(framing="close"),
    "http-1.0": Forward(version="HTTP/1.0"),
    "gzips": Forward(gzips=True),
    "refuses": replace_with("proxy-502")(_ANY),
    "html-403": replace_with("squid-403")(_ANY),
    "html-407": apply(
        _ANY,
        [
            replace_with_text(_PASSWORD_PAGE, status=407, content_type="text/html"),
            add_header("Proxy-Authenticate", 'Basic realm="proxy"'),
        ],
    ),
    "privoxy-500": replace_with("privoxy-500")(_ANY),
    "squid-503": replace_with("squid-503")(_ANY),
    "redirect-302": redirect(302, "http://127.0.0.1/login")(_ANY),
    "captive-portal-200": replace_with("captive-portal")(_ANY),
    "empty": _script(b"", HowItEnds.CLOSE),
    "reset": _script(b"", HowItEnds.RESET),
    "hang": _script(b"", HowItEnds.HOLD),
}

#: A fatal alert, handshake_failure (RFC 8446 section 6), in a record of TLS 1.2.
_NO_TLS = _script(b"\x15\x03\x03\x00\x02\x02\x28", HowItEnds.CLOSE)

#: "SOCKS: A protocol for TCP proxy across firewalls", openssh.com/txt/socks4.protocol.
_SOCKS4_DONE, _SOCKS4_REFUSED = b"\x00\x5a" + bytes(6), b"\x00\x5b" + bytes(6)

#: RFC 1928 sections 4 and 6.
_CONNECT = 1
_DONE, _NOT_ALLOWED, _REFUSED, _NO_COMMAND, _NO_ADDRESS_TYPE = 0, 2, 5, 7, 8


def way(entry: Entry) -> Way:
    """Which way the request of a proxy's entry took; origin form at a proxy counts as proxied."""
    match entry.protocol:
        case Protocol.HTTP | Protocol.ABSOLUTE:
            return Way.PROXIED
        case Protocol.CONNECT:
            return Way.TUNNEL
        case Protocol.TLS:
            return Way.TLS
        case Protocol.SOCKS4 | Protocol.SOCKS5:
            return Way.SOCKS
        case never:
            assert_never(never)


class FakeProxy:
    """A proxy on 127.0.0.1 with a journal; a context manager that starts and stops it.

    `does` a script: it is played to every request, in whatever form; SOCKS greetings are refused. `does` a `Forward`:
    requests and tunnels go to their target if that is on this machine (else 403), or all to `upstream`, a host and a
    port. A TLS hello gets a fatal alert either way. Without `listens` the port is taken, but connections to it are
    refused: the proxy program is gone and its setting was left behind.

    The journal's entries say in `protocol` how the proxy was asked and in `target` for what, as far as it was told.

    Raises: ValueError, if `upstream` is not on this machine.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        does: Script | Forward,
        upstream: tuple[str, int] | None = None,
        listens: bool = True,
    ) -> None:
        self.host, self.port = host, port
        self.journal = Journal()
        self._does = does
        self._upstream = None if upstream is None else Target(*upstream)
        if self._upstream is not None and not self._upstream.is_loopback:
            raise ValueError(f"upstream is {self._upstream}; give one on this machine, like 127.0.0.1")
        self._listens = listens and not (isinstance(does, Script) and does.ending.how is HowItEnds.REFUSE)
        self._running: tuple[Listener, threading.Thread] | None = None

    @property
    def address(self) -> str:
        """host:port, as settings take it; the port is known once the proxy has started."""
        return str(Target(self.host, self.port))

    @property
    def url(self) -> str:
        """http://host:port, without a slash at the end."""
        return f"http://{self.address}"

    def start(self) -> None:
        """Listen and accept in a thread of its own.

        Raises: PortInUse, RuntimeError (it is running already).
        """
        if self._running is not None:
            raise RuntimeError("this proxy is running already")
        listener = Listener(self.host, self.port, self._serve if self._listens else None)
        self.port = listener.port
        thread = threading.Thread(target=listener.serve_forever, daemon=True)
        thread.start()
        self._running = listener, thread

    def stop(self) -> None:
        """End every connection and stop listening; returns when all threads have ended."""
        if self._running is not None:
            listener, thread = self._running
            self._running = None
            listener.shutdown()
            thread.join()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    # ------------------------------------------------------------------------------------- one connection

    def _serve(self, sock: socket.socket, stop: socket.socket) -> None:
        connection = Connection(sock, stop)
        try:
            _Client(connection, sock, stop, journal=self.journal, does=self._does, upstream=self._upstream).serve()
        finally:
            connection.close()


class _Refused(Exception):
    """A SOCKS request that is answered with `reply` and no more."""

    def __init__(self, reply: bytes, why: str) -> None:
        self.reply = reply
        super().__init__(why)


class _Client:
    """One connection of a client to the proxy."""

    def __init__(
        self,
        connection: Connection,
        sock: socket.socket,
        stop: socket.socket,
        *,
        journal: Journal,
        does: Script | Forward,
        upstream: Target | None,
    ) -> None:
        self._connection, self._sock, self._stop = connection, sock, stop
        self._journal, self._number = journal, journal.connected()
        self._does, self._upstream = does, upstream

    def serve(self) -> None:
        """Whatever this client wants, until its connection is over."""
        if isinstance(self._does, Script) and not self._does.awaits_request:
            entry = self._noted(None, protocol=Protocol.HTTP)
            if self._does.ending.how is HowItEnds.RESET:
                self._connection.wait_for_bytes()  # an RST while the client still connects would be another fault
            self._play(self._does, entry, by="script")
            return
        match self._connection.peek(1)[:1]:
            case b"\x16":
                entry = self._noted(None, self._connection.take(), protocol=Protocol.TLS)
                self._play(_NO_TLS, entry, why="a TLS hello, and this proxy speaks none")
            case b"\x04":
                self._socks(self._noted(None, protocol=Protocol.SOCKS4))
            case b"\x05":
                self._socks(self._noted(None, protocol=Protocol.SOCKS5))
            case _:
                self._http()

    def _noted(
        self, head: RequestHead | None, body: bytes = b"", *, index: int = 1, protocol: Protocol, target: str = ""
    ) -> Entry:
        entry = Entry(connection=self._number, index=index, head=head, body=body, protocol=protocol, target=target)
        self._journal.add(entry)
        return entry

    def _play(self, script: Script, entry: Entry, *, by: str = "nothing", why: str = "") -> bool:
        """Play a script; whether the connection can be used again."""
        entry.answered_by, entry.why, entry.date = by, why, http_date()
        rendered = script.render(date=entry.date)
        return play(self._connection, rendered.segments, rendered.ending, entry=entry, journal=self._journal)

    # ------------------------------------------------------------------------------------- HTTP

    def _http(self) -> None:
        usable, index = True, 0
        note_left: Callable[[], None] = lambda: None  # noqa: E731 - until there is a request to note it in
        while usable:
            index += 1
            try:
                request = self._connection.read_request()
            except ProtocolError as error:
                self._play(not_http(error), self._noted(None, index=index, protocol=Protocol.HTTP), why=str(error))
                return
            if request is None:
                note_left()
                return
            head, body = request
            try:
                target, problem = target_of(head), None
            except ProtocolError as error:
                target, problem = None, error
            asked_for = "" if target is None else str(target)
            entry = self._noted(head, body, index=index, protocol=form(head), target=asked_for)
            if isinstance(self._does, Script):
                usable = self._play(self._does, entry, by="script") and not wants_close(head)
            elif problem is not None:
                usable = self._play(not_http(problem), entry, why=str(problem))
            else:
                usable = self._forward(head, target, entry, self._does) and not wants_close(head)
            note_left = functools.partial(self._journal.left, entry)

    def _forward(self, head: RequestHead, target: Target | None, entry: Entry, does: Forward) -> bool:
        """Forward one request or make a tunnel; whether the connection can be used again."""
        target = self._upstream or target
        if target is None:
            error = ProtocolError("this is a proxy, and it was asked as a server is", "RFC 9112 section 3.2.2")
            return self._play(not_http(error), entry, why=str(error))
        try:
            with connect(target) as upstream:
                entry.answered_by = "upstream"
                if entry.protocol is not Protocol.CONNECT:
                    return forward(self._connection, upstream, head, entry=entry, journal=self._journal, does=does)
                self._tunnel(upstream, _ESTABLISHED, entry, does)
                return False
        except NotAllowed as error:
            return self._play(_error(403, str(error)), entry, why=str(error))
        except Broken as broken:
            return self._play(_error(broken.status, str(broken)), entry, why=str(broken))

    def _tunnel(self, upstream: socket.socket, first: bytes, entry: Entry, does: Forward) -> None:
        try:
            self._say(first, entry)
        except Left:
            ended_early(self._connection, Woken.LEFT, entry=entry, journal=self._journal)
            return
        tunnel(
            self._connection,
            self._sock,
            upstream,
            self._stop,
            entry=entry,
            journal=self._journal,
            idle_limit_s=does.idle_limit_s,
        )

    # ------------------------------------------------------------------------------------- SOCKS

    def _socks(self, entry: Entry) -> None:
        five = entry.protocol is Protocol.SOCKS5
        try:
            target = self._socks5(entry) if five else self._socks4(entry)
            entry.target = str(target)
            if isinstance(self._does, Script):
                raise _Refused(_SOCKS4_REFUSED, "a SOCKS 4 request, and this proxy speaks HTTP only")
            try:
                upstream = connect(self._upstream or target)
            except NotAllowed as error:
                raise _Refused(_socks5_reply(_NOT_ALLOWED) if five else _SOCKS4_REFUSED, str(error)) from None
            except Broken as error:
                raise _Refused(_socks5_reply(_REFUSED) if five else _SOCKS4_REFUSED, str(error)) from None
            with upstream:
                entry.answered_by = "upstream"
                self._tunnel(upstream, _socks5_reply(_DONE) if five else _SOCKS4_DONE, entry, self._does)
        except _Refused as refused:
            self._play(_script(refused.reply, HowItEnds.CLOSE), entry, why=str(refused))
        except Left:
            ended_early(self._connection, Woken.LEFT, entry=entry, journal=self._journal)

    def _socks4(self, entry: Entry) -> Target:
        """What a SOCKS 4 or 4a request asks for; the name of its user is not looked at."""
        _, command, *_ = fixed = self._read(8, entry)
        self._read_text(entry)
        host = str(ipaddress.IPv4Address(fixed[4:]))
        if fixed[4:7] == bytes(3) and fixed[7]:  # 4a: a name follows
            host = self._read_text(entry)
        if command != _CONNECT:
            raise _Refused(_SOCKS4_REFUSED, f"SOCKS 4 command {command}, and only CONNECT is known here")
        return Target(host, int.from_bytes(fixed[2:4], "big"))

    def _socks5(self, entry: Entry) -> Target:
        """What a SOCKS 5 client asks for once it has agreed to go without authentication (RFC 1928)."""
        methods = self._read(self._read(2, entry)[1], entry)
        if isinstance(self._does, Script) or 0 not in methods:
            raise _Refused(b"\x05\xff", f"a SOCKS 5 greeting with the methods {list(methods)}: none is taken here")
        self._say(b"\x05\x00", entry)
        _, command, _, kind = self._read(4, entry)
        if command != _CONNECT:
            raise _Refused(_socks5_reply(_NO_COMMAND), f"SOCKS 5 command {command}, and only CONNECT is known here")
        match kind:
            case 1 | 4:
                host = str(ipaddress.ip_address(self._read(4 if kind == 1 else 16, entry)))
            case 3:
                host = self._read(self._read(1, entry)[0], entry).decode("latin-1")
            case _:
                raise _Refused(_socks5_reply(_NO_ADDRESS_TYPE), f"SOCKS 5 address type {kind} is not known")
        return Target(host, int.from_bytes(self._read(2, entry), "big"))

    def _say(self, data: bytes, entry: Entry) -> None:
        self._connection.send(data)
        entry.sent.append((time.monotonic() - entry.arrived_s, data))

    def _read(self, size: int, entry: Entry) -> bytes:
        if len(self._connection.peek(size)) < size:
            raise _Refused(b"", "the SOCKS request broke off")
        data = self._connection.take(size)
        entry.body += data
        return data

    def _read_text(self, entry: Entry) -> str:
        """Text up to a zero byte."""
        text = b""
        while (byte := self._read(1, entry)) != b"\0":
            text += byte
        return text.decode("latin-1")


def _socks5_reply(code: int) -> bytes:
    """RFC 1928 section 6; the bound address in it means nothing here."""
    return b"\x05%c\x00\x01" % code + bytes(6)


def _error(status: int, text: str) -> Script:
    """What the proxy itself has to say."""
    return replace_with_text(f"{text}\n", status=status, content_type="text/plain; charset=utf-8")(_ANY)
