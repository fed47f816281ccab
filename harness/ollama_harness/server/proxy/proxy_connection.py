"""One connection of a client to a proxy. Its first byte shows whether it is TLS, SOCKS or HTTP."""

from __future__ import annotations

from ollama_harness.errors import ProtocolError
from ollama_harness.script.http1 import RequestHead
from ollama_harness.script.script import ConnectionEnd, Script, http_date
from ollama_harness.server._connection import ClientLeft, Connection
from ollama_harness.server._playback import batches, end_early, play
from ollama_harness.server._unmatched import not_http
from ollama_harness.server._upstream import Target, UpstreamFailed, connect
from ollama_harness.server.engine import ServerStops
from ollama_harness.server.journal import Entry, Journal, Protocol
from ollama_harness.server.proxy.forwarding import Forward, forward
from ollama_harness.server.proxy.modes import error_page, only
from ollama_harness.server.proxy.socks import DONE, NOT_ALLOWED, REFUSED, Refused, handshake, reply
from ollama_harness.server.proxy.target import form, target_of
from ollama_harness.server.proxy.tunnel import tunnel
from ollama_harness.server.transport import Transport

__all__ = ["ProxyConnection"]

_NO_PROXY_REQUEST = "this is a proxy, and the request has the form for a server"
_ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"

#: A fatal alert, handshake_failure (RFC 8446 section 6), in a record of TLS 1.2.
_NO_TLS = only(b"\x15\x03\x03\x00\x02\x02\x28")


class ProxyConnection:
    """A client's connection to a proxy. With `upstream` every request goes there, whatever its target."""

    def __init__(
        self,
        connection: Connection,
        *,
        journal: Journal,
        does: Script | Forward,
        upstream: Target | None,
    ) -> None:
        self._connection = connection
        self._journal, self._number = journal, journal.connected()
        self._does, self._upstream = does, upstream
        self._last: Entry | None = None

    async def serve(self) -> None:
        """Serve this client until its connection ends."""
        try:
            if isinstance(self._does, Script) and not self._does.awaits_request:
                entry = self._noted(None)
                if self._does.ending.how is ConnectionEnd.RESET:
                    await self._connection.wait_for_request()  # as FakeOllama does
                await self._play(self._does, entry, by="script")
                return
            match (await self._connection.peek(1))[:1]:
                case b"\x16":
                    entry = self._noted(None, self._connection.take(), protocol=Protocol.TLS)
                    await self._play(_NO_TLS, entry, why="a TLS hello, and this proxy speaks no TLS")
                case b"\x04":
                    await self._socks(Protocol.SOCKS4)
                case b"\x05":
                    await self._socks(Protocol.SOCKS5)
                case _:
                    await self._http()
        finally:
            await self._connection.close()

    def _noted(
        self, head: RequestHead | None, body: bytes = b"", *, protocol: Protocol = Protocol.HTTP, target: str = ""
    ) -> Entry:
        index = 1 if self._last is None else self._last.index + 1
        entry = Entry(connection=self._number, index=index, head=head, body=body, protocol=protocol, target=target)
        self._journal.add(entry)
        self._last = entry
        return entry

    async def _play(self, script: Script, entry: Entry, *, by: str = "nothing", why: str = "") -> bool:
        """Play a script; returns whether the connection can be used again."""
        entry.answered_by, entry.why, entry.date = by, why, http_date()
        rendered = script.render(date=entry.date)
        return await play(
            self._connection, batches(rendered.segments), rendered.ending, entry=entry, journal=self._journal
        )

    # ------------------------------------------------------------------------------------- HTTP

    async def _http(self) -> None:
        usable = True
        while usable:
            try:
                request = await self._connection.read_request()
            except ProtocolError as error:
                await self._play(not_http(error), self._noted(None), why=str(error))
                return
            if request is None:
                if self._last is not None:
                    self._journal.left(self._last)
                return
            head, body = request
            usable = await self._answer(head, body) and not head.wants_close

    async def _answer(self, head: RequestHead, body: bytes) -> bool:
        """Answer one request; returns whether the connection can be used again."""
        try:
            target, problem = target_of(head), None
        except ProtocolError as error:
            target, problem = None, error
        entry = self._noted(head, body, protocol=form(head), target=str(target or ""))
        if isinstance(self._does, Script):
            return await self._play(self._does, entry, by="script")
        server = self._upstream or target
        if problem is not None or server is None:
            problem = problem or ProtocolError(_NO_PROXY_REQUEST, "RFC 9112 section 3.2.2")
            return await self._play(not_http(problem), entry, why=str(problem))
        try:
            upstream = await _connect(server, self._connection)
        except (ClientLeft, ServerStops) as gone:
            end_early(self._connection, gone, entry=entry, journal=self._journal)
            return False
        except UpstreamFailed as failure:
            return await self._play(error_page(failure.status, str(failure)), entry, why=str(failure))
        entry.answered_by = "upstream"
        if entry.protocol is Protocol.CONNECT:
            await self._tunnel(upstream, _ESTABLISHED, entry)
            return False
        try:
            return await forward(self._connection, upstream, head, entry=entry, journal=self._journal, does=self._does)
        except UpstreamFailed as failure:
            return await self._play(error_page(failure.status, str(failure)), entry, why=str(failure))
        finally:
            upstream.close()

    # ------------------------------------------------------------------------------------- tunnels

    async def _socks(self, protocol: Protocol) -> None:
        entry = self._noted(None, protocol=protocol)
        try:
            target = await handshake(self._connection, entry, serves=isinstance(self._does, Forward))
            upstream = await _connect(self._upstream or target, self._connection)
        except Refused as refused:
            await self._play(only(refused.reply), entry, why=str(refused))
        except UpstreamFailed as failure:
            code = NOT_ALLOWED if failure.status == 403 else REFUSED
            await self._play(only(reply(protocol, code)), entry, why=str(failure))
        except (ClientLeft, ServerStops) as gone:
            end_early(self._connection, gone, entry=entry, journal=self._journal)
        else:
            await self._tunnel(upstream, reply(protocol, DONE), entry)

    async def _tunnel(self, upstream: Transport, first: bytes, entry: Entry) -> None:
        entry.answered_by = "upstream"
        try:
            await tunnel(
                self._connection,
                upstream,
                first=first,
                entry=entry,
                journal=self._journal,
                idle_limit_s=self._does.idle_limit_s if isinstance(self._does, Forward) else None,
            )
        finally:
            upstream.close()


async def _connect(target: Target, client: Connection) -> Transport:
    """A connection to a target on this machine.

    Raises: UpstreamFailed, if it is on another machine (403), or nothing accepts there; ClientLeft.
    """
    if not target.is_loopback:
        raise UpstreamFailed(f"{target} is not on this machine", status=403)
    return await connect(target, client)
