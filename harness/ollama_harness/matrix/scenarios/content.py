"""Scenarios: the content."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ollama_harness.faults import (
    add_field,
    begin_with,
    drop_last_line_feed,
    drop_record,
    duplicate_record,
    error_event_after_record,
    error_line_after_record,
    insert_line,
    lengthen_record,
    nest_record,
    put_into_text,
    separate_lines_with,
    set_field,
    swap_records,
)
from ollama_harness.matrix.scenarios.scenario import (
    ERRORS_IN_STREAM,
    EVENT_STREAM,
    JSON_TEXT,
    NDJSON,
    SHORT,
    STREAMING,
    STREAMS,
    Layer,
    Requirement,
    Scenario,
    Source,
)

_STRINGS = Source(
    "https://www.rfc-editor.org/rfc/rfc8259#section-7",
    "All characters may be unescaped in a string, except the quotation mark, the backslash and controls to U+001F.",
)
_AS_IT_IS = Source(
    "https://www.rfc-editor.org/rfc/rfc8259#section-8.3",
    "Strings are equal if, without escapes, they are the same code unit by code unit.",
)
_LAST = Source(
    "https://github.com/ollama/ollama/blob/main/docs/api.md",
    "The final response object includes statistics: nothing comes after it.",
)
_FIELDS = Source(
    "https://www.rfc-editor.org/rfc/rfc8259#section-4",
    "Names within an object SHOULD be unique; otherwise the behaviour of software is unpredictable.",
)


#: The stream over /v1 whose records have all fields at the top.
_CHUNKS = ("v1-chat-france-stream",)

#: Why errors that differ in their value only have no twins.
_ONE_FORM = "an error event has the form of its API: error-line plays it"


def _in_band(
    name: str, summary: str, error: Any, *, over_v1: str | Mapping[str, Any] = MappingProxyType({}), **more: Any
) -> Scenario:
    return Scenario(
        name=f"error-line{name}",
        summary=summary,
        recordings=STREAMS if not name else SHORT,
        faults=(error_line_after_record(3, error, **more),),
        layer=Layer.OLLAMA,
        source=ERRORS_IN_STREAM,
        over_v1=over_v1,
    )


def _raw(name: str, summary: str, data: bytes, requirement: Requirement = Requirement.MUST) -> Scenario:
    """Unescaped bytes inside a string."""
    return Scenario(
        name=f"raw-{name}",
        summary=f"{summary} inside a string, unescaped",
        recordings=SHORT,
        faults=(put_into_text(3, data),),
        requirement=requirement,
        source=_STRINGS,
    )


def _text(name: str, summary: str, text: bytes) -> Scenario:
    """Text that a client may want to tidy up."""
    return Scenario(
        name=f"text-{name}",
        summary=f"{summary}: the user gets it unchanged",
        recordings=SHORT,
        faults=(put_into_text(3, text),),
        source=_AS_IT_IS,
    )


def _line(name: str, summary: str, line: str, after: int, layer: Layer, source: Source, **more: Any) -> Scenario:
    return Scenario(
        name=name,
        summary=summary,
        recordings=SHORT,
        faults=(insert_line(after, line),),
        layer=layer,
        source=source,
        **more,
    )


TITLE = "The content: complete HTTP, but its lines are not what Ollama promises, or are at the limits of JSON."

SCENARIOS = [
    # ------------------------------------------------------------------ error lines
    _in_band("", "an error line after some records, as when the runner dies", "unexpected EOF"),
    _in_band(
        "-object",
        "an error line whose error is an object",
        {"message": "unexpected EOF", "code": 500},
        over_v1=_ONE_FORM,
    ),
    _in_band("-number", "an error line whose error is a number", 500, over_v1=_ONE_FORM),
    _in_band("-empty", "an error line whose error is an empty string", "", over_v1=_ONE_FORM),
    _in_band(
        "-without-line-feed",
        "an error line without its line feed",
        "unexpected EOF",
        line_feed=False,
        over_v1={
            "summary": "an error event without its blank line",
            "faults": (error_event_after_record(6, "unexpected EOF"), drop_last_line_feed()),
            "requirement": Requirement.OBSERVE,
        },
    ),
    _in_band("-goes-on", "an error line, and the stream continues as if nothing had happened", "EOF", goes_on=True),
    Scenario(
        name="error-line-after-done",
        summary="an error line after the terminal record",
        recordings=SHORT,
        faults=(error_line_after_record(-1, "unexpected EOF"),),
        requirement=Requirement.OBSERVE,
        layer=Layer.OLLAMA,
        source=ERRORS_IN_STREAM,
    ),
    # ------------------------------------------------------------------ records
    _line(
        "record-after-done",
        "a record after the terminal record",
        '{"model":"m","response":"more","done":false}',
        -1,
        Layer.OLLAMA,
        _LAST,
        requirement=Requirement.OBSERVE,
        over_v1="events-end-early plays it",
    ),
    Scenario(
        name="two-terminal-records",
        summary="the terminal record twice",
        recordings=SHORT,
        faults=(duplicate_record(-1),),
        requirement=Requirement.OBSERVE,
        layer=Layer.OLLAMA,
        source=_LAST,
    ),
    Scenario(
        name="record-twice",
        summary="a record twice: records have no numbers, so both are yielded",
        recordings=SHORT,
        faults=(duplicate_record(3),),
        source=STREAMING,
    ),
    Scenario(
        name="record-dropped",
        summary="a record left out: records have no numbers, so the rest is yielded",
        recordings=SHORT,
        faults=(drop_record(3),),
        source=STREAMING,
    ),
    Scenario(
        name="records-swapped",
        summary="two records in the wrong order: they are yielded in that order",
        recordings=SHORT,
        faults=(swap_records(3),),
        source=STREAMING,
    ),
    _line(
        "null-line",
        "null where an object should be",
        "null",
        3,
        Layer.OLLAMA,
        STREAMING,
        requirement=Requirement.SHOULD,
    ),
    _line(
        "list-line",
        "a list where an object should be",
        "[1]",
        3,
        Layer.OLLAMA,
        STREAMING,
        requirement=Requirement.SHOULD,
    ),
    _line(
        "string-line",
        "a string where an object should be",
        '"a bare string"',
        3,
        Layer.OLLAMA,
        STREAMING,
        requirement=Requirement.SHOULD,
    ),
    _line(
        "html-line",
        "HTML after some records, as a gateway appends its page",
        "<html><body><h1>504 Gateway Time-out</h1></body></html>",
        3,
        Layer.HTTP,
        Source(
            "https://github.com/BerriAI/litellm/pull/22085",
            "Every line of a gateway's HTML page silently failed to parse, and the caller got an empty answer.",
        ),
        requirement=Requirement.SHOULD,
        over_v1={
            "summary": "a line of HTML between two events: a field that the standard does not know, and so ignores",
            "source": EVENT_STREAM,
        },
    ),
    # ------------------------------------------------------------------ lines
    _line("blank-line", "a blank line between two records", "", 3, Layer.HTTP, NDJSON, requirement=Requirement.OBSERVE),
    Scenario(
        name="crlf",
        summary="lines that end with CRLF",
        recordings=SHORT,
        faults=(separate_lines_with(b"\r\n"),),
        source=NDJSON,
        over_v1={"layer": Layer.OLLAMA},
    ),
    Scenario(
        name="bare-cr",
        summary="lines that end with CR only: that is one line, and it is not JSON",
        recordings=SHORT,
        faults=(separate_lines_with(b"\r"),),
        requirement=Requirement.OBSERVE,
        source=NDJSON,
        over_v1={
            "summary": "lines that end with CR only, as the standard allows",
            "layer": Layer.OLLAMA,
            "requirement": Requirement.MUST,
        },
    ),
    Scenario(
        name="no-last-line-feed",
        summary="no line feed at the end",
        recordings=SHORT,
        faults=(drop_last_line_feed(),),
        requirement=Requirement.SHOULD,
        source=Source(
            "https://github.com/coleam00/Archon/pull/1158",
            "The rest at the end is never parsed: a last line without line feed is lost.",
        ),
    ),
    Scenario(
        name="byte-order-mark",
        summary="a byte order mark before the first record",
        recordings=SHORT,
        faults=(begin_with(b"\xef\xbb\xbf"),),
        source=Source(
            "https://www.rfc-editor.org/rfc/rfc8259#section-8.1",
            "A sender MUST NOT add a byte order mark; a parser MAY ignore it.",
        ),
        over_v1={"layer": Layer.OLLAMA, "source": EVENT_STREAM},
    ),
    # ------------------------------------------------------------------ characters
    _raw("u0085", "U+0085 (NEXT LINE)", "\u0085".encode()),
    _raw("u2028", "U+2028 (LINE SEPARATOR)", "\u2028".encode()),
    _raw("u2029", "U+2029 (PARAGRAPH SEPARATOR)", "\u2029".encode()),
    _raw("vt", "VT, which must be escaped,", b"\x0b", Requirement.SHOULD),
    _raw("ff", "FF, which must be escaped,", b"\x0c", Requirement.SHOULD),
    _raw("fs", "FS, which must be escaped,", b"\x1c", Requirement.SHOULD),
    _raw("nul", "NUL, which must be escaped,", b"\x00", Requirement.SHOULD),
    _raw("invalid-utf-8", "bytes that are not UTF-8", b"\xff\xc3\x28"),
    _text("decomposed", "a letter and its accent, which NFC would make one character", "e\u0301".encode()),
    _text("crlf", "CRLF, escaped", rb"a\r\nb\r\n"),
    _text("entities", "HTML entities for < and &", b"&lt;b&gt; &amp;amp; &#39;"),
    _text("u-feff", "U+FEFF (ZERO WIDTH NO-BREAK SPACE, or byte order mark)", "\ufeff".encode()),
    _text("nul", "NUL, escaped", rb"a\u0000b"),
    Scenario(
        name="lone-surrogate",
        summary="half a surrogate pair, escaped: the user gets it or an error, and no replacement",
        recordings=SHORT,
        faults=(put_into_text(3, rb"\ud83d"),),
        requirement=Requirement.SHOULD,
        source=Source(
            "https://www.rfc-editor.org/rfc/rfc8259#section-8.2",
            "An escaped lone surrogate is within the grammar; software may return different values, or fail.",
        ),
    ),
    # ------------------------------------------------------------------ sizes
    Scenario(
        name="line-of-200-kib",
        summary="a record of 200 KiB",
        recordings=SHORT,
        faults=(lengthen_record(3, 200 * 1024),),
        source=Source(
            "https://github.com/ndjson/ndjson-spec",
            "A line is one JSON text; nothing limits its length.",
        ),
    ),
    Scenario(
        name="line-of-600-kb",
        summary="a record of 600 kB, more than the 512 kB that Ollama's own client in Go once allowed",
        recordings=SHORT,
        faults=(lengthen_record(3, 600_000),),
        source=Source(
            "https://github.com/ollama/ollama/pull/11851",
            "A scanner with a buffer of 512 kB silently dropped larger answers.",
        ),
    ),
    Scenario(
        name="line-of-1-mib",
        summary="a record of 1 MiB",
        recordings=SHORT,
        faults=(lengthen_record(3, 1024 * 1024),),
        requirement=Requirement.SHOULD,
        source=Source(
            "https://github.com/ollama/ollama/issues/16243",
            "A stream failed with bufio.Scanner: token too long.",
        ),
    ),
    Scenario(
        name="deep-nesting",
        summary="a field of arrays in arrays, 200 deep",
        recordings=SHORT,
        faults=(nest_record(3, 200),),
        requirement=Requirement.SHOULD,
        source=Source(
            "https://www.rfc-editor.org/rfc/rfc8259#section-9",
            "A parser may set limits on the depth of nesting; 200 is far below usual limits.",
        ),
    ),
    Scenario(
        name="huge-number",
        summary="an integer of 30 digits in a field that counts nanoseconds",
        recordings=SHORT,
        faults=(set_field(-1, "total_duration", "9" * 30),),
        requirement=Requirement.OBSERVE,
        source=Source(
            "https://www.rfc-editor.org/rfc/rfc8259#section-6",
            "Software may set limits on the range and precision of numbers.",
        ),
        over_v1={"recordings": _CHUNKS, "faults": (set_field(6, "created", "9" * 30),)},
    ),
    # ------------------------------------------------------------------ fields
    Scenario(
        name="unknown-field",
        summary="a field that no version has sent yet",
        recordings=STREAMS,
        faults=(add_field(3, "confidence", "0.5"),),
        requirement=Requirement.SHOULD,
        source=Source(
            "https://github.com/ollama/ollama/blob/main/docs/api.md",
            "New versions add fields, such as thinking and logprobs.",
        ),
    ),
    Scenario(
        name="wrong-type",
        summary="a string where a number should be",
        recordings=SHORT,
        faults=(set_field(-1, "total_duration", '"long"'),),
        requirement=Requirement.OBSERVE,
        source=JSON_TEXT,
        over_v1={"recordings": _CHUNKS, "faults": (set_field(6, "created", '"long"'),)},
    ),
    Scenario(
        name="done-as-string",
        summary='done: "true"',
        recordings=SHORT,
        faults=(set_field(-1, "done", '"true"'),),
        requirement=Requirement.OBSERVE,
        layer=Layer.OLLAMA,
        source=JSON_TEXT,
        over_v1="no event says done",
    ),
    Scenario(
        name="duplicate-key",
        summary="a field twice, with two values",
        recordings=SHORT,
        faults=(add_field(3, "model", '"another"'),),
        requirement=Requirement.OBSERVE,
        source=_FIELDS,
        over_v1={"recordings": _CHUNKS, "faults": (add_field(6, "model", '"another"'),)},
    ),
]
