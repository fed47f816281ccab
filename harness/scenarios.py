"""The table of scenarios. One literal each; names, ids, docs and report rows derive from it.

A scenario says what is played (recordings and faults), what is asked of a client (requirement, at which layer) and
who says so (source). Without a source it is OBSERVE: recorded and compared, never gating.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from harness.errors import UnknownName
from harness.faults import (
    Fault,
    cut_after_record,
    cut_inside_record,
    delay_first_byte,
    drop_terminal_record,
    error_line_after_record,
    replace_with_bad_gateway,
    reset_after_record,
    slow_records,
    stall_after_record,
)
from harness.reference import Layer

__all__ = ["SCENARIOS", "Requirement", "Scenario", "Source", "scenario"]


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

    `speed` is how fast recordings are played (0: as fast as possible) and `read_timeout_s` the longest silence that
    the client is told to bear.
    """

    name: str
    summary: str
    recordings: tuple[str, ...]
    faults: tuple[Fault, ...] = ()
    requirement: Requirement = Requirement.MUST
    layer: Layer = Layer.HTTP
    source: Source | None = None
    speed: float = 0.0
    read_timeout_s: float = 10.0


_STREAMS = ("generate-stream", "chat-stream")

_STREAMING = Source(
    "https://docs.ollama.com/api/streaming",
    "Streams are newline-delimited JSON (application/x-ndjson), stream: false gives one JSON object.",
)
_ERRORS = Source(
    "https://docs.ollama.com/api/errors",
    "Errors have a status from 400 on and the message in the error property of a JSON body.",
)
_ERRORS_IN_STREAM = Source(
    "https://docs.ollama.com/api/errors",
    "An error in mid-stream is an object with an error property; the status stays what it was.",
)
_INCOMPLETE = Source(
    "https://www.rfc-editor.org/rfc/rfc9112#section-8",
    "A chunked body without its zero-sized chunk is incomplete, and a client MUST record it as incomplete.",
)
_READ_TIMEOUT = Source(
    "https://requests.readthedocs.io/en/latest/user/quickstart/#timeouts",
    "A read timeout counts the silence between bytes, and is no limit on the whole answer.",
)

