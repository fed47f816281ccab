"""Faults of the body: the message is whole HTTP, but not what Ollama promises."""

from __future__ import annotations

import json
from dataclasses import replace

from harness.errors import FaultDoesNotApply
from harness.faults.registry import fault, record_span
from harness.parts import Chunk, LastChunk
from harness.records import event_record, is_terminal, parse_json
from harness.script import Script

__all__ = ["drop_terminal_record", "error_line_after_record"]

#: What Ollama says in mid-stream when its runner dies (fixtures/recordings/*/fault-runner-killed-*).
RUNNER_DIED = "an error was encountered while running the model: unexpected EOF"


@fault(where="the terminal record", what="drop")
def drop_terminal_record(script: Script) -> Script:
    """End cleanly without the terminal record: nothing says `done`, and nothing says error."""
    head, body, ends = script.head, script.body, script.record_ends()
    parse = event_record if head is not None and head.media_type == "text/event-stream" else parse_json
    starts = [0, *ends]
    terminal = next((n for n, end in enumerate(ends, 1) if is_terminal(parse(body[starts[n - 1] : end]))), None)
    if head is None or not head.chunked or terminal is None:
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
    script, index = script.split_at(record_span(script, n)[1])
    last_chunk = next((i for i, _, part in script.parts() if isinstance(part, LastChunk)), None)
    if last_chunk is None:
        raise FaultDoesNotApply("this script's stream does not end cleanly, so nothing can be said at its end")
    line = json.dumps({"error": text}, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
    script = replace(script, sends=(*script.sends[:index], *script.sends[last_chunk:]))
    return script.insert(index, Chunk(line))
