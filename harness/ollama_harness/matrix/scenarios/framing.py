"""Scenarios: the framing."""

from __future__ import annotations

from ollama_harness.faults import (
    add_trailers,
    after_chunk_data,
    append_bytes,
    close_at,
    compress,
    drop_chunk_end,
    drop_last_chunk,
    join_records,
    rechunk,
    resegment,
    set_chunk_size,
    set_header,
    straddle_records,
)
from ollama_harness.matrix.scenarios.scenario import CHUNKED, SHORT, Scenario, Source

_BAD_CHUNK = Source(
    "https://www.rfc-editor.org/rfc/rfc9112#section-8",
    "When decoding a supposedly chunked body fails, a client MUST record the message as incomplete.",
)
_ANY_CHUNKS = Source(
    "https://www.rfc-editor.org/rfc/rfc9112#section-7.1",
    "Chunks belong to the connection: their ends mean nothing for the content.",
)
_INT = Source(
    "https://github.com/python/cpython/issues/150751",
    "http.client's int(line, 16) accepts -5, +5, 0x5 and 1_f, which RFC 9112 forbids.",
)
_CODING = Source(
    "https://www.rfc-editor.org/rfc/rfc9110#section-8.4",
    "Content-Encoding names the coding that must be undone to get the content.",
)


def _size(name: str, summary: str, line: str, source: Source = _BAD_CHUNK, *, off_by: int = 0) -> Scenario:
    return Scenario(
        name=f"chunk-size-{name}",
        summary=summary,
        recordings=SHORT,
        faults=(set_chunk_size(3, line, off_by=off_by),),
        source=source,
        read_timeout_s=1.0,
    )


TITLE = "The framing: chunks that are odd but allowed, chunks that are not, and content codings."

SCENARIOS = [
    # ------------------------------------------------------------------ allowed
    Scenario(
        name="chunk-size-upper-case",
        summary="a chunk size in upper case",
        recordings=SHORT,
        faults=(rechunk(0x2B), set_chunk_size(1, "{size:X}")),
        source=CHUNKED,
    ),
    _size("leading-zeros", "a chunk size with leading zeros", "0000{size:x}", CHUNKED),
    _size("extension", "a chunk extension", '{size:x};name="value"', CHUNKED),
    Scenario(
        name="trailers",
        summary="trailer fields after the last chunk",
        recordings=SHORT,
        faults=(add_trailers(),),
        source=Source(
            "https://www.rfc-editor.org/rfc/rfc9112#section-7.1.2",
            "A recipient of chunks MAY keep or discard trailer fields, but they are allowed.",
        ),
    ),
    Scenario(
        name="records-across-chunks",
        summary="every record is split into two chunks",
        recordings=("generate-unicode",),
        faults=(straddle_records(20),),
        source=Source(
            "https://github.com/continuedev/continue/issues/751",
            "Behind a tunnel a line in two chunks gave: Unexpected end of JSON input.",
        ),
    ),
    Scenario(
        name="records-in-one-chunk",
        summary="four records in each chunk",
        recordings=SHORT,
        faults=(join_records(4),),
        source=Source(
            "https://github.com/mckaywrigley/chatbot-ui/pull/1378",
            "Ollama can send more than one JSON object in one chunk of the stream.",
        ),
    ),
    Scenario(
        name="byte-chunks",
        summary="chunks of one byte: every record is cut at every byte",
        recordings=("generate-cold", "generate-unicode"),
        faults=(rechunk(1),),
        source=_ANY_CHUNKS,
    ),
    Scenario(
        name="byte-segments",
        summary="segments of one byte: every chunk is cut at every byte",
        recordings=SHORT,
        faults=(resegment(1),),
        source=Source(
            "https://www.rfc-editor.org/rfc/rfc9293#section-3.8",
            "TCP carries a stream of bytes: the boundaries of segments mean nothing.",
        ),
    ),
    # ------------------------------------------------------------------ not allowed
    _size("no-hex", "a chunk size that is not hexadecimal", "zz"),
    _size("negative", "a negative chunk size", "-{size:x}"),
    _size("sign", "a chunk size with a plus sign", "+{size:x}", _INT),
    _size("prefix", "a chunk size with 0x before it", "0x{size:x}", _INT),
    _size("underscore", "a chunk size with an underscore", "0_{size:x}", _INT),
    _size("too-long", "a chunk size two larger than the data", "{size:x}", off_by=2),
    _size("too-short", "a chunk size two smaller than the data", "{size:x}", off_by=-2),
    Scenario(
        name="no-chunk-end",
        summary="no CRLF after a chunk's data",
        recordings=SHORT,
        faults=(drop_chunk_end(3),),
        source=_BAD_CHUNK,
        read_timeout_s=1.0,
    ),
    Scenario(
        name="no-last-chunk",
        summary="no last chunk, and the connection stays open",
        recordings=SHORT,
        faults=(drop_last_chunk(),),
        source=Source(
            "https://www.rfc-editor.org/rfc/rfc9112#section-8",
            "A chunked body without its zero-sized chunk is incomplete.",
        ),
        read_timeout_s=1.0,
    ),
    Scenario(
        name="garbage-after-answer",
        summary="bytes after the last chunk, which belong to no message",
        recordings=SHORT,
        faults=(append_bytes(b"\r\ngarbage\r\n"),),
        source=Source(
            "https://www.rfc-editor.org/rfc/rfc9112#section-6.3",
            "A client MUST NOT treat bytes after a message as a part of it.",
        ),
    ),
    # ------------------------------------------------------------------ content codings
    Scenario(
        name="gzip",
        summary="a gzip body, flushed after each record",
        recordings=SHORT,
        faults=(compress(),),
        source=_CODING,
    ),
    Scenario(
        name="gzip-cut",
        summary="a gzip body, and FIN in the middle",
        recordings=SHORT,
        faults=(compress(), close_at(after_chunk_data(3))),
        source=_BAD_CHUNK,
    ),
    Scenario(
        name="gzip-without-end",
        summary="a gzip stream without its end, in a complete message",
        recordings=SHORT,
        faults=(compress(whole=False),),
        source=Source(
            "https://www.rfc-editor.org/rfc/rfc1952#section-2.3",
            "A gzip member ends with the CRC and the length of its content.",
        ),
    ),
    Scenario(
        name="gzip-lie",
        summary="Content-Encoding: gzip on a plain body",
        recordings=SHORT,
        faults=(set_header("Content-Encoding", "gzip"),),
        source=_CODING,
    ),
]
