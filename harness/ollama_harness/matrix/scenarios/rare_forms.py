"""Scenarios: rare forms of an answer.

Each has been reported of a real server, and each broke a client that had never met it. They are whole HTTP and valid
JSON, so an HTTP client yields them as they are.
"""

from __future__ import annotations

import json
from typing import Any

from ollama_harness.faults import (
    add_field,
    drop_field,
    drop_record,
    duplicate_record,
    end_after_record,
    insert_heartbeat,
    insert_line,
    replace_text,
    set_field,
)
from ollama_harness.matrix.scenarios.scenario import (
    NDJSON,
    SHORT,
    STREAMS,
    Layer,
    Requirement,
    Scenario,
    Source,
)

#: A stream with one tool call in its first record.
_CALL = ("chat-tools-stream",)

#: Where the tool calls of a record are.
_CALLS = "message.tool_calls"

#: Where the same are in a chunk over /v1.
_DELTA = "choices.0.delta"
_CALLS_V1 = f"{_DELTA}.tool_calls"

_ONE_INDEX = Source(
    "https://github.com/ollama/ollama/issues/15457",
    "All tool calls of a stream had index 0, and parsers merged them into one or dropped the second.",
)
_EQUAL_IDS = Source(
    "https://github.com/NousResearch/hermes-agent/issues/70724",
    "The server used one id for all its calls, and results were dropped.",
)
_IN_TERMINAL_RECORD = Source(
    "https://github.com/0xPlaygrounds/rig/issues/1308",
    "Ollama sent the call in the record with done, and the client ignored it.",
)
_UNDER_DETAIL = Source(
    "https://github.com/open-webui/open-webui/issues/11906",
    "A server in front of Ollama put its errors under detail, where Ollama has error.",
)
_COMMENTS = Source(
    "https://github.com/mistralai/mistral-vibe/pull/794",
    "Lines that begin with a colon are comments, and a client raised when llama.cpp sent them as heartbeats.",
)
_ALL_THINKING = Source(
    "https://github.com/HarperFast/harper/issues/1805",
    "All tokens were in thinking, and the caller got an empty text and the finish reason stop.",
)
_THINKING = Source(
    "https://docs.ollama.com/capabilities/streaming",
    "A client must accumulate thinking, content and tool calls, to pass them back in the next request.",
)


def _calls(*calls: tuple[str, int, str]) -> str:
    """Tool calls in Ollama's own form: the id, the index, and the city of each."""
    functions = (
        (id_, {"index": index, "name": "get_weather", "arguments": {"city": city}}) for id_, index, city in calls
    )
    return json.dumps([{"id": id_, "function": function} for id_, function in functions], separators=(",", ":"))


def _block(index: int, block: dict[str, Any], delta: dict[str, Any], *, ended: bool = True) -> str:
    """A content block of /v1/messages as events: its start, one delta, and its end."""
    events = [
        {"type": "content_block_start", "index": index, "content_block": block},
        {"type": "content_block_delta", "index": index, "delta": delta},
        {"type": "content_block_stop", "index": index},
    ]
    shown = (f"event: {one['type']}\ndata: {json.dumps(one, separators=(',', ':'))}\n" for one in events)
    return "\n".join(list(shown)[: 3 if ended else 2])


def _tool_use(index: int, id_: str, city: str) -> str:
    """The same call in Anthropic's form, a block of its own."""
    block = {"type": "tool_use", "id": id_, "name": "get_weather", "input": {}}
    return _block(index, block, {"type": "input_json_delta", "partial_json": json.dumps({"city": city})})


def _calls_v1(*calls: tuple[str, int, str]) -> str:
    """The same calls in OpenAI's form, whose arguments are a text."""
    made = (
        {
            "id": id_,
            "index": index,
            "type": "function",
            "function": {"name": "get_weather", "arguments": json.dumps({"city": city})},
        }
        for id_, index, city in calls
    )
    return json.dumps(list(made), separators=(",", ":"))


_THINKING_AND_CALL = (
    '{"role":"assistant","content":"Let me look.","thinking":"I need the weather.","tool_calls":'
    + _calls(("call_a", 0, "Paris"))
    + "}"
)

TITLE = "Rare forms of an answer: real servers have sent them, and few programs expect them."

