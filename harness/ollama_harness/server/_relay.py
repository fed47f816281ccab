"""One answer on its way from the real Ollama to the client: what has arrived of it, and what waits to be sent.

An answer is read in the parts of scripts (`_live_body`), each with the time of its arrival. Faults are tried on it
while it comes (`faults.live`); what they make of it is sent when it is due. While that waits, the next parts are read,
so that their times are true, up to a limit.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from urllib.parse import urlsplit

from ollama_harness.answers import Asked, World
from ollama_harness.errors import ProtocolError
from ollama_harness.faults import Fault
from ollama_harness.faults.live import LiveAnswer
from ollama_harness.recordings.recording import Frame, Headers, RecordedEnd, Recording, Response
from ollama_harness.recordings.records import STREAMS
from ollama_harness.script.http1 import RequestHead, ResponseHead, members
from ollama_harness.script.message_parts import Chunk, Head, Part, Raw
from ollama_harness.script.script import ConnectionEnd, RenderedSegment, Script, ScriptEnd, Segment
from ollama_harness.server._connection import Connection
from ollama_harness.server._hop_by_hop import HOP_BY_HOP, without
from ollama_harness.server._live_body import LiveBody
from ollama_harness.server._playback import await_record
from ollama_harness.server._upstream import Target, Upstream, UpstreamFailed
from ollama_harness.server.journal import Entry, Journal
from ollama_harness.server.recorded_answers import request_of

__all__ = ["Onward", "Relay", "request_to"]

#: What Connection says of the end of a connection.
_OF_THE_END = ("close", "keep-alive")

#: How much of an answer waits to be due before no more of it is read.
_MOST_WAITING_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Onward:
    """A request that is sent on, as Ollama sees it, and the faults that strike its answer, in order.

    `noted` are those that `check` raises for, if they cannot strike it.
    """

    asked: Asked
    world: World
    faults: tuple[Fault, ...] = ()
    noted: tuple[Fault, ...] = ()


class Relay:
    """One answer on its way: what has arrived of it, and what waits to be sent."""

    def __init__(
        self,
        connection: Connection,
        server: Upstream,
        onward: Onward,
        *,
        entry: Entry,
        journal: Journal,
        keeps: bool,
    ) -> None:
        self._connection, self._server, self._entry, self._onward = connection, server, entry, onward
        self._journal, self._keeps = journal, keeps
        asked = onward.asked
        self._request = RequestHead(asked.method, asked.target, asked.version, asked.headers, 0)
        self._begun = Script(
            method=asked.method,
            segments=(),
            ending=ScriptEnd(how=ConnectionEnd.HOLD, at_s=0.0),
            path=asked.path,
            version=onward.world.version,
        )
        self._live = LiveAnswer((), (), self._begun)
        self._due: deque[RenderedSegment] = deque()
        self._waiting_bytes = 0
        self._given: list[Segment] = []  # all that is sent, or waits to be
        self._record: list[Segment] = []  # the parts of a record that is not whole yet
        self._frames: list[Frame] = []
        self._date, self._began_s, self._arrived_s = "", time.monotonic(), 0.0

    @property
    def end(self) -> ScriptEnd:
        """How the client's connection ends, once everything was sent."""
        assert self._live.end is not None
        return self._live.end

    async def run(
        self,
        request: bytes,
        live: Callable[[Script, Onward, ResponseHead, RequestHead], Awaitable[LiveAnswer]],
        keep: Callable[[Recording], Awaitable[str]],
    ) -> None:
        """Send the request on, and everything of the answer to the client.

        Raises: UpstreamFailed, if nothing was sent to the client; ClientLeft, ServerStops.
        """
        self._began_s = time.monotonic()
        await self._server.send(request)
        head, version = await self._read_head()
        self._arrived_s = time.monotonic()
        try:
            body = LiveBody(head, method=self._onward.asked.method)
        except ProtocolError as error:
            raise UpstreamFailed(f"the answer is no HTTP: {error}") from None
        self._date = head.header("date")
        self._live = await live(self._begun, self._onward, head, self._request)
        response = Response(
            status=head.status,
            reason=head.reason,
            headers=self._kept_headers(head),
            head_at_s=self._seconds(self._arrived_s),
        )
        self._take(Head(head.status, head.reason, _passed_on(head), version), body, head)
        ended: RecordedEnd | None = RecordedEnd.COMPLETE if body.whole else None
        while self._live.end is None or self._due:
            await self._send_due()
            if self._live.end is not None:
                if self._due:
                    await self._connection.wait_until(self._entry.arrived_s + self._due[0].at_s)
                continue
            if ended is None:
                ended = await self._receive(head, body)
            if ended is not None:
                if self._keeps and (problem := await keep(self._recording(response, ended))):
                    self._entry.why += f"; {problem}"
                self._finish(_end(ended, body, head, version, self._request))
        if self._keeps and ended is None:
            self._entry.why += "; not kept, because a fault has ended it before it was whole"

    def note(self, complain: Callable[[str], None]) -> None:
        """Write into the entry what the faults did; `complain` is for those of the user that did nothing."""
        entry, live = self._entry, self._live
        if not self._given:
            return
        left_out = [(fault, f"{fault} was left out: {why}") for fault, why in live.left_out]
        for fault, text in left_out:
            if fault in self._onward.noted:
                complain(text)
        texts = tuple(text for _, text in left_out)
        entry.left_out, entry.unmet = (*entry.left_out, *texts), live.unmet
        struck = tuple(str(one) for one in self._onward.faults if all(one is not fault for fault, _ in left_out))
        if struck:
            entry.why += f"; struck by {', '.join(struck)}"
        entry.why = "; ".join((entry.why, *texts))
        ending = live.end or ScriptEnd(how=ConnectionEnd.CLOSE, at_s=0.0)
        last_s = self._given[-1].at_s if self._given else 0.0
        entry.script = replace(
            self._begun,
            segments=tuple(self._given),
            ending=replace(ending, at_s=max(ending.at_s, last_s)),
            struck_by=struck,
        )

    # ------------------------------------------------------------------------------------- what arrives

    async def _read_head(self) -> tuple[ResponseHead, str]:
        """The head of the final answer, and its version; informational answers are sent on."""
        while True:
            try:
                head, wire = await self._server.read_head()
            except ProtocolError as error:
                raise UpstreamFailed(f"the answer is no HTTP: {error}") from None
            if head.status >= 200:
                return head, wire[:8].decode("latin-1")
            if self._request.version != "HTTP/1.0":  # RFC 9110 section 15.2
                await self._connection.send(wire)
                self._entry.sent.append((self._now_s(), wire))

    async def _receive(self, head: ResponseHead, body: LiveBody) -> RecordedEnd | None:
        """Read what arrives next, or wait until something is due; returns how the answer has ended, if it has."""
        until = self._entry.arrived_s + self._due[0].at_s if self._due else None
        if until is not None and self._waiting_bytes > _MOST_WAITING_BYTES:
            await self._connection.wait_until(until)
            return None
        try:
            if self._server.rest:
                data: bytes | None = await self._server.receive()
            else:
                data = await self._server.received_by(until)
                self._arrived_s = time.monotonic()
        except UpstreamFailed as failure:
            self._entry.why += f"; {failure}"
            for part in body.rest():
                self._take(part, body, head)
            return RecordedEnd.RESET
        if data is None:
            return None
        parts = body.parts(data) if data else body.rest()
        for part in parts:
            self._take(part, body, head)
        if body.whole or (not data and body.framing == "close"):
            return RecordedEnd.COMPLETE
        if body.error is not None:
            self._entry.why += f"; {body.error}"
        elif not data:
            self._entry.why += "; the server ended the connection before its answer was whole"
        return RecordedEnd.EOF if body.error is not None or not data else None

    def _take(self, part: Part, body: LiveBody, head: ResponseHead) -> None:
        """Take in a part that has arrived, and send on what can be sent."""
        if self._keeps and isinstance(part, Chunk | Raw) and part.data:
            self._frames.append(Frame(at_s=self._seconds(self._arrived_s), data=part.data))
        self._record.append(Segment(self._arrived_s - self._entry.arrived_s, (part,)))
        if not self._live.needs_records or self._is_whole_record(part, body, head):
            self._give(self._flushed())

    def _is_whole_record(self, part: Part, body: LiveBody, head: ResponseHead) -> bool:
        """Whether the last part that has arrived ends a record. What is no stream is one record."""
        if not isinstance(part, Chunk | Raw) or head.header("content-encoding"):
            return True
        if head.media_type not in STREAMS:
            return body.whole and body.framing != "chunked"
        end = b"\n\n" if head.media_type == "text/event-stream" else b"\n"
        said = b"".join(one.data for each in self._record[-2:] for one in each.parts if isinstance(one, Chunk | Raw))
        return said.endswith(end)

    def _flushed(self) -> list[Segment]:
        given, self._record = self._record, []
        return self._live.feed(given) if self._live.end is None else []

    def _finish(self, end: ScriptEnd) -> None:
        if self._record:
            self._give(self._flushed())
        if self._live.end is None:
            self._give(self._live.finish(replace(end, at_s=self._now_s())))

    def _kept_headers(self, head: ResponseHead) -> Headers:
        """The headers for a recording, without the end that this client has asked for, which is no part of it."""
        if not self._request.wants_close:
            return head.headers
        return tuple(one for one in head.headers if one[0].lower() != "connection")

    def _recording(self, response: Response, ended: RecordedEnd) -> Recording:
        asked = self._onward.asked
        request = request_of(asked, self._onward.world)
        headers = tuple(one for one in without(request.headers, HOP_BY_HOP | {"host", "expect", "content-length"}))
        return Recording(
            id="",
            ollama_version="",
            recorded_at=datetime.now(UTC).isoformat(timespec="seconds"),
            platform="unknown",
            request=replace(request, headers=headers),
            response=response,
            frames=tuple(self._frames),
            ended=ended,
            ended_at_s=self._seconds(time.monotonic()),
        )

    # ------------------------------------------------------------------------------------- what is sent

    def _give(self, segments: Iterable[Segment]) -> None:
        for one in segments:
            if self._given and one.at_s < self._given[-1].at_s:
                one = replace(one, at_s=self._given[-1].at_s)
            rendered = one.rendered(self._date)
            self._given.append(one)
            self._due.append(rendered)
            self._waiting_bytes += len(rendered.data)

    async def _send_due(self) -> None:
        entry = self._entry
        while self._due and self._due[0].at_s <= self._now_s():
            segment = self._due.popleft()
            self._waiting_bytes -= len(segment.data)
            if segment.awaits > entry.yielded:
                await await_record(self._connection, entry, self._journal, segment.awaits)
            await self._connection.send(segment.data)
            entry.sent.append((self._now_s(), segment.data))

    def _now_s(self) -> float:
        return time.monotonic() - self._entry.arrived_s

    def _seconds(self, moment: float) -> float:
        """The seconds from the request to a moment, as recordings have them."""
        return round(moment - self._began_s, 6)


