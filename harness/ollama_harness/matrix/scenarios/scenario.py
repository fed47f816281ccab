"""What a scenario is, and the sources that many of them cite.

A scenario says what is played (recordings and faults), what is asked of a client (requirement, at which layer) and
who says so (source). Without a source it is OBSERVE: recorded and compared, never gating.
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
    """How binding a scenario is (RFC 2119's words, and one for what nobody has written down)."""

    MUST = "MUST"
    SHOULD = "SHOULD"
    OBSERVE = "OBSERVE"


@dataclass(frozen=True, slots=True)
class Source:
    """Where it is written, or seen, and what that establishes."""

    url: str
    says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What is played and what is asked. `recordings` are patterns in turn: `chat-*` adds, `!chat-load` takes away.

    `then` holds the faults of further exchanges that the same session makes. After `stop_after` records of the first
    the client's user takes no more; after `meanwhile_after` the second is made, whole, before the first goes on.
    In each exchange the client may let at most `most_idle_s` seconds pass before its request, and after the answer.
    `subject` names the fields that the scenario is about: `logprobs.token`, through any list. A client whose types know
    fewer fields than Ollama sends may leave out others, not these.
    In an `environment` the client's process is born into those settings; unless `by_default` it is run when asked for.
    `speed` is how fast recordings are played (0: as fast as possible) and `read_timeout_s` the longest silence that the
    client is told to bear.
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


#: The two streams that every program uses, and a short one for what does not depend on the route.
STREAMS = ("generate-stream", "chat-stream")
SHORT = ("generate-cold",)

STREAMING = Source(
    "https://docs.ollama.com/api/streaming",
    "Streams are newline-delimited JSON (application/x-ndjson), stream: false gives one JSON object.",
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
    "Each line is one JSON text, ended by LF; a parser MUST accept CRLF too, and SHOULD raise for what is no JSON.",
)
JSON_TEXT = Source(
    "https://www.rfc-editor.org/rfc/rfc8259",
    "The grammar of JSON: strings are UTF-8, control characters are escaped, nothing follows the value.",
)
READ_TIMEOUT = Source(
    "https://requests.readthedocs.io/en/latest/user/quickstart/#timeouts",
    "A read timeout counts the silence between bytes, and is no limit on the whole answer.",
)
