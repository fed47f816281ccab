"""Scenarios: time."""

from __future__ import annotations

from ollama_harness.faults import (
    Place,
    after_chunk_size,
    after_head,
    after_record,
    before_last_chunk,
    burst,
    delay_end,
    delay_first_byte,
    delimit_by_close,
    inside_character,
    inside_head,
    inside_record,
    jitter,
    lock_step,
    pause_at,
    slow_records,
    stall_at,
    straddle_records,
    throttle,
)
from ollama_harness.matrix.scenarios.scenario import (
    READ_TIMEOUT,
    SHORT,
    STREAMING,
    STREAMS,
    Requirement,
    Scenario,
    Source,
)

_STALL = Source(
    "https://github.com/ollama/ollama/issues/10119",
    "Ollama stops in the middle of an answer and the client waits for ever.",
)
_BUFFERING = Source(
    "https://github.com/psf/requests/issues/3577",
    "iter_lines() keeps back the last line, and yields it with the next chunk.",
)


def _stall(name: str, where: str, place: Place, recordings: tuple[str, ...] = SHORT) -> Scenario:
    return Scenario(
        name=f"stall-{name}",
        summary=f"endless silence {where}",
        recordings=recordings,
        faults=(stall_at(place),),
        read_timeout_s=1.0,
        source=_STALL,
    )


TITLE = "Time: bytes come late, slowly or in bursts, or never."

SCENARIOS = [
    # ------------------------------------------------------------------ late, but in time
    Scenario(
        name="slow-first-byte",
        summary="silence at first, as when a model loads, but shorter than the read timeout",
        recordings=STREAMS,
        faults=(delay_first_byte(0.3),),
        source=Source(
            "https://github.com/ollama/ollama/issues/14633",
            "While a model loads the server is silent; only the client's own timeout ends that.",
        ),
    ),
    Scenario(
        name="slow-head",
        summary="a pause in the middle of the head",
        recordings=SHORT,
        faults=(pause_at(inside_head(), 0.3),),
        source=READ_TIMEOUT,
    ),
    Scenario(
        name="slow-records",
        summary="a pause before every record: each is shorter than the read timeout, all together are longer",
        recordings=("generate-cold", "chat-logprobs"),
        faults=(slow_records(0.15),),
        read_timeout_s=1.2,  # ten pauses together are longer
        source=READ_TIMEOUT,
        over_v1={"recordings": ("v1-chat-logprobs-stream",)},
    ),
    Scenario(
        name="jitter",
        summary="every segment is late, by a random time",
        recordings=SHORT,
        faults=(jitter(0.05, 7),),
        source=READ_TIMEOUT,
    ),
    Scenario(
        name="throttle",
        summary="4000 bytes per second",
        recordings=SHORT,
        faults=(throttle(4000),),
        source=READ_TIMEOUT,
    ),
    Scenario(
        name="burst",
        summary="silence, then everything at once, as from a buffering proxy",
        recordings=SHORT,
        faults=(burst(0.3),),
        source=READ_TIMEOUT,
    ),
    Scenario(
        name="pause-inside-record",
        summary="a pause in the middle of a record",
        recordings=SHORT,
        faults=(pause_at(inside_record(3), 0.2),),
        source=READ_TIMEOUT,
    ),
    Scenario(
        name="pause-inside-character",
        summary="a pause between two bytes of one character",
        recordings=("generate-unicode",),
        faults=(pause_at(inside_character(), 0.2),),
        source=Source(
            "https://github.com/diegosouzapw/OmniRoute/pull/11921",
            "Decoding each network chunk alone turned split characters of Ollama's NDJSON into U+FFFD.",
        ),
    ),
    Scenario(
        name="pause-under-timeout",
        summary="a pause of half the read timeout",
        recordings=SHORT,
        faults=(pause_at(after_record(3), 0.6),),
        read_timeout_s=1.2,
        source=READ_TIMEOUT,
    ),
    Scenario(
        name="slow-close",
        summary="HTTP/1.0, and the FIN comes late",
        recordings=SHORT,
        faults=(delimit_by_close(), delay_end(0.3)),
        source=READ_TIMEOUT,
    ),
    # ------------------------------------------------------------------ too late
    Scenario(
        name="pause-over-timeout",
        summary="a pause of three times the read timeout",
        recordings=SHORT,
        faults=(pause_at(after_record(3), 3.0),),
        read_timeout_s=1.0,
        source=READ_TIMEOUT,
    ),
    Scenario(
        name="pause-just-over-timeout",
        summary="a pause of one and a half times the read timeout",
        recordings=SHORT,
        faults=(pause_at(after_record(3), 6.0),),
        read_timeout_s=4.0,  # two seconds separate a late client from a busy machine
        source=READ_TIMEOUT,
    ),
    _stall("inside-head", "in the middle of the head", inside_head()),
    _stall("after-head", "after the head", after_head()),
    _stall("after-record", "between two records", after_record(3), STREAMS),
    _stall("inside-record", "in the middle of a record", inside_record(3)),
    _stall("after-chunk-size", "between the size of a chunk and its data", after_chunk_size(3)),
    Scenario(
        name="stall-after-done",
        summary="endless silence after the terminal record, before the last chunk",
        recordings=SHORT,
        faults=(stall_at(before_last_chunk()),),
        read_timeout_s=1.0,
        source=_STALL,
    ),
    # ------------------------------------------------------------------ in lock-step with the user
    Scenario(
        name="lock-step",
        summary="after each record the server waits until the user has it",
        recordings=SHORT,
        faults=(lock_step(),),
        source=STREAMING,
    ),
    Scenario(
        name="lock-step-across-chunks",
        summary="the same, each record in two chunks",
        recordings=SHORT,
        faults=(straddle_records(20), lock_step()),
        source=_BUFFERING,
    ),
    Scenario(
        name="lock-step-close-delimited",
        summary="the same without chunks, as from an HTTP/1.0 proxy",
        recordings=SHORT,
        faults=(delimit_by_close(), lock_step()),
        requirement=Requirement.SHOULD,
        source=_BUFFERING,
    ),
]
