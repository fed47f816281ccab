"""Faults of the body: the message is whole HTTP, but not what Ollama promises."""

from __future__ import annotations

import json
from dataclasses import replace

from harness.errors import FaultDoesNotApply
from harness.faults.registry import fault, record_span, split_after_record
from harness.parts import Chunk, LastChunk
from harness.records import is_terminal, stream_records
from harness.script import Script

__all__ = ["drop_terminal_record", "error_line_after_record"]

#: What Ollama says in mid-stream when its runner dies (fixtures/recordings/*/fault-runner-killed-*).
RUNNER_DIED = "an error was encountered while running the model: unexpected EOF"


@fault(where="the terminal record", what="drop")
def drop_terminal_record(script: Script) -> Script:
    """End cleanly without the terminal record: nothing says `done`, and nothing says error."""
    records = stream_records(script.head.media_type, script.body) if script.head and script.head.chunked else []
    terminal = next((n for n, record in enumerate(records, 1) if is_terminal(record)), None)
    if terminal is None:
        raise FaultDoesNotApply("this script sends no stream with a terminal record")
    start, end = record_span(script, terminal)
    script, first = script.split_at(start)
    script, beyond = script.split_at(end)
    return replace(script, sends=(*script.sends[:first], *script.sends[beyond:]))


@fault(where="after record n", what="insert an error line and end", n=3)
def error_line_after_record(script: Script, n: int, text: str = RUNNER_DIED) -> Script:
    """Say `{"error": text}` at status 200 after record n, then end cleanly, as Ollama does when its runner dies."""
    head = script.head
    if head is None or head.media_type != "application/x-ndjson" or not head.chunked:
        raise FaultDoesNotApply("an error line stands in a chunked NDJSON stream; this script sends none")
    script, index = split_after_record(script, n)
    last_chunk = next((i for i, _, part in script.parts() if isinstance(part, LastChunk)), None)
    if last_chunk is None:
        raise FaultDoesNotApply("this script's stream does not end cleanly, so nothing can be said at its end")
    line = json.dumps({"error": text}, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
    script = replace(script, sends=(*script.sends[:index], *script.sends[last_chunk:]))
    return script.insert(index, Chunk(line))
