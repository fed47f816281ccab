"""Places: where in an answer a fault strikes. Records count from 1, and from the end as -1, -2, …"""

from __future__ import annotations

import re
from typing import TypeVar

from ollama_harness.errors import FaultDoesNotApply
from ollama_harness.faults._json_path import find_text
from ollama_harness.faults.definition import place
from ollama_harness.faults.editing import json_span, record_span
from ollama_harness.script.message_parts import Chunk, Head, LastChunk
from ollama_harness.script.script import Script, http_date

__all__ = [
    "after_chunk_data",
    "after_chunk_size",
    "after_head",
    "after_record",
    "before_head",
    "before_last_chunk",
    "before_line_feed",
    "inside_character",
    "inside_head",
    "inside_last_chunk",
    "inside_number",
    "inside_record",
    "inside_text",
]

_NUMBER = re.compile(rb'[^\\]":(-?[0-9][-+.0-9eE]+)')
_CHARACTER = re.compile(rb"[\xc2-\xf4][\x80-\xbf]")

Spot = tuple[Script, int]
Part = TypeVar("Part", Head, LastChunk)


@place("Before the first byte of the answer.")
def before_head(script: Script) -> Spot:
    return script, 0


@place("In the middle of the head.")
def inside_head(script: Script) -> Spot:
    i, j, head = _part(script, Head)
    return script.split_part(i, j, len(head.wire(http_date(0))) // 2)


@place("After the head, before the first byte of the body.")
def after_head(script: Script) -> Spot:
    i, j, head = _part(script, Head)
    return script.split_part(i, j, len(head.wire(http_date(0))))


@place("After record n.", 3)
def after_record(script: Script, n: int) -> Spot:
    _, end = record_span(script, n)
    counted = script.head is not None and not script.head.chunked and script.head.header("content-length") is not None
    if counted and end == len(script.body):
        raise FaultDoesNotApply(f"the message is whole after record {n}, so nothing after it can fail")
    return script.split_at(end)


@place("In the middle of record n.", 3)
def inside_record(script: Script, n: int) -> Spot:
    return _inside_body(script, sum(record_span(script, n)) // 2)


@place("Inside the text of record n, before its last byte.", 3)
def inside_text(script: Script, n: int) -> Spot:
    start, end = json_span(script, n)
    text = find_text(script.body[start:end])
    if text is None:
        raise FaultDoesNotApply(f"record {n} has no text")
    return _inside_body(script, start + text[1] - 1)


@place("Inside a number of record n: the part that arrives is a number too, and a wrong one.", -1)
def inside_number(script: Script, n: int) -> Spot:
    start, end = record_span(script, n)
    return _inside_body(
        script, start + _find(_NUMBER, script.body[start:end], f"record {n} has no number").start(1) + 1
    )


@place("Inside the first character that has more than one byte in UTF-8.", plays="generate-unicode")
def inside_character(script: Script) -> Spot:
    return _inside_body(script, _find(_CHARACTER, script.body, "the body is all ASCII").start() + 1)


@place("After record n, but before its line feed.", 3)
def before_line_feed(script: Script, n: int) -> Spot:
    start, end = record_span(script, n)
    line = script.body[start:end]
    if not line.endswith(b"\n"):
        raise FaultDoesNotApply(f"record {n} has no line feed")
    return _inside_body(script, start + len(line.rstrip(b"\n")))


@place("Between the size of chunk n and its data.", 3)
def after_chunk_size(script: Script, n: int) -> Spot:
    i, j, chunk = _chunk(script, n)
    return script.split_part(i, j, len(chunk.before))


@place("Between the data of chunk n and the CRLF that ends it.", 3)
def after_chunk_data(script: Script, n: int) -> Spot:
    i, j, chunk = _chunk(script, n)
    return script.split_part(i, j, len(chunk.before + chunk.data))


@place("After the last record, before the chunk of size zero.")
def before_last_chunk(script: Script) -> Spot:
    i, j, _ = _part(script, LastChunk)
    return script.split_part(i, j, 0)


@place("After the line of the last chunk: in the middle of its trailers, or before the empty line at its end.")
def inside_last_chunk(script: Script) -> Spot:
    i, j, last = _part(script, LastChunk)
    return script.split_part(i, j, len(last.wire("")) // 2 if last.trailers else len(b"0\r\n"))


def _inside_body(script: Script, offset: int) -> Spot:
    """The place before byte `offset` of the body, inside its chunk: the chunk stays one."""
    for i, j, part in script.body_parts():
        if offset < len(part.data):
            return script.split_part(i, j, offset + (len(part.before) if isinstance(part, Chunk) else 0))
        offset -= len(part.data)
    raise AssertionError("a record lies inside the body")


def _part(script: Script, kind: type[Part]) -> tuple[int, int, Part]:
    found = next(((i, j, part) for i, j, part in script.parts() if isinstance(part, kind)), None)
    if found is None:
        raise FaultDoesNotApply(f"this script sends no {_NAMES[kind]}")
    return found


def _chunk(script: Script, n: int) -> tuple[int, int, Chunk]:
    chunks = [(i, j, part) for i, j, part in script.parts() if isinstance(part, Chunk)]
    index = n - 1 if n > 0 else len(chunks) + n
    if n == 0 or not 0 <= index < len(chunks):
        raise FaultDoesNotApply(f"there is no chunk {n}: this script sends {len(chunks)}")
    return chunks[index]


def _find(pattern: re.Pattern[bytes], data: bytes, problem: str) -> re.Match[bytes]:
    found = pattern.search(data)
    if found is None:
        raise FaultDoesNotApply(problem)
    return found


_NAMES: dict[type, str] = {Head: "head", LastChunk: "last chunk"}