def _end(ended: RecordedEnd, body: LiveBody, head: ResponseHead, version: str, request: RequestHead) -> ScriptEnd:
    """How the client's connection ends: as Ollama's did."""
    options = {option.lower() for option in members(head.headers, "connection")}
    closes = "close" in options or (version == "HTTP/1.0" and "keep-alive" not in options)
    if ended is RecordedEnd.RESET:
        how = ConnectionEnd.RESET
    elif ended is RecordedEnd.EOF or closes or body.framing == "close" or request.wants_close:
        how = ConnectionEnd.CLOSE
    else:
        how = ConnectionEnd.KEEP_OPEN
    return ScriptEnd(how=how, at_s=0.0)


def _passed_on(head: ResponseHead) -> Headers:
    """The headers for the client. What Connection says of the end is true on both sides."""
    kept = without(head.headers, HOP_BY_HOP - {"connection", "transfer-encoding"})
    return tuple(one for one in kept if one[0].lower() != "connection" or one[1].lower() in _OF_THE_END)


def request_to(target: Target, asked: Asked, body: bytes) -> bytes:
    """The request as Ollama gets it, in origin form. A Host that means this machine becomes that of the target."""
    path = asked.target
    if "://" in path.partition("?")[0]:
        path = asked.raw_path + (f"?{asked.query}" if asked.query else "")
    host = asked.host if asked.host and not _is_loopback(asked.host) else str(target)
    chunked = any(name.lower() == "transfer-encoding" for name, _ in asked.headers)
    dropped = HOP_BY_HOP - {"connection"} | {"expect", "host"} | ({"content-length"} if chunked else set())
    headers = [("Host", host), *without(asked.headers, dropped)]
    headers = [one for one in headers if one[0].lower() != "connection" or one[1].lower() in _OF_THE_END]
    headers += [("Content-Length", str(len(body)))] if chunked else []
    lines = [f"{asked.method} {path} {asked.version}", *(f"{name}: {value}" for name, value in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


def _is_loopback(host: str) -> bool:
    try:
        return Target(urlsplit(f"//{host}").hostname or "", 0).is_loopback
    except ValueError:
        return False
