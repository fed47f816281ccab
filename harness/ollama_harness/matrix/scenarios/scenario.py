"""Scenarios, and the sources that many of them cite.

A scenario is what is played (recordings and faults), what a client must do (a requirement at a layer), and the document
that says so (source). Without a source it is OBSERVE: it is recorded and compared, and never gates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from ollama_harness.faults import Fault
from ollama_harness.network.environments import Environment
from ollama_harness.oracle.reference import Layer
from ollama_harness.recordings.recording import Recording
from ollama_harness.recordings.store import RecordingStore

__all__ = [
    "CHUNKED",
    "ERRORS",
    "ERRORS_IN_STREAM",
    "ERROR_EVENTS",
    "EVENT_STREAM",
    "INCOMPLETE",
    "JSON_TEXT",
    "NDJSON",
    "NO_TERMINAL_RECORD",
    "ONE_OF_EACH",
    "READ_TIMEOUT",
    "SHORT",
    "SHORT_V1",
    "STREAMING",
    "STREAMING_V1",
    "STREAMS",
    "STREAMS_V1",
    "UNPARSEABLE",
    "Layer",
    "Requirement",
    "Scenario",
    "Source",
]


class Requirement(StrEnum):
    """How binding a scenario is: the words of RFC 2119, and OBSERVE for what no document requires."""

    MUST = "MUST"
    SHOULD = "SHOULD"
    OBSERVE = "OBSERVE"


@dataclass(frozen=True, slots=True)
class Source:
    """A document, or a report of a case, and what it says."""

    url: str
    says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What is played and what is required. `recordings` are patterns in turn: `chat-*` adds, `!chat-load` removes.

    `then` holds the faults of further exchanges in the same session. After `stop_after` records of the first exchange
    the user stops reading. After `meanwhile_after` records the second exchange is made, and then the first continues.
    In each exchange the client may be idle for at most `most_idle_s` seconds before its request, and after the answer.
    `subject` names the fields that the scenario is about, such as `logprobs.token` (lists are passed through). A client
    whose types know fewer fields than Ollama sends may leave out other fields, but not these. In an `environment` the
    client's process starts with those settings. Without `by_default` the scenario runs only if it is named. `speed` is
    how fast recordings are played (0: as fast as possible), and `read_timeout_s` is the read timeout that the client
    gets.

    With `events` it plays streams of events over /v1, and of its recordings only those: a version without a route
    answers 404 there. A scenario that plays a native stream has a twin, which is `twin_of` that. `over_v1` is why it
    has none, or the fields of its twin that cannot be derived. With `in_each` even recordings that are alike matter.
    """

    name: str
    summary: str
    recordings: tuple[str, ...]
    faults: tuple[Fault, ...] = ()
    then: tuple[tuple[Fault, ...], ...] = ()
    stop_after: int | None = None
    meanwhile_after: int | None = None
    most_idle_s: float | None = None
    subject: tuple[str, ...] = ()
    requirement: Requirement = Requirement.MUST
    layer: Layer = Layer.HTTP
    source: Source | None = None
    speed: float = 0.0
    read_timeout_s: float = 10.0
    environment: Environment | None = None
    by_default: bool = True
    events: bool = False
    twin_of: str = ""
    in_each: bool = False
    over_v1: str | Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_for_any_stream(self) -> bool:
        """Whether its recordings are only examples, so that any stream of its kind can be played in it."""
        return self.recordings in (STREAMS, SHORT, STREAMS_V1, SHORT_V1, ONE_OF_EACH)

    @property
    def one_is_enough(self) -> bool:
        """Whether its recordings differ only in what does not matter here: a client needs to see only the first of them
        that it has a call for.
        """
        return not self.in_each and self.recordings in (SHORT, STREAMS_V1, SHORT_V1, ONE_OF_EACH)

    def plays(self, recording: Recording) -> bool:
        """Whether a recording is a stream of its kind."""
        kind = "text/event-stream" if self.events else "application/x-ndjson"
        return recording.response.status == 200 and recording.response.media_type == kind

    def names_in(self, store: RecordingStore, version: str) -> list[str]:
        """The names of its recordings of a version; if one is enough, the first is the one to prefer."""
        names = store.names(version, self.recordings)
        if self.one_is_enough:
            names.sort(key=self.recordings.index)
        return [one for one in names if self.plays(store.get(f"{version}/{one}"))] if self.events else names


#: The two streams that every program uses, and a short one for faults that do not depend on the path. What has no call
#: for the first path gets the second.
STREAMS = ("generate-stream", "chat-stream")
SHORT = ("generate-cold", "chat-france")

#: The same over /v1, in its three dialects.
STREAMS_V1 = ("v1-chat-stream", "v1-messages-stream", "v1-responses-stream")
SHORT_V1 = ("v1-chat-france-stream", "v1-messages-france-stream", "v1-responses-france-stream")

#: One short stream for each call that some client has.
ONE_OF_EACH = (*SHORT, *SHORT_V1)

STREAMING = Source(
    "https://docs.ollama.com/api/streaming",
    "Streams are newline-delimited JSON (application/x-ndjson); stream: false gives one JSON object.",
)
ERRORS = Source(
    "https://docs.ollama.com/api/errors",
    "Errors have a status from 400 on and the message in the error property of a JSON body.",
)
ERRORS_IN_STREAM = Source(
    "https://docs.ollama.com/api/errors",
    "An error in mid-stream is an object with an error property; the status stays what it was.",
)
INCOMPLETE = Source(
    "https://www.rfc-editor.org/rfc/rfc9112#section-8",
    "A chunked body without its zero-sized chunk is incomplete, and a client MUST record it as incomplete.",
)
CHUNKED = Source(
    "https://www.rfc-editor.org/rfc/rfc9112#section-7.1",
    "A chunk is its size in hex, extensions that a recipient MUST ignore if unknown, CRLF, the data, CRLF.",
)
NDJSON = Source(
    "https://github.com/ndjson/ndjson-spec",
    "Each line is one JSON text, ended by LF; a parser MUST accept CRLF too, and SHOULD raise for other text.",
)
JSON_TEXT = Source(
    "https://www.rfc-editor.org/rfc/rfc8259",
    "The grammar of JSON: strings are UTF-8, control characters are escaped, nothing follows the value.",
)
UNPARSEABLE = Source(
    "https://github.com/ndjson/ndjson-spec",
    "If the JSON text is not parseable, the parser SHOULD raise an error.",
)
NO_TERMINAL_RECORD = Source(
    "https://github.com/ollama/ollama-js/blob/main/src/utils.ts",
    "Ollama's JavaScript client throws: Did not receive done or success response in stream.",
)
EVENT_STREAM = Source(
    "https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation",
    "Lines end with CRLF, LF or CR, a blank line ends an event, and what no blank line ends is discarded.",
)
STREAMING_V1 = Source(
    "https://platform.openai.com/docs/api-reference/chat/create#chat-create-stream",
    "Tokens are sent as data-only server-sent events, and data: [DONE] terminates the stream.",
)
ERROR_EVENTS = Source(
    "https://docs.anthropic.com/en/docs/build-with-claude/streaming#error-events",
    "Errors may come in the event stream, as an event of their own, when the status has been sent.",
)
READ_TIMEOUT = Source(
    "https://requests.readthedocs.io/en/latest/user/quickstart/#timeouts",
    "A read timeout limits the silence between bytes, and not the whole answer.",
)