_TABLE = (
    # ------------------------------------------------------------------ recordings as they are
    Scenario(
        name="stream",
        summary="a streamed answer, whole",
        recordings=_STREAMS,
        source=_STREAMING,
    ),
    Scenario(
        name="stream-variants",
        summary="cold, long, one token, raw, stopped by a sequence, with a system prompt, with a history",
        recordings=(
            "generate-cold",
            "generate-long",
            "generate-one-token",
            "generate-raw",
            "generate-stop-sequence",
            "generate-system",
            "chat-history",
        ),
        source=_STREAMING,
    ),
    Scenario(
        name="single-answer",
        summary="an answer in one piece: stream: false, load and unload",
        recordings=(
            "generate-nonstream",
            "generate-long-nonstream",
            "chat-nonstream",
            "generate-*load",
            "chat-*load",
        ),
        source=_STREAMING,
    ),
    Scenario(
        name="unicode",
        summary="many scripts, emoji, and everything that JSON escapes",
        recordings=("generate-unicode", "chat-unicode", "generate-escapes"),
        source=Source("https://www.rfc-editor.org/rfc/rfc8259#section-8.1", "JSON between systems is UTF-8."),
    ),
    Scenario(
        name="next-line",
        summary="U+0085 raw inside a string: Go does not escape it, and it ends no line",
        recordings=("generate-nel",),
        source=Source(
            "https://github.com/ndjson/ndjson-spec",
            "Records end with LF; U+0085 is legal inside a JSON string and ends nothing.",
        ),
    ),
    Scenario(
        name="tools",
        summary="tool calls, streamed and not, and a tool that is not called",
        recordings=("chat-tools-*", "!chat-tools-unsupported"),
        source=Source("https://docs.ollama.com/capabilities/tool-calling", "Tool calls are part of the message."),
    ),
    Scenario(
        name="thinking",
        summary="thinking before the answer, streamed and not",
        recordings=("chat-think-*", "!chat-think-unsupported"),
        source=Source("https://docs.ollama.com/capabilities/thinking", "Thinking has a field of its own."),
    ),
    Scenario(
        name="format",
        summary="answers in JSON, free and by schema",
        recordings=("generate-format-*", "chat-format-*"),
        source=Source("https://docs.ollama.com/capabilities/structured-outputs", "format takes json or a schema."),
    ),
    Scenario(
        name="logprobs",
        summary="log probabilities beside the text",
        recordings=("generate-logprobs", "chat-logprobs"),
        source=_STREAMING,
    ),
    Scenario(
        name="progress",
        summary="a pull, streamed and not, of a new model and of one that is there",
        recordings=("pull-stream", "pull-again", "pull-nonstream"),
        source=Source(
            "https://github.com/ollama/ollama/blob/main/docs/api.md#pull-a-model",
            "A stream of status objects; the last says success, none says done.",
        ),
    ),
    Scenario(
        name="embed",
        summary="embeddings of one text, of many, of none, and the older route",
        recordings=("embed-*", "embeddings-legacy", "!embed-unsupported", "!embed-too-long"),
        source=Source(
            "https://github.com/ollama/ollama/blob/main/docs/api.md#generate-embeddings",
            "Input is one text or a list of texts; the answer is one object, no stream.",
        ),
    ),
    Scenario(
        name="models",
        summary="what is there: tags, ps, show, version",
        recordings=("tags", "ps-*", "show", "version"),
        source=Source(
            "https://github.com/ollama/ollama/blob/main/docs/api.md#list-local-models",
            "One object with the list of models.",
        ),
    ),
    Scenario(
        name="error-status",
        summary="every request that Ollama refuses with a status",
        recordings=(
            "error-*",
            "*-unsupported",
            "show-missing",
            "embed-too-long",
            "pull-missing-nonstream",
            "generate-suffix",
            "fault-queue-full",
            "fault-runner-killed-*-nonstream",
            "!error-double-slash",  # redirects are no refusal
            "!error-trailing-slash*",
            "!error-*-context-overflow",  # answered, the prompt cut short
        ),
        source=_ERRORS,
    ),
    Scenario(
        name="error-in-stream",
        summary="errors that real servers gave in mid-stream",
        recordings=(
            "fault-runner-killed-chat",
            "fault-runner-killed-generate",
            "pull-missing",
            "pull-missing-layer",
            "pull-refused",
            "pull-insecure-forbidden",
        ),
        layer=Layer.OLLAMA,
        source=_ERRORS_IN_STREAM,
    ),
    Scenario(
        name="server-died",
        summary="streams of servers that were killed or terminated in mid-stream",
        recordings=(
            "fault-server-killed-chat",
            "fault-server-killed-generate",
            "fault-server-terminated-chat",
            "fault-server-terminated-generate",
        ),
        source=_INCOMPLETE,
    ),
    # ------------------------------------------------------------------ faults
    Scenario(
        name="bad-gateway-proxy",
        summary="502 with an empty body, as a local proxy program answers in Ollama's place",
        recordings=_STREAMS,
        faults=(replace_with_bad_gateway("proxy"),),
        source=Source(
            "https://github.com/ollama/ollama/issues/9549",
            "502 Bad Gateway to ollama and httpx on Windows, while requests works.",
        ),
    ),
    Scenario(
        name="bad-gateway-nginx",
        summary="502 with nginx's HTML page",
        recordings=_STREAMS,
        faults=(replace_with_bad_gateway("nginx"),),
        source=Source(
            "https://github.com/Mintplex-Labs/anything-llm/issues/1722",
            "A gateway's HTML page where JSON was promised, in front of an Ollama that did not answer.",
        ),
    ),
    Scenario(
        name="cut-after-record",
        summary="FIN between two records, without the last chunk",
        recordings=_STREAMS,
        faults=(cut_after_record(3),),
        source=_INCOMPLETE,
    ),
    Scenario(
        name="cut-inside-record",
        summary="FIN in the middle of a record: the chunk announces more than it brings",
        recordings=_STREAMS,
        faults=(cut_inside_record(3),),
        source=_INCOMPLETE,
    ),
    Scenario(
        name="reset-after-record",
        summary="RST between two records",
        recordings=_STREAMS,
        faults=(reset_after_record(3),),
        source=_INCOMPLETE,
    ),
    Scenario(
        name="no-terminal-record",
        summary="a clean end of HTTP's message, but nothing says done",
        recordings=(*_STREAMS, "pull-stream"),
        faults=(drop_terminal_record(),),
        requirement=Requirement.SHOULD,
        layer=Layer.OLLAMA,
        source=Source(
            "https://github.com/ollama/ollama-js/blob/main/src/utils.ts",
            "Ollama's JavaScript client throws: Did not receive done or success response in stream.",
        ),
    ),
    Scenario(
        name="error-line",
        summary="an error line after some records, as when the runner dies",
        recordings=_STREAMS,
        faults=(error_line_after_record(3),),
        layer=Layer.OLLAMA,
        source=_ERRORS_IN_STREAM,
    ),
    Scenario(
        name="slow-first-byte",
        summary="nothing at all for a while, as when a model loads, but less than the read timeout",
        recordings=_STREAMS,
        faults=(delay_first_byte(0.3),),
        source=Source(
            "https://github.com/ollama/ollama/issues/14633",
            "While a model loads the server says nothing; only the client's own timeout ends that.",
        ),
    ),
    Scenario(
        name="slow-records",
        summary="a pause before every record, each shorter than the read timeout, together longer",
        recordings=("generate-cold", "chat-logprobs"),
        faults=(slow_records(0.15),),
        read_timeout_s=1.2,  # ten gaps together are longer
        source=_READ_TIMEOUT,
    ),
    Scenario(
        name="stall-after-record",
        summary="silence for ever after some records",
        recordings=_STREAMS,
        faults=(stall_after_record(3),),
        read_timeout_s=1.0,
        source=Source(
            "https://github.com/ollama/ollama/issues/10119",
            "Ollama stops in the middle of an answer and the client waits for ever.",
        ),
    ),
)

#: All scenarios by name, in the order of the table.
SCENARIOS: dict[str, Scenario] = {one.name: one for one in _TABLE}


def scenario(name: str) -> Scenario:
    """One scenario.

    Raises: UnknownName.
    """
    if name not in SCENARIOS:
        raise UnknownName("scenario", name, SCENARIOS)
    return SCENARIOS[name]