SCENARIOS = [
    # ------------------------------------------------------------------ tool calls
    Scenario(
        name="tool-calls-in-one-record",
        summary="two calls in one record, as Ollama sent them before 0.8: both are yielded",
        recordings=_CALL,
        faults=(set_field(1, _CALLS, _calls(("call_a", 0, "Paris"), ("call_b", 1, "Oslo"))),),
        source=Source(
            "https://github.com/generative-computing/mellea/issues/1431",
            "Calls were kept by the name of the tool, so only the last of two was executed.",
        ),
        over_v1={"faults": (set_field(1, _CALLS_V1, _calls_v1(("call_a", 0, "Paris"), ("call_b", 1, "Oslo"))),)},
    ),
    Scenario(
        name="tool-calls-one-index",
        summary="two calls with the index 0, in two records: the ids tell them apart, and both are yielded",
        recordings=_CALL,
        faults=(
            duplicate_record(1),
            set_field(1, _CALLS, _calls(("call_a", 0, "Paris"))),
            set_field(2, _CALLS, _calls(("call_b", 0, "Oslo"))),
        ),
        source=_ONE_INDEX,
        over_v1={
            "faults": (
                duplicate_record(1),
                set_field(1, _CALLS_V1, _calls_v1(("call_a", 0, "Paris"))),
                set_field(2, _CALLS_V1, _calls_v1(("call_b", 0, "Oslo"))),
            )
        },
    ),
    Scenario(
        name="tool-calls-one-id",
        summary="two calls with the same id: both are yielded",
        recordings=_CALL,
        faults=(set_field(1, _CALLS, _calls(("call_a", 0, "Paris"), ("call_a", 1, "Oslo"))),),
        source=_EQUAL_IDS,
        over_v1={"faults": (set_field(1, _CALLS_V1, _calls_v1(("call_a", 0, "Paris"), ("call_a", 1, "Oslo"))),)},
    ),
    Scenario(
        name="tool-call-in-terminal-record",
        summary="a call in the terminal record, beside done: the client reads the message before it ends",
        recordings=_CALL,
        faults=(drop_record(1), add_field(-1, _CALLS, _calls(("call_a", 0, "Paris")))),
        source=_IN_TERMINAL_RECORD,
        over_v1={"faults": (drop_record(1), add_field(-1, _CALLS_V1, _calls_v1(("call_a", 0, "Paris"))))},
    ),
    Scenario(
        name="tool-call-arguments-text",
        summary="arguments as a text with JSON in it, where Ollama sends an object",
        recordings=_CALL,
        faults=(set_field(1, f"{_CALLS}.0.function.arguments", r'"{\"city\":\"Paris\"}"'),),
        requirement=Requirement.SHOULD,
        source=Source(
            "https://github.com/ollama/ollama-python/issues/484",
            "ValidationError: arguments expects dict, receives str from server.",
        ),
        over_v1={
            "summary": "arguments as an object, where OpenAI sends a text with JSON in it",
            "faults": (set_field(1, f"{_CALLS_V1}.0.function.arguments", '{"city":"Paris"}'),),
        },
    ),
    Scenario(
        name="tool-calls-and-text-messages",
        summary="text and two calls, each in a block of /v1/messages: all are yielded",
        recordings=("v1-messages-france-stream",),
        faults=(
            set_field(-1, "delta.stop_reason", '"tool_use"'),
            insert_line(-2, _tool_use(1, "toolu_a", "Paris") + "\n" + _tool_use(2, "toolu_b", "Oslo")),
        ),
        source=Source(
            "https://github.com/BerriAI/litellm/issues/25605",
            "The input of a streamed call was empty, because the deltas with its JSON were dropped.",
        ),
        events=True,
    ),
    # ------------------------------------------------------------------ thinking
    Scenario(
        name="thinking-and-tool-call",
        summary="thinking, text and a tool call in one record: all three are yielded",
        recordings=("chat-tools-think-stream",),
        faults=(set_field(1, "message", _THINKING_AND_CALL),),
        source=_THINKING,
        over_v1={
            "faults": (
                set_field(1, f"{_DELTA}.content", '"Let me look."'),
                add_field(1, f"{_DELTA}.reasoning", '"I need the weather."'),
            ),
        },
    ),
    Scenario(
        name="answer-in-thinking",
        summary="everything that the model says is thinking, and the text is empty",
        recordings=("chat-think-stream",),
        faults=(drop_record(-2),),
        source=_ALL_THINKING,
    ),
    Scenario(
        name="answer-in-thinking-messages",
        summary="everything that the model says is a block of thinking of /v1/messages, and no text follows",
        recordings=("v1-messages-think-stream",),
        faults=(drop_record(-2), drop_record(-2), drop_record(-2)),
        source=_ALL_THINKING,
        events=True,
    ),
    Scenario(
        name="two-blocks-with-one-index-messages",
        summary="a block of text without its end, then one of thinking with the same index, in /v1/messages",
        recordings=("v1-messages-think-stream",),
        faults=(
            insert_line(1, _block(0, {"type": "text", "text": ""}, {"type": "text_delta", "text": "---"}, ended=False)),
        ),
        requirement=Requirement.OBSERVE,
        layer=Layer.OLLAMA,
        source=Source(
            "https://github.com/ollama/ollama/issues/17101",
            "Ollama began a block of thinking with the index of one of text that had not ended, and clients aborted.",
        ),
        events=True,
    ),
    # ------------------------------------------------------------------ empty records
    Scenario(
        name="empty-first-record",
        summary="a first record without text: it is a record like any other",
        recordings=STREAMS,
        faults=(duplicate_record(1), replace_text(1, b"")),
        source=Source(
            "https://github.com/BerriAI/litellm/pull/23158",
            'A stream began with "response": "", and the client raised, or took it for reasoning.',
        ),
        over_v1={"recordings": ("v1-chat-stream",), "faults": (duplicate_record(1), replace_text(1, b""))},
    ),
    Scenario(
        name="heartbeat-records",
        summary="records without text between others, as heartbeats: the stream goes on after them",
        recordings=STREAMS,
        faults=(duplicate_record(3), replace_text(4, b""), duplicate_record(4)),
        source=Source(
            "https://github.com/run-llama/llama_index/pull/21820",
            "A client that skipped empty records as heartbeats skipped those with thinking, too.",
        ),
    ),
    Scenario(
        name="heartbeat-lines",
        summary="blank lines as heartbeats, before the first record and between others",
        recordings=SHORT,
        faults=(insert_heartbeat(3), insert_heartbeat(0)),
        requirement=Requirement.OBSERVE,
        source=NDJSON,
        over_v1={
            "summary": "comments as heartbeats, before the first event and between others",
            "requirement": Requirement.MUST,
            "layer": Layer.OLLAMA,
            "source": _COMMENTS,
        },
    ),
    # ------------------------------------------------------------------ ends
    Scenario(
        name="done-reason-without-done",
        summary="a last record with done_reason, but without done: a client may take it as the end or not",
        recordings=STREAMS,
        faults=(drop_field(-1, "done"),),
        requirement=Requirement.OBSERVE,
        layer=Layer.OLLAMA,
        source=Source(
            "https://github.com/ollama/ollama-vscode/pull/61",
            "The client in JavaScript raised at the end of streams that had done_reason and no done.",
        ),
        over_v1="no event says done: finish-reason-missing lacks what is like it",
    ),
    Scenario(
        name="finish-reason-missing",
        summary="[DONE], but no finish_reason before it: a client may take it as the end or not",
        recordings=("v1-chat-stream",),
        faults=(set_field(-1, "choices.0.finish_reason", "null"),),
        requirement=Requirement.OBSERVE,
        layer=Layer.OLLAMA,
        source=Source(
            "https://github.com/alfredapp/openai-workflow/pull/52",
            "A server never sent a finish reason, and the client waited for one.",
        ),
        events=True,
    ),
    Scenario(
        name="finish-reason-load",
        summary="no text, and the finish_reason load, which OpenAI does not know, as a model is only loaded",
        recordings=("v1-chat-tools-stream",),
        faults=(drop_record(1), set_field(-1, "choices.0.finish_reason", '"load"')),
        source=Source(
            "https://github.com/can1357/oh-my-pi/issues/7465",
            "A request without a user's message got the reason load, and the client took it for a finished answer.",
        ),
        events=True,
    ),
    Scenario(
        name="error-under-another-name",
        summary="an error in the stream under the name detail, then a clean end: the answer is not whole",
        recordings=SHORT,
        faults=(insert_line(3, '{"detail":"Ollama: 500, message=\'Internal Server Error\'"}'), end_after_record(4)),
        layer=Layer.OLLAMA,
        source=_UNDER_DETAIL,
    ),
]
