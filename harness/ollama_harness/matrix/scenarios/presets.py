"""Scenarios: well-known problems under their names."""

from __future__ import annotations

from ollama_harness.faults import (
    after_record,
    burst,
    close_at,
    delay_end,
    delay_first_byte,
    inside_record,
    replace_with,
    reset_at,
    stall_at,
)
from ollama_harness.matrix.scenarios.scenario import (
    ERRORS,
    ERRORS_IN_STREAM,
    INCOMPLETE,
    SHORT,
    STREAMING_V1,
    STREAMS,
    Layer,
    Requirement,
    Scenario,
    Source,
)

TITLE = "Presets: well-known problems, made of the faults above."

SCENARIOS = [
    Scenario(
        name="nginx-buffering",
        summary="nginx with proxy_buffering on: the whole stream at once, at its end",
        recordings=SHORT,
        faults=(burst(0.5),),
        source=Source(
            "https://github.com/ggml-org/llama.cpp/pull/24774",
            "X-Accel-Buffering: no, because otherwise nginx keeps back a stream.",
        ),
    ),
    Scenario(
        name="nginx-idle-timeout",
        summary="nginx times out in mid-stream (proxy_read_timeout): FIN without the last chunk",
        recordings=SHORT,
        faults=(close_at(after_record(3)),),
        source=INCOMPLETE,
    ),
    Scenario(
        name="cloudflare-524",
        summary="524 by Cloudflare after a silence: the origin took too long to answer",
        recordings=SHORT,
        faults=(replace_with("cloudflare-524"), delay_first_byte(0.5)),
        source=Source(
            "https://github.com/ollama/ollama/issues/3694",
            "524 for /api/generate behind Cloudflare.",
        ),
    ),
    Scenario(
        name="system-proxy-502",
        summary="502 with an empty body: the system's proxy got a request that was meant for this machine",
        recordings=STREAMS,
        faults=(replace_with("proxy-502"),),
        source=Source(
            "https://github.com/ollama/ollama/issues/9549",
            "502 Bad Gateway to ollama and httpx on Windows, while requests works.",
        ),
    ),
    Scenario(
        name="vpn-drops",
        summary="the network is gone in the middle of a record: silence, and no FIN",
        recordings=SHORT,
        faults=(stall_at(inside_record(4)),),
        read_timeout_s=1.0,
        source=Source(
            "https://github.com/microsoft/amplifier/issues/339",
            "A stream stopped in mid-generation, without an exception for 8.7 hours.",
        ),
    ),
    Scenario(
        name="laptop-sleep",
        summary="a silence, then RST: the server has dropped the connection meanwhile",
        recordings=SHORT,
        faults=(reset_at(after_record(3)), delay_end(0.5)),
        source=Source(
            "https://github.com/cline/cline/issues/10631",
            "A laptop suspended in mid-stream leaves a dead connection behind.",
        ),
    ),
    Scenario(
        name="runner-killed",
        summary="the runner dies in mid-stream, and Ollama sends an error in the stream (recorded)",
        recordings=("fault-runner-killed-chat", "fault-runner-killed-generate"),
        layer=Layer.OLLAMA,
        source=ERRORS_IN_STREAM,
        over_v1={
            "summary": "the runner dies in mid-stream, and Ollama ends the stream without a word (recorded)",
            "requirement": Requirement.SHOULD,
            "source": STREAMING_V1,
        },
    ),
    Scenario(
        name="server-killed",
        summary="Ollama is killed or terminated in mid-stream (recorded)",
        recordings=(
            "fault-server-killed-chat",
            "fault-server-killed-generate",
            "fault-server-terminated-chat",
            "fault-server-terminated-generate",
        ),
        source=INCOMPLETE,
    ),
    Scenario(
        name="queue-full",
        summary="503: more requests are waiting than OLLAMA_MAX_QUEUE allows (recorded)",
        recordings=("fault-queue-full",),
        source=ERRORS,
    ),
    Scenario(
        name="cold-load",
        summary="a model is loaded before the first byte (recorded, played at its own speed)",
        recordings=("generate-cold",),
        speed=1.0,
        source=Source(
            "https://github.com/ollama/ollama-python/issues/246",
            "Minutes without a byte while a model loads.",
        ),
        over_v1="no recording over /v1 waits until a model is loaded",
    ),
]
