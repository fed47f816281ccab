"""Request profiles: what each client library sends, as a server and the client's own process see it.

Everything is measured. Each client makes four requests in one session: for an answer as one object, for the same again,
for a stream, and a GET. The heads come from the journal, in their order and spelling.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ollama_harness.clients import client
from ollama_harness.clients.adapter import Job, Yields
from ollama_harness.clients.installed import installed
from ollama_harness.clients.worker_process import WorkerProcess
from ollama_harness.errors import HarnessError
from ollama_harness.network.environments import clean_environment
from ollama_harness.network.simulation import SimulatedMachine
from ollama_harness.oracle.verdict import Finished
from ollama_harness.recordings.recording import Recording
from ollama_harness.recordings.store import RecordingStore
from ollama_harness.script.http1 import RequestHead
from ollama_harness.server.fake_ollama import FakeOllama
from ollama_harness.server.journal import Entry

__all__ = ["RequestProfile", "SentRequest", "measure"]

#: The recordings whose requests are made, in this order.
_RECORDINGS = ("chat-nonstream", "chat-nonstream", "chat-stream", "tags")

_PATIENCE_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SentRequest:
    """One request. `writes` is the content of each write of the client's process: "head", "body", "head and body"."""

    head: RequestHead
    writes: tuple[str, ...]

    def value(self, name: str) -> str:
        """All values of a header, or "none"."""
        values = [value for key, value in self.head.headers if key.lower() == name.lower()]
        return ", ".join(values) or "none"

    @property
    def framing(self) -> str:
        """The header that frames the body, or "none" for a request without a body."""
        names = {key.lower() for key, _ in self.head.headers}
        return next((name for name in ("Transfer-Encoding", "Content-Length") if name.lower() in names), "none")


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestProfile:
    """What one client sends: `plain` for an object, the same `again` in the same session, for a `stream`, and a `get`.

    `reuses` is whether the second request came on the connection of the first.
    """

    client: str
    version: str
    plain: SentRequest
    again: SentRequest
    stream: SentRequest
    get: SentRequest
    reuses: bool

    @property
    def changes(self) -> tuple[str, ...]:
        """How the head changes for a stream: lines that are added (+) and removed (-), or "order".

        Content-Length depends on the body, and does not count.
        """
        before, after = (_lines(sent.head) for sent in (self.plain, self.stream))
        changed = [f"+{name}: {value}" for name, value in after if (name, value) not in before]
        changed += [f"-{name}: {value}" for name, value in before if (name, value) not in after]
        return tuple(changed) or (("order",) if before != after else ())


def measure(names: Iterable[str] = ()) -> list[RequestProfile]:
    """The profiles of these clients, in their order. Without names, of all that are installed here and yield records:
    a client that translates makes requests to one route only.

    Raises: UnknownName, HarnessError (a client did not make a request).
    """
    chosen = list(names) or [name for name in installed() if client(name).yields is Yields.RECORDS]
    store = RecordingStore()
    recordings = [store.get(f"{store.newest}/{name}") for name in _RECORDINGS]
    with tempfile.TemporaryDirectory(prefix="ollama-harness-") as home:
        worker = WorkerProcess(chosen, clean_environment(Path(home)), SimulatedMachine(counts_writes=True))
        try:
            if worker.problem is not None:
                raise HarnessError(worker.problem.reason)
            return [_profile(name, worker, recordings) for name in chosen if name in worker.versions]
        finally:
            worker.close()


def _profile(name: str, worker: WorkerProcess, recordings: list[Recording]) -> RequestProfile:
    sent: list[SentRequest] = []
    with FakeOllama(version=None) as server:
        for number, recording in enumerate(recordings):
            server.play(recording, speed=0.0, before_guard=True)
            job = Job(
                client=name,
                url=server.url,
                request=recording.request,
                read_timeout_s=_PATIENCE_S,
                reuses_session=number > 0,
                keeps_session=number + 1 < len(recordings),
            )
            reported = worker.exchange(job, deadline_s=_PATIENCE_S)
            if not isinstance(reported.ending, Finished) or len(server.journal.entries) != number + 1:
                raise HarnessError(f"{name} did not make its request {number + 1}: {reported.ending}")
            sizes = [size for port, size in reported.written if port == server.port]
            sent.append(_sent(server.journal.entries[number], sizes))
        first, second = (entry.connection for entry in server.journal.entries[:2])
    plain, again, stream, get = sent
    return RequestProfile(
        client=name,
        version=worker.versions[name],
        plain=plain,
        again=again,
        stream=stream,
        get=get,
        reuses=first == second,
    )


def _sent(entry: Entry, sizes: Iterable[int]) -> SentRequest:
    assert entry.head is not None
    held: list[str] = []
    begin = 0
    for size in sizes:
        in_head, in_body = begin < entry.head.size, begin + size > entry.head.size
        held.append("head and body" if in_head and in_body else "head" if in_head else "body")
        begin += size
    return SentRequest(head=entry.head, writes=tuple(held))


def _lines(head: RequestHead) -> list[tuple[str, str]]:
    return [(name, value) for name, value in head.headers if name.lower() != "content-length"]
