"""Faults of the framing: where the body ends, and how it is cut into chunks and segments."""

from __future__ import annotations

import bisect
import itertools
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace

from ollama_harness.errors import FaultDoesNotApply
from ollama_harness.faults.definition import fault
from ollama_harness.faults.editing import Piece, head_of, pieces, require_plain, with_pieces
from ollama_harness.faults.head import set_header
from ollama_harness.script.message_parts import Chunk, Head, LastChunk, Part, Raw, slices
from ollama_harness.script.script import ConnectionEnd, Script, ScriptEnd, Segment

__all__ = [
    "add_trailers",
    "append_bytes",
    "compress",
    "count_body",
    "delimit_by_close",
    "drop_chunk_end",
    "drop_last_chunk",
    "join_records",
    "rechunk",
    "resegment",
    "set_chunk_size",
    "straddle_records",
]


# ------------------------------------------------------------------------------------------ where the body ends


@fault("Send the body without chunks or length, so that it ends with the connection, as in HTTP/1.0.")
def delimit_by_close(script: Script, version: str = "HTTP/1.0") -> Script:
    head, body = head_of(script), pieces(script)
    for name in ("Transfer-Encoding", "Content-Length"):
        head = head.with_header(name, None)
    return _reframed(script, replace(head, version=version), body, ConnectionEnd.CLOSE)


@fault("Send the body with a Content-Length instead of chunks; it is `off_by` bytes too long (or too short).")
def count_body(script: Script, off_by: int = 0) -> Script:
    head, body = head_of(script), pieces(script)
    length = sum(len(data) for _, data in body) + off_by
    head = head.with_header("Transfer-Encoding", None).with_header("Content-Length", str(max(0, length)))
    return _reframed(script, head, body, script.ending.how)


@fault("Leave out the last chunk and keep the connection open: the message never ends.")
def drop_last_chunk(script: Script) -> Script:
    return _each_part(script, lambda part: () if isinstance(part, LastChunk) else (part,), "last chunk")


@fault("Put trailer fields after the last chunk (RFC 9112 section 7.1.2).")
def add_trailers(script: Script) -> Script:
    fields = (("X-Checksum", "9e107d9d372bb6826bd81d3542a419d6"),)
    return _each_part(script, lambda part: (LastChunk(fields) if isinstance(part, LastChunk) else part,), "last chunk")


@fault(
    "Send more bytes after the end of the message, in the same segment.",
    b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n",
)
def append_bytes(script: Script, data: bytes) -> Script:
    if not script.segments:
        raise FaultDoesNotApply("this script sends nothing, so nothing can follow it")
    *before, last = script.segments
    return replace(script, segments=(*before, replace(last, parts=(*last.parts, Raw(data)))))


# ------------------------------------------------------------------------------------------ what chunks look like


@fault(
    "Replace the size of chunk n by `line`; `{size:x}` in it is the true size, or one that is `off_by` too large.",
    3,
    "zz",
)
def set_chunk_size(script: Script, n: int, line: str, *, off_by: int = 0) -> Script:

    def change(chunk: Chunk) -> Chunk:
        try:
            size_line = line.format(size=len(chunk.data) + off_by).encode("latin-1")
        except (ValueError, LookupError) as error:
            raise FaultDoesNotApply(
                f"{line!r} cannot be written: {error!r}; use no other field than {{size:x}}"
            ) from None
        changed = replace(chunk, size_line=size_line)
        if changed.before == chunk.before:
            raise FaultDoesNotApply(f"{line!r} is the size of chunk {n} already")
        return changed

    return _chunk(script, n, change)


@fault("Leave out the CRLF after the data of chunk n.", 3)
def drop_chunk_end(script: Script, n: int) -> Script:
    return _chunk(script, n, lambda chunk: replace(chunk, after=b""))


# ------------------------------------------------------------------------------------------ how the body is cut


@fault("Cut the body into chunks of `size_bytes` bytes, wherever records end.", 16)
def rechunk(script: Script, size_bytes: int) -> Script:
    _refuse_zero(size_bytes)
    cut = [
        (at_s, data[start : start + size_bytes])
        for at_s, data in _chunks(script)
        for start in range(0, len(data), size_bytes)
    ]
    return with_pieces(script, cut)


