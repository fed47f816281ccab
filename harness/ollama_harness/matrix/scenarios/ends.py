"""Scenarios: the end of the body."""

from __future__ import annotations

from dataclasses import replace

from ollama_harness.faults import (
    Place,
    add_trailers,
    after_chunk_data,
    after_chunk_size,
    after_head,
    after_record,
    before_last_chunk,
    before_line_feed,
    close_after_answer,
    close_at,
    count_body,
    delimit_by_close,
    drop_all_records,
    drop_terminal_record,
    end_after_record,
    end_inside_record,
    half_close_at,
    inside_character,
    inside_last_chunk,
    inside_number,
    inside_record,
    inside_text,
    lock_step,
    replace_with,
    reset_at,
    stall_at,
)
from ollama_harness.matrix.scenarios.scenario import (
    INCOMPLETE,
    NO_TERMINAL_RECORD,
    SHORT,
    STREAMS,
    UNPARSEABLE,
    Layer,
    Requirement,
    Scenario,
    Source,
)

_LAST_CHUNK = Source(
    "https://www.rfc-editor.org/rfc/rfc9112#section-7.1",
    "A chunked body ends with the last chunk, the trailer section and a CRLF, after all the content.",
)
_LENGTH = Source(
    "https://www.rfc-editor.org/rfc/rfc9112#section-8",
    "A body shorter than its Content-Length is incomplete, and a client MUST record it as incomplete.",
)
_DELIMITED = Source(
    "https://www.rfc-editor.org/rfc/rfc9112#section-8",
    "Without length or chunks the close of the connection ends the body: for HTTP, a cut body is complete.",
)


def _cut_and_reset(name: str, where: str, place: Place, recordings: tuple[str, ...] = SHORT) -> tuple[Scenario, ...]:
    """The connection ends at a place, once with a FIN and once with an RST."""
    return tuple(
        Scenario(
            name=f"{what}-{name}",
            summary=f"{segment} {where}",
            recordings=recordings,
            faults=(fault(place),),
            source=INCOMPLETE,
        )
        for what, segment, fault in (("cut", "FIN", close_at), ("reset", "RST", reset_at))
    )


TITLE = "The end of the body: it comes too early, at every possible place, or without what belongs there."

