"""Scenarios, and the sources that many of them cite.

A scenario is what is played (recordings and faults), what a client must do (a requirement at a layer), and the document
that says so (source). Without a source it is OBSERVE: it is recorded and compared, and never gates.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ollama_harness.faults import Fault
from ollama_harness.network.environments import Environment
from ollama_harness.oracle.reference import Layer

__all__ = [
    "CHUNKED",
    "ERRORS",
    "ERRORS_IN_STREAM",
    "INCOMPLETE",
    "JSON_TEXT",
    "NDJSON",
    "READ_TIMEOUT",
    "SHORT",
    "STREAMING",
    "STREAMS",
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

    @property
    def is_for_any_stream(self) -> bool:
        """Whether its recordings are only examples, so that any stream can be played in it."""
        return self.recordings in (STREAMS, SHORT)


#: The two streams that every program uses, and a short one for faults that do not depend on the path.
STREAMS = ("generate-stream", "chat-stream")
SHORT = ("generate-cold",)

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
READ_TIMEOUT = Source(
    "https://requests.readthedocs.io/en/latest/user/quickstart/#timeouts",
    "A read timeout limits the silence between bytes, and not the whole answer.",
)