@fault("Join `count` chunks (in Ollama, one record each) into one, sent when the last of them is due.", 4)
def join_records(script: Script, count: int) -> Script:
    _refuse_zero(count)
    chunks = _chunks(script)
    groups = [chunks[start : start + count] for start in range(0, len(chunks), count)]
    return with_pieces(script, [(group[-1][0], b"".join(data for _, data in group)) for group in groups])


@fault("Begin every chunk `offset_bytes` bytes into a record, so that each record is in two chunks.", 20)
def straddle_records(script: Script, offset_bytes: int) -> Script:
    chunks, body = _chunks(script), script.body
    starts = [item.start + offset_bytes for item in script.items() if item.start + offset_bytes < item.end]
    edges = [0, *starts, len(body)]
    ends = list(itertools.accumulate(len(data) for _, data in chunks))
    cut = [(a, b) for a, b in itertools.pairwise(edges) if a < b]
    return with_pieces(script, [(chunks[bisect.bisect_left(ends, b)][0], body[a:b]) for a, b in cut])


@fault("Send the same bytes in segments (TCP writes) of at most `size_bytes` bytes.", 16)
def resegment(script: Script, size_bytes: int) -> Script:
    _refuse_zero(size_bytes)
    return replace(script, segments=tuple(small for large in script.segments for small in _segments(large, size_bytes)))


def _segments(large: Segment, size_bytes: int) -> Iterator[Segment]:
    """The same bytes in segments of `size_bytes` bytes."""
    parts: list[Part] = []
    room = size_bytes
    for part in large.parts:
        length = len(part.wire("x" * 29))  # an IMF-fixdate has 29 characters
        edges = [0, *range(room, length, size_bytes), length]
        for piece, (start, stop) in zip(slices(part, edges), itertools.pairwise(edges), strict=True):
            parts.append(part if (start, stop) == (0, length) else piece)
            room -= stop - start
            if not room:
                yield replace(large, parts=tuple(parts), apart=True)
                parts, room = [], size_bytes
    if parts:
        yield replace(large, parts=tuple(parts), apart=True)


# ------------------------------------------------------------------------------------------ content coding


@fault("Compress the body with gzip, flushed after each chunk so that none has to wait; or leave out the end of it.")
def compress(script: Script, *, whole: bool = True) -> Script:
    packer, body = zlib.compressobj(wbits=31), pieces(script)
    if not body:
        raise FaultDoesNotApply("this script sends no body to compress")
    packed = [(at_s, packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH)) for at_s, data in body]
    packed += [(body[-1][0], packer.flush())] if whole else []
    return set_header("Content-Encoding", "gzip")(with_pieces(script, packed))


def _reframed(script: Script, head: Head, body: list[Piece], how: ConnectionEnd) -> Script:
    if not body:
        raise FaultDoesNotApply("this script sends no body that could be framed in another way")
    require_plain(script)
    segments = [Segment(script.segments[0].at_s, (head,)), *(Segment(at_s, (Raw(data),)) for at_s, data in body)]
    return replace(script, segments=tuple(segments), ending=ScriptEnd(how=how, at_s=script.ending.at_s))


def _chunks(script: Script) -> list[Piece]:
    if not head_of(script).chunked or not pieces(script):
        raise FaultDoesNotApply("this script sends no chunks")
    return pieces(script)


def _each_part(script: Script, change: Callable[[Part], tuple[Part, ...]], wanted: str) -> Script:
    """The script with each part replaced by the parts that `change` returns for it.

    Raises: FaultDoesNotApply, if that changes nothing.
    """
    segments = (
        replace(segment, parts=tuple(new for part in segment.parts for new in change(part)))
        for segment in script.segments
    )
    changed = replace(script, segments=tuple(segment for segment in segments if segment.parts))
    if changed == script:
        raise FaultDoesNotApply(f"this script sends no {wanted}")
    return changed


def _chunk(script: Script, n: int, change: Callable[[Chunk], Chunk]) -> Script:
    chunks = [part for _, _, part in script.parts() if isinstance(part, Chunk)]
    if not 1 <= n <= len(chunks):
        raise FaultDoesNotApply(f"there is no chunk {n}: this script sends {len(chunks)}")
    wanted = chunks[n - 1]
    return _each_part(script, lambda part: (change(wanted) if part is wanted else part,), f"chunk {n}")


def _refuse_zero(count: int) -> None:
    if count < 1:
        raise FaultDoesNotApply(f"{count} is too few: give 1 or more")
