"""A real Ollama behind the server: a request is sent on to it, and its answer comes back record by record.

This is a reverse proxy. One connection of a client has one connection to Ollama for each request, so Ollama sees what
the client does: a client that leaves ends the request there, a client that does not read stops Ollama's writing, and
how Ollama ends its connection, the client's ends. Headers for one hop only are removed (RFC 9110 section 7.6.1), except
that Connection says the same on both sides.

`_relay` has how one answer passes. With a `keeper`, the answer as it came is kept as a recording.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol
from urllib.parse import urlsplit

from ollama_harness.answers.recorded import Recorded
from ollama_harness.errors import HarnessError
from ollama_harness.faults import Fault
from ollama_harness.faults.live import LiveAnswer, Strikes, how_they_strike
from ollama_harness.recordings.recording import RecordedEnd, Recording, Request
from ollama_harness.script.http1 import RequestHead, ResponseHead
from ollama_harness.script.script import Script
from ollama_harness.server._connection import ClientLeft, Connection
from ollama_harness.server._playback import end_early, play
from ollama_harness.server._relay import Onward, Relay, request_to
from ollama_harness.server._upstream import Target, Upstream, connect
from ollama_harness.server.engine import Kind, ServerStops, in_thread
from ollama_harness.server.journal import Entry, Journal
from ollama_harness.server.recorded_answers import RecordedAnswers

__all__ = ["Keeper", "RealOllama", "upstream_target"]

#: For how many choices of faults it is kept how they strike: a client may send any.
_MOST_KEPT = 1024


class Keeper(Protocol):
    """Keeps recordings. The recorder has one for a folder: `ollama_harness.recorder.FolderKeeper`."""

    @property
    def recordings(self) -> Sequence[Recording]:
        """Those that are there already."""
        ...

    def keep(self, recording: Recording) -> object:
        """Keep a recording, whose id and version say nothing yet.

        Raises: HarnessError.
        """
        ...


def upstream_target(url: str) -> Target:
    """The host and port in `http://host:port`.

    Raises: ValueError.
    """
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
        parts = urlsplit("")
    if parts.scheme == "https":
        raise ValueError(f"{url}: https is not supported; give the http:// URL of Ollama itself")
    if parts.scheme != "http" or not host:
        raise ValueError(f"{url!r} is no URL; write it as http://127.0.0.1:11434")
    if "@" in parts.netloc or parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError(f"{url!r} has more than a host and a port; write it as http://{host}:{port or 11434}")
    return Target(host, (11434 if "://" not in url else 80) if port is None else port)


class RealOllama:
    """The Ollama behind a server.

    With `misses_only`, recordings answer first, and it gets the other requests. With `once`, what the keeper has
    answers first.

    Raises: ValueError, if the URL is none of a host; HarnessError, if what is kept cannot be read.
    """

    def __init__(
        self, url: str, recorded: RecordedAnswers, *, misses_only: bool, keeper: Keeper | None, once: bool
    ) -> None:
        self.target, self.misses_only, self._keeper = upstream_target(url), misses_only, keeper
        self._recorded = recorded
        self._lock = threading.Lock()
        self._kept: list[Recording] | None = None
        if once:
            if keeper is None:
                raise ValueError("once: nothing keeps the answers; give a keeper, too")
            self._kept = [one for one in keeper.recordings if _is_good(one)]
        self._strikes: dict[tuple[str, ...], tuple[Strikes, ...]] = {}
        self._of_kept = Recorded(self._kept or ())

    @property
    def url(self) -> str:
        return f"http://{self.target}"

    def kept(self, request: Request) -> Recording | None:
        """The kept answer to the same request, where such answer."""
        return self._of_kept.same(request)

    def strikes(self, faults: Sequence[Fault], media_type: str) -> tuple[Strikes, ...]:
        """When these faults are tried on a live answer of this type; () if they strike no recording of it."""
        key = (media_type, *map(str, faults))
        with self._lock:
            if key in self._strikes:
                return self._strikes[key]
        like = [one for one in self._recorded.recordings if one.response.media_type == media_type]
        found = how_they_strike(faults, map(Script.from_recording, like)) if faults else ()
        with self._lock:
            if len(self._strikes) > _MOST_KEPT:
                self._strikes.clear()
            self._strikes[key] = found
        return found

    async def _live(self, begun: Script, onward: Onward, head: ResponseHead, request: RequestHead) -> LiveAnswer:
        """The answer with this head, with its faults. Where nothing says how these strike, they get it whole."""
        faults, strikes = onward.faults, tuple[Strikes, ...]()
        if faults:
            strikes = await in_thread(Kind.COMPUTES, self.strikes, faults, head.media_type)
        return LiveAnswer(faults, strikes or (Strikes.WHOLE,) * len(faults), begun, request)

    async def answer(
        self,
        connection: Connection,
        entry: Entry,
        onward: Onward,
        *,
        journal: Journal,
        complain: Callable[[str], None],
    ) -> bool:
        """Send a request on and its answer back; returns whether the connection can be used again.

        `complain` is called with each fault that `check` is to raise for.

        Raises: UpstreamFailed, if nothing has been sent to the client.
        """
        try:
            transport = await connect(self.target, connection)
            server = Upstream(transport, connection, idle_limit_s=None)
            try:
                relay = Relay(connection, server, onward, entry=entry, journal=journal, keeps=self._keeper is not None)
                try:
                    await relay.run(request_to(self.target, onward.asked, entry.body), self._live, self._keep)
                finally:
                    relay.note(complain)
            finally:
                transport.close()
        except (ClientLeft, ServerStops) as gone:
            end_early(connection, gone, entry=entry, journal=journal)
            return False
        return await play(connection, (), relay.end, entry=entry, journal=journal)

    async def _keep(self, recording: Recording) -> str:
        """Keep what has arrived; returns what is wrong, or ""."""
        assert self._keeper is not None
        if self._kept is not None and _is_good(recording):
            with self._lock:
                self._kept.append(replace(recording, id=f"kept/{len(self._kept)}"))
                self._of_kept = Recorded(self._kept)
        try:
            await in_thread(Kind.MAY_WAIT, self._keeper.keep, recording)
        except HarnessError as error:
            return f"not kept: {error}"
        return ""


def _is_good(recording: Recording) -> bool:
    """Whether it is an answer to play again: a whole one, and no failure of the server's."""
    return recording.ended is RecordedEnd.COMPLETE and recording.response.status < 500
