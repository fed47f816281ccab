"""The canaries of pieces: a perfect client that translates, and others that read with it and spoil the result.

The perfect one takes the JSON of an answer from `_perfect.values`, and reads it with its own few lines. It looks at
what is there and not at the path, and yields a tool call when it is whole. So it shares nothing with the oracle, which
looks at the path, and takes a call in parts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ollama_harness.clients.adapter import Client, ExchangeFunction, Job, Yields
from ollama_harness.clients.canaries import _perfect as perfect
from ollama_harness.clients.canaries._earning import CUT, LOCK_STEP, WHOLE, over_v1
from ollama_harness.oracle.words import Verdict

Piece = dict[str, Any]


def perfect_pieces(job: Job, _: None = None, parse: Callable[[bytes], Any] = perfect.record) -> Iterator[Piece]:
    calls: dict[Any, Piece] = {}  # by their index, those that may go on
    for value in perfect.values(job, parse):
        for piece in _read(value, calls):
            if any(content not in (None, "", {}) for content in piece.values()):
                yield piece


def _read(value: dict[str, Any], calls: dict[Any, Piece]) -> Iterator[Piece]:
    if "choices" in value:
        yield from _choices(value, calls)
    elif value.get("object") == "response" or str(value.get("type")).startswith("response."):
        yield from _response(value)
    elif "type" in value:
        yield from _message(value, calls)
    else:
        yield from _native(value)


def _native(value: dict[str, Any]) -> Iterator[Piece]:
    said = value.get("message") or {}
    yield {"role": said.get("role")}
    yield {"thinking": said.get("thinking") or value.get("thinking")}
    yield {"text": said.get("content") or value.get("response")}
    for call in said.get("tool_calls") or ():
        yield {"tool_call": {"name": call["function"]["name"], "arguments": call["function"]["arguments"]}}
    yield {"finish_reason": value.get("done_reason")}
    if "eval_count" in value:
        yield {"usage": {"output": value["eval_count"]}}


def _choices(value: dict[str, Any], calls: dict[Any, Piece]) -> Iterator[Piece]:
    for choice in value["choices"][:1]:
        said = choice.get("delta") or choice.get("message") or {}
        yield {"role": said.get("role")}
        yield {"thinking": said.get("reasoning")}
        yield {"text": said.get("content") or choice.get("text")}
        for part in said.get("tool_calls") or ():
            function, index = part["function"], part.get("index")
            if function.get("name"):
                yield from _whole(calls)
                calls[index] = {"name": function["name"], "arguments": function.get("arguments", "")}
            else:
                calls[index]["arguments"] += function["arguments"]
        if choice.get("finish_reason") is not None:
            yield from _whole(calls)
            yield {"finish_reason": choice["finish_reason"]}
    if value.get("usage"):
        yield {"usage": {"input": value["usage"]["prompt_tokens"], "output": value["usage"]["completion_tokens"]}}


def _whole(calls: dict[Any, Piece]) -> Iterator[Piece]:
    for index in list(calls):
        yield {"tool_call": calls.pop(index)}


def _response(value: dict[str, Any]) -> Iterator[Piece]:
    match value.get("type"):
        case "response.output_text.delta":
            yield {"text": value["delta"]}
        case "response.reasoning_summary_text.delta":
            yield {"thinking": value["delta"]}
        case "response.output_item.done" if value["item"]["type"] == "function_call":
            yield {"tool_call": {"name": value["item"]["name"], "arguments": value["item"]["arguments"]}}
        case "response.completed" | "response.incomplete":
            yield {"finish_reason": value["response"]["status"]}
            yield {"usage": {"output": value["response"]["usage"]["output_tokens"]}}
        case None:
            for item in value["output"]:
                yield {"thinking": "".join(part["text"] for part in item.get("summary", ()))}
                yield {"text": "".join(part["text"] for part in item.get("content", ()))}
                if item["type"] == "function_call":
                    yield {"tool_call": {"name": item["name"], "arguments": item["arguments"]}}
            yield {"finish_reason": value["status"]}


def _message(value: dict[str, Any], calls: dict[Any, Piece]) -> Iterator[Piece]:
    match value:
        case {"type": "message_start", "message": {"role": role}}:
            yield {"role": role}
        case {"type": "content_block_start", "index": index, "content_block": {"type": "tool_use", "name": name}}:
            calls[index] = {"name": name, "arguments": ""}
        case {"type": "content_block_delta", "index": index, "delta": delta}:
            yield {"text": delta.get("text")}
            yield {"thinking": delta.get("thinking")}
            if "partial_json" in delta:
                calls[index]["arguments"] += delta["partial_json"]
        case {"type": "content_block_stop"}:
            yield from _whole(calls)
        case {"type": "message_delta", "delta": {"stop_reason": reason}}:
            yield {"finish_reason": reason}
        case {"type": "message", "content": list(blocks), "stop_reason": reason}:
            for block in blocks:
                yield {"text": block.get("text")}
                yield {"thinking": block.get("thinking")}
                if block["type"] == "tool_use":
                    yield {"tool_call": {"name": block["name"], "arguments": block["input"]}}
            yield {"finish_reason": reason}


# ----------------------------------------------------------------------------------------------------- spoiled pieces


def deaf_pieces(job: Job, _: None = None) -> Iterator[Piece]:
    """Treats every end as a normal end."""
    try:
        yield from perfect_pieces(job)
    except perfect.BadAnswer:
        return


def gullible(job: Job, _: None = None) -> Iterator[Piece]:
    """Takes a clean end of the body for the end of the answer, though nothing says that it is whole."""
    try:
        yield from perfect_pieces(job)
    except perfect.NoEnd:
        return


def reason_inventor(job: Job, _: None = None) -> Iterator[Piece]:
    """Says that the model stopped, whatever ended the answer."""
    try:
        yield from perfect_pieces(job)
    except perfect.BadAnswer:
        yield {"finish_reason": "stop"}
        raise


def skipper(job: Job, _: None = None) -> Iterator[Piece]:
    """Skips what is no JSON."""
    yield from perfect_pieces(job, parse=_record_or_nothing)


def _record_or_nothing(data: bytes) -> Any:
    try:
        return perfect.record(data)
    except perfect.NoJson:
        return None


def trimmer(job: Job, _: None = None) -> Iterator[Piece]:
    """Joins texts without the spaces at their edges."""
    for piece in perfect_pieces(job):
        yield {"text": piece["text"].strip()} if "text" in piece else piece


def forgetful(job: Job, _: None = None) -> Iterator[Piece]:
    """Loses the first text, as if the next event had taken its place."""
    is_first = True
    for piece in perfect_pieces(job):
        if "text" in piece and is_first:
            is_first = False
        else:
            yield piece


def piece_hoarder(job: Job, _: None = None) -> Iterator[Piece]:
    """Yields a piece when the next one is there."""
    kept: list[Piece] = []
    for piece in perfect_pieces(job):
        yield from kept
        kept = [piece]
    yield from kept


def rejoiner(job: Job, _: None = None) -> Iterator[Piece]:
    """Yields each text in two halves, and an empty one. That is right."""
    for piece in perfect_pieces(job):
        if "text" in piece:
            half = len(piece["text"]) // 2
            yield from ({"text": part} for part in (piece["text"][:half], "", piece["text"][half:]))
        else:
            yield piece


def _canary(exchange: ExchangeFunction, earns: dict[str | None, Verdict]) -> Client:
    return Client(
        name=f"canary-{exchange.__name__.replace('_', '-')}",
        contract=perfect.CLIENTS[0].contract,
        exchange=exchange,
        yields=Yields.PIECES,
        paths=("/api/chat", "/api/generate", "/v1/*completions", "/v1/messages", "/v1/responses"),
        earns=earns,
    )


_NO_END, _NO_JSON = "no-terminal-record", "raw-invalid-utf-8"

CLIENTS = [
    _canary(perfect_pieces, {None: Verdict.PASS}),
    _canary(deaf_pieces, over_v1({WHOLE: Verdict.PASS, CUT: Verdict.SILENT_LOSS})),
    _canary(gullible, over_v1({WHOLE: Verdict.PASS, CUT: Verdict.PASS, _NO_END: Verdict.SILENT_LOSS})),
    _canary(reason_inventor, over_v1({WHOLE: Verdict.PASS, CUT: Verdict.CORRUPT})),
    _canary(skipper, over_v1({WHOLE: Verdict.PASS, CUT: Verdict.PASS, _NO_JSON: Verdict.SILENT_LOSS})),
    _canary(trimmer, over_v1({WHOLE: Verdict.CORRUPT})),
    _canary(forgetful, over_v1({WHOLE: Verdict.SILENT_LOSS, CUT: Verdict.CORRUPT})),
    _canary(piece_hoarder, over_v1({WHOLE: Verdict.PASS, CUT: Verdict.BUFFERED, LOCK_STEP: Verdict.BUFFERED})),
    _canary(rejoiner, over_v1({WHOLE: Verdict.PASS, CUT: Verdict.PASS, LOCK_STEP: Verdict.PASS})),
]