SCENARIOS = [
    *_cut_and_reset("after-head", "after the head, before the first record", after_head()),
    *_cut_and_reset("after-record", "between two records", after_record(3), STREAMS),
    *_cut_and_reset("inside-record", "in the middle of a record", inside_record(3), STREAMS),
    *_cut_and_reset("inside-text", "in the middle of a string", inside_text(3)),
    *_cut_and_reset("inside-number", "in the middle of a number", inside_number(-1)),
    *_cut_and_reset(
        "inside-character", "inside a character of several bytes", inside_character(), ("generate-unicode",)
    ),
    *_cut_and_reset("before-line-feed", "after a record, before its line feed", before_line_feed(3)),
    *_cut_and_reset("after-chunk-size", "between the size of a chunk and its data", after_chunk_size(3)),
    *_cut_and_reset("after-chunk-data", "between the data of a chunk and its CRLF", after_chunk_data(3)),
    *_cut_and_reset("before-last-chunk", "after the terminal record, before the last chunk", before_last_chunk()),
    *(
        replace(one, requirement=Requirement.SHOULD, source=_LAST_CHUNK)
        for one in _cut_and_reset("inside-last-chunk", "inside the last chunk", inside_last_chunk())
    ),
    Scenario(
        name="cut-inside-trailers",
        summary="FIN inside the trailer section",
        recordings=SHORT,
        faults=(add_trailers(), close_at(inside_last_chunk())),
        requirement=Requirement.SHOULD,
        source=_LAST_CHUNK,
    ),
    Scenario(
        name="reset-after-many-records",
        summary="RST after twelve records, all of which the user has",
        recordings=STREAMS,
        faults=(reset_at(after_record(12)), lock_step()),
        source=Source(
            "https://github.com/BerriAI/litellm/issues/33404",
            "A reset in the middle of a stream became finish_reason stop and [DONE], as if the answer were whole.",
        ),
    ),
    # A client that has got many records has more reason to take what happens next for the end of them.
    Scenario(
        name="cut-after-many-records",
        summary="FIN after twelve records, each of which the user has got",
        recordings=STREAMS,
        faults=(close_at(after_record(12)), lock_step()),
        source=INCOMPLETE,
    ),
    Scenario(
        name="stall-after-many-records",
        summary="silence for ever after twelve records, each of which the user has got",
        recordings=STREAMS,
        faults=(stall_at(after_record(12)), lock_step()),
        read_timeout_s=1.0,
        source=Source(
            "https://github.com/ollama/ollama/issues/10119",
            "Ollama stops in the middle of an answer and the client waits for ever.",
        ),
    ),
    Scenario(
        name="half-close-after-record",
        summary="the server closes its side between two records, and keeps reading",
        recordings=SHORT,
        faults=(half_close_at(after_record(3)),),
        source=INCOMPLETE,
    ),
    # ------------------------------------------------------------------ complete for HTTP, but not for Ollama
    Scenario(
        name="no-terminal-record",
        summary="a clean end of the HTTP message, but no record with done",
        recordings=(*STREAMS, "pull-stream"),
        faults=(drop_terminal_record(),),
        requirement=Requirement.SHOULD,
        layer=Layer.OLLAMA,
        source=NO_TERMINAL_RECORD,
    ),
    Scenario(
        name="ends-after-record",
        summary="a clean end of the HTTP message after three records",
        recordings=STREAMS,
        faults=(end_after_record(3),),
        requirement=Requirement.SHOULD,
        layer=Layer.OLLAMA,
        source=Source(
            "https://github.com/vercel/ai/issues/19165",
            "A stream that a gateway cut cleanly counted as finished, for other reasons.",
        ),
    ),
    Scenario(
        name="half-a-record",
        summary="a clean end of the HTTP message in the middle of a record",
        recordings=SHORT,
        faults=(end_inside_record(3),),
        requirement=Requirement.SHOULD,
        source=UNPARSEABLE,
    ),
    Scenario(
        name="empty-answer",
        summary="200 with Content-Length: 0",
        recordings=SHORT,
        faults=(replace_with("empty-200"),),
        requirement=Requirement.SHOULD,
        layer=Layer.OLLAMA,
        source=Source(
            "https://github.com/decolua/9router/pull/3051",
            "An upstream failure reached the caller as 200 with a body of zero bytes, and counted as success.",
        ),
    ),
    Scenario(
        name="empty-answer-chunked",
        summary="200, and the last chunk comes first",
        recordings=SHORT,
        faults=(drop_all_records(),),
        requirement=Requirement.SHOULD,
        layer=Layer.OLLAMA,
        source=NO_TERMINAL_RECORD,
    ),
    # ------------------------------------------------------------------ other framings
    Scenario(
        name="close-delimited",
        summary="HTTP/1.0: the end of the connection ends the body",
        recordings=SHORT,
        faults=(delimit_by_close(),),
        source=Source(
            "https://www.rfc-editor.org/rfc/rfc9112#section-6.3",
            "Without length or chunks the body is everything until the connection closes.",
        ),
    ),
    Scenario(
        name="close-delimited-cut",
        summary="HTTP/1.0, and the connection closes after some records: for HTTP, that is complete",
        recordings=SHORT,
        faults=(delimit_by_close(), close_at(after_record(3))),
        requirement=Requirement.SHOULD,
        layer=Layer.OLLAMA,
        source=_DELIMITED,
    ),
    Scenario(
        name="close-delimited-cut-inside",
        summary="HTTP/1.0, and the connection closes in the middle of a record",
        recordings=SHORT,
        faults=(delimit_by_close(), close_at(inside_record(3))),
        requirement=Requirement.SHOULD,
        source=UNPARSEABLE,
    ),
    Scenario(
        name="close-delimited-reset",
        summary="HTTP/1.0, and the connection is reset after some records",
        recordings=SHORT,
        faults=(delimit_by_close(), reset_at(after_record(3))),
        source=Source(
            "https://www.rfc-editor.org/rfc/rfc9112#section-8",
            "A body that the close of the connection ends is complete unless the connection indicated an error.",
        ),
    ),
    Scenario(
        name="content-length",
        summary="a stream with a Content-Length instead of chunks",
        recordings=SHORT,
        faults=(count_body(),),
        source=Source(
            "https://www.rfc-editor.org/rfc/rfc9112#section-6.3",
            "A valid Content-Length is the length of the body.",
        ),
    ),
    Scenario(
        name="content-length-cut",
        summary="a stream with a Content-Length, and FIN in the middle",
        recordings=SHORT,
        faults=(count_body(), close_at(after_record(3))),
        source=_LENGTH,
    ),
    Scenario(
        name="content-length-too-long",
        summary="a Content-Length ten bytes larger than the body, then FIN",
        recordings=SHORT,
        faults=(count_body(off_by=10), close_after_answer()),
        source=_LENGTH,
    ),
    Scenario(
        name="content-length-too-short",
        summary="a Content-Length ten bytes smaller than the body",
        recordings=SHORT,
        faults=(count_body(off_by=-10),),
        requirement=Requirement.SHOULD,
        source=UNPARSEABLE,
    ),
    Scenario(
        name="answer-cut",
        summary="one JSON object with a Content-Length, and FIN in the middle",
        recordings=("chat-nonstream",),
        faults=(close_at(inside_record(1)),),
        source=_LENGTH,
    ),
]
