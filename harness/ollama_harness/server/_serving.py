"""Serves the connections of a FakeOllama: reads requests, has an answer chosen for each, and plays it.

A `Listener` has an engine run `Serving.serve`, a coroutine, for each connection. If the first rule of the programme
does not await a request (`close_on_accept` and its like), it is played at once. Otherwise one request after the other
is read and answered, until an answer ends the connection. Calls of the control API are answered beside all that, and
are in no journal.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from ollama_harness.answers import Asked, Step
from ollama_harness.answers.fitting import fitted
from ollama_harness.answers.go.go_body import GoBodyReader
from ollama_harness.answers.go.go_request import GoHead, GoHeadReader
from ollama_harness.errors import FaultDoesNotApply
from ollama_harness.recordings.lazy import Lazy
from ollama_harness.script.http1 import RequestHead
from ollama_harness.script.script import ConnectionEnd, Script, ScriptEnd, http_date
from ollama_harness.server._answers import Answerer, Chosen
from ollama_harness.server._choosing import Chooser
from ollama_harness.server._connection import ClientLeft, Connection, RequestTooLarge, awaits_continue
from ollama_harness.server._expectations import Expectations, segments
from ollama_harness.server._playback import Batch, batches, end_early, play, play_live
from ollama_harness.server._real_ollama import RealOllama
from ollama_harness.server._relay import Onward
from ollama_harness.server._running_programme import RunningProgramme
from ollama_harness.server._running_rule import RunningRule
from ollama_harness.server._slots import Slots, takes_slot
from ollama_harness.server._tls import HandshakeFailed, TlsTransport
from ollama_harness.server._unmatched import not_http, upstream_failed
from ollama_harness.server._upstream import UpstreamFailed
from ollama_harness.server.control import Calls
from ollama_harness.server.engine import ServerStops
from ollama_harness.server.gateway import Gateway
from ollama_harness.server.journal import EndedBy, Entry, Journal, Protocol
from ollama_harness.server.transport import Transport

__all__ = ["Serving"]

_STAYS = ScriptEnd(how=ConnectionEnd.KEEP_OPEN, at_s=0.0)

#: Of how many scripts the writes are kept.
_MOST_KEPT = 256


class Serving:
    """Serves all connections of one server. Without `calls` the control API is off; with `tls` it is behind TLS."""

    def __init__(
        self,
        *,
        journal: Journal,
        programme: RunningProgramme,
        answerer: Answerer,
        chooser: Chooser,
        expectations: Expectations,
        calls: Calls | None,
        tls: ssl.SSLContext | None,
        gateway: Gateway,
        slots: Slots | None,
        real_ollama: RealOllama | None = None,
    ) -> None:
        self._real_ollama = real_ollama
        self._journal, self._programme, self._expectations, self._calls = journal, programme, expectations, calls
        self._answerer, self._chooser, self._tls, self._gateway = answerer, chooser, tls, gateway
        self._slots = slots
        self._kept_writes: dict[int, tuple[Script, str, Sequence[Batch]]] = {}

    async def serve(self, sock: socket.socket) -> None:
        """Serve a connection until it ends."""
        journal, first = self._journal, self._programme.take_on_accept()
        transport = Transport(sock) if first is not None or self._tls is None else TlsTransport(sock, self._tls)
        connection = Connection(transport)
        number, index, usable, after_post, is_counted = journal.connected(), 0, True, False, True
        entry: Entry | None = None
        try:
            if first is not None:
                await self._play_on_accept(connection, first, number)
                return
            if isinstance(transport, TlsTransport) and not await self._shake_hands(connection, transport, number):
                return
            while usable:
                read = await connection.await_head(GoHeadReader(after_post=after_post))
                if read is None:
                    if entry is not None:
                        journal.left(entry)
                    return
                after_post = read.head.method == "POST"
                behind = self._behind(read)
                is_call = self._calls is not None and self._calls.is_call(behind)
                if is_counted is (is_call and not index):  # a connection that only brings calls is not counted
                    is_counted = not is_counted
                    journal.uncount(-1 if is_counted else 1)
                if self._calls is not None and is_call:
                    usable = await self._calls.answer(connection, behind.head)
                    continue
                index += 1
                entry = Entry(connection=number, index=index, head=None if read.flaw else read.head, body=b"")
                usable = await self._serve_request(connection, read, behind.head, entry)
        finally:
            await connection.close()
            journal.disconnected()

    async def _shake_hands(self, connection: Connection, transport: TlsTransport, number: int) -> bool:
        """Begin TLS; whether that succeeded. If not, it is noted, and has cost this connection only."""
        try:
            await transport.shake_hands()
        except HandshakeFailed as failed:
            entry = Entry(connection=number, index=1, head=None, body=failed.received, protocol=Protocol.TLS)
            entry.why = str(failed)
            if failed.reply:
                entry.sent.append((time.monotonic() - entry.arrived_s, failed.reply))
            self._journal.add(entry)
            await connection.half_close()
            if failed.by_client:
                self._journal.left(entry)
            by = EndedBy.CLIENT if failed.by_client else EndedBy.SERVER
            self._journal.settle(entry, ConnectionEnd.CLOSE, by)
            return False
        connection.receive()  # a request may have come with the last message of the handshake
        return True

    def _behind(self, read: GoHead) -> GoHead:
        """A request as Ollama sees it behind the gateway. The gateway refuses it if its path leads elsewhere."""
        head = None if read.flaw else self._gateway.behind(read.head)
        return read if head is None or head is read.head else replace(read, head=head)

    async def _serve_request(self, connection: Connection, read: GoHead, head: RequestHead, entry: Entry) -> bool:
        """Read the rest of a request, if Ollama does, and answer it; whether the connection can be used again.

        `head` is as Ollama sees it.
        """
        asked = Asked.of(head, b"", flaw=read.flaw, at=_now())
        connection.take(head.size)
        await self._chooser.get_ready()
        if (refused := self._answerer.refusal(asked)) is not None:
            return await self._answer(connection, entry, refused)
        kept_out = self._kept_out(read.head)
        if kept_out is not None and awaits_continue(head):
            await self._answer(connection, entry, kept_out)
            return False
        if kept_out is None and self._answerer.needs_no_body(asked, head):
            await self._answer(connection, entry, await self._chooser.chosen(asked, head, unread=True))
            return False
        body = GoBodyReader(head)
        try:
            await connection.await_body(head, body)
        except RequestTooLarge as error:
            too_large = Chosen(answer=not_http(error), step=Step.NOTHING, by="nothing", why=str(error))
            return await self._answer(connection, entry, too_large)
        entry.body = body.content
        asked = Asked.of(head, entry.body, body_error=body.error or "", at=asked.at)
        chosen = kept_out or await self._chooser.chosen(asked, head)
        if self._slots is not None and takes_slot(asked, chosen.answer):
            usable = await self._answer_in_turn(connection, entry, asked, head, chosen, self._slots)
        else:
            usable = await self._give(connection, entry, asked, head, chosen)
        return usable and not head.wants_close and body.error is None

    def _kept_out(self, head: RequestHead) -> Chosen | None:
        """What the gateway answers to a request that it does not let pass."""
        refused = self._gateway.refusal(head, scheme="http" if self._tls is None else "https")
        if refused is None:
            return None
        script, why = refused
        return Chosen(answer=script, step=Step.GUARD, by="gateway", why=why)

    async def _play_on_accept(self, connection: Connection, first: RunningRule, number: int) -> None:
        script = first.script
        assert script is not None
        entry = Entry(connection=number, index=1, head=None, body=b"", script=script)
        entry.answered_by, entry.step = first.name, Step.PROGRAMME
        if script.ending.how is ConnectionEnd.RESET:
            await connection.wait_for_request()  # an RST while the client connects or writes would be another fault
        await self._play(connection, script, entry)

    async def _answer_in_turn(
        self, connection: Connection, entry: Entry, asked: Asked, head: RequestHead, chosen: Chosen, slots: Slots
    ) -> bool:
        """Give this answer once a slot is free, and free that when the exchange has ended; or say that none is."""
        self._journal.add(entry)
        try:
            idle_s = self._gateway.idle_timeout_s
            until = None if idle_s is None else entry.arrived_s + idle_s
            has_slot = await slots.enter(connection, until=until)
        except (ClientLeft, ServerStops) as gone:
            entry.why = "it waited for a free slot"
            end_early(connection, gone, entry=entry, journal=self._journal)
            return False
        entry.waited_s = time.monotonic() - entry.arrived_s
        if has_slot is None:
            return await self._answer(connection, entry, chosen)  # too late: the gateway has given up
        if not has_slot:
            return await self._answer(connection, entry, self._answerer.queue_full(asked))
        entry.when_settled = slots.leave
        return await self._give(connection, entry, asked, head, chosen)

    async def _give(
        self, connection: Connection, entry: Entry, asked: Asked, head: RequestHead, chosen: Chosen
    ) -> bool:
        """Give this answer and have it take effect; returns whether the connection can be used again."""
        self._answerer.take_effect(asked, head, chosen)
        return await self._answer(connection, entry, chosen)

    async def _answer(self, connection: Connection, entry: Entry, chosen: Chosen) -> bool:
        """Give this answer, and note it; returns whether the connection can be used again."""
        entry.answered_by, entry.step, entry.rule = chosen.by, chosen.step, chosen.rule
        entry.programme_rules, entry.left_out = chosen.programme_rules, chosen.left_out
        entry.why = "; ".join((chosen.why, *chosen.left_out))
        if isinstance(chosen.answer, Onward):
            return await self._forward(connection, entry, chosen.answer)
        if isinstance(chosen.answer, Script):
            entry.script = script = chosen.answer
            if entry.head is not None:
                if unmet := script.unmet(entry.head):
                    entry.unmet, entry.why = unmet, f"{entry.why}; refused, because {unmet}"
                script = script.answer_to(entry.head)
                patient = self._gateway.patient(script, entry.head, waited_s=entry.waited_s)
                if patient is not script:
                    script = patient
                    entry.why = f"{entry.why}; the gateway gave up after {self._gateway.idle_timeout_s:g} s of silence"
            return await self._play(connection, script, entry)
        entry.date = http_date()
        self._note(entry)
        method = entry.head.method if entry.head is not None else ""
        made = segments(chosen.answer, method=method, date=entry.date)
        if not chosen.answer.is_streamed:
            return await play(connection, batches(made), _STAYS, entry=entry, journal=self._journal)
        try:
            return await play_live(connection, made, entry=entry, journal=self._journal)
        except Exception as error:  # noqa: BLE001 - whatever a user's iterator raises; check() raises it again
            self._expectations.note_error(error)
            broken_off = ScriptEnd(how=ConnectionEnd.CLOSE, at_s=0.0)
            return await play(connection, (), broken_off, entry=entry, journal=self._journal)

    async def _forward(self, connection: Connection, entry: Entry, onward: Onward) -> bool:
        """Have the real Ollama answer."""
        real = self._real_ollama
        assert real is not None, "nothing is sent on where there is no Ollama"
        self._note(entry)
        try:
            return await real.answer(connection, entry, onward, journal=self._journal, complain=self._complain)
        except UpstreamFailed as failure:
            entry.why, entry.step = f"{real.url}: {failure}", Step.NOTHING
            problem = f"the upstream {entry.why}; start Ollama there, or give another --upstream"
            script = upstream_failed(onward.asked, onward.world, failure.status, problem)
            entry.script = script = fitted(script, onward.asked, onward.world, handled=True)
            writes, entry.date = self._writes(script)
            return await play(connection, writes, script.ending, entry=entry, journal=self._journal)

    def _complain(self, text: str) -> None:
        self._expectations.note_error(FaultDoesNotApply(text))

    async def _play(self, connection: Connection, script: Script, entry: Entry) -> bool:
        writes, entry.date = self._writes(script)
        self._note(entry)
        return await play(connection, writes, script.ending, entry=entry, journal=self._journal)

    def _note(self, entry: Entry) -> None:
        """Take an entry into the journal, if it has not been there while it waited."""
        if not entry.id:
            self._journal.add(entry)

    def _writes(self, script: Script) -> tuple[Iterable[Batch], str]:
        """The writes that play a script with the current Date, and that Date; made at most once a second."""
        date = http_date()
        kept, kept_date, writes = self._kept_writes.get(id(script), (None, "", ()))
        if kept is not script or kept_date != date:
            rendered = script.render(date=date).segments
            if isinstance(rendered, Lazy):  # it is long, so it is made while it is played
                return batches(rendered), date
            writes = tuple(batches(rendered))
            if len(self._kept_writes) > _MOST_KEPT:
                self._kept_writes.clear()
            self._kept_writes[id(script)] = script, date, writes
        return writes, date


def _now() -> datetime:
    return datetime.now(UTC)
