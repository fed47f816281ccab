"""Scenarios: what only streams of events have."""

from __future__ import annotations

from typing import Any

from ollama_harness.faults import (
    Fault,
    drop_blank_after_colon,
    drop_blank_line,
    drop_end,
    drop_event_name,
    duplicate_end,
    insert_heartbeat,
    insert_line,
    rechunk,
    send_end_after_record,
    separate_lines_with,
    split_data,
)
from ollama_harness.matrix.scenarios.scenario import (
    SHORT_V1,
    STREAMING_V1,
    Layer,
    Requirement,
    Scenario,
    Source,
)

_WHATWG = "https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation"
_ANTHROPIC = "https://docs.anthropic.com/en/docs/build-with-claude/streaming"

#: The streams whose events have names, and those of one dialect.
_NAMED = ("v1-messages-france-stream", "v1-responses-france-stream")
_MESSAGES = ("v1-messages-france-stream",)


def _events(name: str, summary: str, *faults: Fault, source: Source, **more: Any) -> Scenario:
    """A scenario of the layer above HTTP, because HTTP knows no events."""
    given = {"recordings": SHORT_V1, **more}
    return Scenario(
        name=f"events-{name}", summary=summary, faults=faults, source=source, events=True, layer=Layer.OLLAMA, **given
    )


TITLE = "Events: what only the streams over /v1 have, such as comments, names, blank lines, and an end of their own."

SCENARIOS = [
    # ------------------------------------------------------------------ lines
    _events(
        "comment-inside",
        "a comment among the lines of an event, without a blank line",
        insert_line(5, ": keep-alive"),
        source=Source(
            "https://github.com/diegosouzapw/OmniRoute/issues/7031",
            "Comments directly before data: [DONE] broke clients that read every line as JSON.",
        ),
    ),
    _events(
        "id-and-comment",
        "an event with an id, and then a comment with its blank line: that is no second event",
        insert_line(5, "id: 7"),
        insert_heartbeat(6),
        source=Source(
            "https://github.com/theopenco/llmgateway/pull/2334",
            "Once there was an id, openai-python made an empty event of each comment, and raised JSONDecodeError.",
        ),
    ),
    _events(
        "unknown-field",
        "retry and a field that the standard does not know: both say nothing about the answer",
        insert_line(0, "retry: 3000\nx-field: 1\n"),
        source=Source(_WHATWG, "Fields with other names are ignored, and retry only sets a time."),
    ),
    _events(
        "no-blank-after-colon",
        "no blank after the colons: data:{…}",
        drop_blank_after_colon(),
        source=Source(
            "https://github.com/openai/openai-python/issues/498",
            "The parser expected a blank after data:, which the standard leaves to the sender.",
        ),
    ),
    _events(
        "data-on-two-lines",
        "the data of an event on two lines, which LF joins",
        split_data(6),
        source=Source(
            "https://github.com/SamSaffron/term-llm/pull/454",
            "Backends send JSON on several data lines, and a client decoded each alone.",
        ),
    ),
    _events(
        "crlf-in-two-chunks",
        "lines that end with CRLF, of which CR is in one chunk and LF in the next",
        separate_lines_with(b"\r\n"),
        rechunk(1),
        recordings=_MESSAGES,
        source=Source(
            "https://github.com/kubernetes-sigs/inference-perf/pull/781",
            "CRLF lost every event, and so does a pair of CR and LF that two reads tear apart.",
        ),
    ),
    _events(
        "blank-line-lost",
        "no blank line between two events: they are one, whose data is no JSON",
        drop_blank_line(6),
        requirement=Requirement.SHOULD,
        source=Source(
            "https://github.com/rexxars/eventsource-parser/pull/31",
            "Providers send data lines without the blank line between them, and the data of both is joined.",
        ),
    ),
    _events(
        "empty-data",
        "an event whose data is empty, as a heartbeat",
        insert_line(6, "data:\n"),
        requirement=Requirement.OBSERVE,
        source=Source(
            "https://github.com/anthropics/anthropic-sdk-typescript/pull/903",
            "An event without data ended the stream: Unexpected end of JSON input.",
        ),
    ),
    # ------------------------------------------------------------------ names
    _events(
        "name-lost",
        "an event without the line that names it: its type is in its data as well",
        drop_event_name(6),
        requirement=Requirement.OBSERVE,
        recordings=_NAMED,
        source=Source(
            "https://github.com/earendil-works/pi/issues/1983",
            "Anthropic's client drops events without a name, silently, although their data has the type.",
        ),
    ),
    _events(
        "ping",
        "a ping between two events",
        insert_line(6, 'event: ping\ndata: {"type": "ping"}\n'),
        recordings=_MESSAGES,
        source=Source(f"{_ANTHROPIC}#ping-events", "Event streams may also include any number of ping events."),
    ),
    _events(
        "unknown-type",
        "an event of a type that no version has sent yet",
        insert_line(6, 'event: future\ndata: {"type": "future"}\n'),
        recordings=_MESSAGES,
        source=Source(
            f"{_ANTHROPIC}#other-events",
            "New event types may be added, and code should handle unknown ones gracefully.",
        ),
    ),
    # ------------------------------------------------------------------ ends
    _events(
        "end-early",
        "the end of the stream, [DONE] and its like, and then more events",
        send_end_after_record(6),
        requirement=Requirement.OBSERVE,
        source=STREAMING_V1,
    ),
    _events(
        "end-twice",
        "the end of the stream twice",
        duplicate_end(),
        requirement=Requirement.SHOULD,
        source=Source(
            "https://github.com/ray-project/ray/pull/62246",
            "A server sent data: [DONE] twice at the end of each stream.",
        ),
    ),
    _events(
        "end-never",
        "the finish reason, and no end of the stream: of a response that is its end as well, so it is not whole",
        drop_end(),
        requirement=Requirement.SHOULD,
        in_each=True,
        source=Source(
            "https://github.com/lidge-jun/opencodex/issues/1170",
            "A finish_reason should remain a valid terminal signal even when [DONE] is omitted.",
        ),
    ),
]
