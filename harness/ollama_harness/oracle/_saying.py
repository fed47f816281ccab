"""What each record says, as pieces, on the routes on which a model speaks.

A record is read alone, whatever comes before it. So a call that an event stream sends in parts becomes pieces in parts:
the first has the name, and the others only their text. What is not of the form that the API documents says nothing.

Sources: https://github.com/ollama/ollama/blob/main/docs/api.md, https://platform.openai.com/docs/api-reference/chat,
https://platform.openai.com/docs/api-reference/responses-streaming,
https://docs.anthropic.com/en/docs/build-with-claude/streaming.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ollama_harness.oracle.pieces import PieceKind, PieceObject, problem_of_piece

__all__ = ["pieces_of"]


def pieces_of(path: str, record: Any) -> tuple[PieceObject, ...]:
    """What a record of this route says; nothing, on routes on which no model speaks."""
    read = _ROUTES.get(path)
    if read is None or not isinstance(record, Mapping):
        return ()
    found = ({kind: content} for kind, content in read(record))
    return tuple(piece for piece in found if problem_of_piece(piece) is None)


_Pairs = Iterator[tuple[str, Any]]


def _chat(record: Mapping[str, Any]) -> _Pairs:
    message = _object(record.get("message"))
    yield PieceKind.ROLE, message.get("role")
    yield PieceKind.THINKING, message.get("thinking")
    yield PieceKind.TEXT, message.get("content")
    yield from _calls(message)
    yield from _native_end(record)


def _generate(record: Mapping[str, Any]) -> _Pairs:
    yield PieceKind.THINKING, record.get("thinking")
    yield PieceKind.TEXT, record.get("response")
    yield from _native_end(record)


def _native_end(record: Mapping[str, Any]) -> _Pairs:
    """Go leaves out a count of 0."""
    yield PieceKind.FINISH_REASON, record.get("done_reason")
    if "eval_count" in record or "prompt_eval_count" in record:
        yield _usage(record.get("prompt_eval_count", 0), record.get("eval_count", 0))
    yield from _error(record)


def _chat_completions(record: Mapping[str, Any]) -> _Pairs:
    choice = _first(record.get("choices"))
    message = _object(choice.get("delta")) or _object(choice.get("message"))
    yield PieceKind.ROLE, message.get("role")
    yield PieceKind.THINKING, message.get("reasoning")
    yield PieceKind.TEXT, message.get("content")
    yield from _calls(message)
    yield from _choice_end(record, choice)


def _completions(record: Mapping[str, Any]) -> _Pairs:
    choice = _first(record.get("choices"))
    yield PieceKind.TEXT, choice.get("text")
    yield from _choice_end(record, choice)


def _choice_end(record: Mapping[str, Any], choice: Mapping[str, Any]) -> _Pairs:
    usage = _object(record.get("usage"))
    yield PieceKind.FINISH_REASON, choice.get("finish_reason")
    yield _usage(usage.get("prompt_tokens"), usage.get("completion_tokens"))
    yield from _error(record)


def _calls(message: Mapping[str, Any]) -> _Pairs:
    for call in _objects(message.get("tool_calls")):
        function = _object(call.get("function"))
        index = call.get("index", function.get("index"))
        yield _call(function.get("name"), function.get("arguments", ""), call.get("id"), index)


def _responses(record: Mapping[str, Any]) -> _Pairs:
    match record:
        case {"type": "response.output_item.added", "item": {"type": "function_call"} as item}:
            yield _call(item.get("name"), "", item.get("call_id"), record.get("output_index"))
        case {"type": "response.output_item.added", "item": {"role": role}}:
            yield PieceKind.ROLE, role
        case {"type": "response.function_call_arguments.delta", "delta": delta}:
            yield _call(None, delta, None, record.get("output_index"))
        case {"type": "response.output_text.delta", "delta": delta}:
            yield PieceKind.TEXT, delta
        case {"type": "response.reasoning_summary_text.delta" | "response.reasoning_text.delta", "delta": delta}:
            yield PieceKind.THINKING, delta
        case {"type": "response.completed" | "response.incomplete" | "response.failed", "response": response}:
            yield from _response_end(_object(response))
        case {"type": "error"}:
            yield PieceKind.ERROR, record
        case {"object": "response"}:
            for item in _objects(record.get("output")):
                yield from _response_item(item)
            yield from _response_end(record)
        case _:
            yield from _error(record)


def _response_item(item: Mapping[str, Any]) -> _Pairs:
    match item:
        case {"type": "reasoning"}:
            for part in _objects(item.get("summary")):
                yield PieceKind.THINKING, part.get("text")
        case {"type": "function_call"}:
            yield _call(item.get("name"), item.get("arguments"), item.get("call_id"), None)
        case {"type": "message"}:
            yield PieceKind.ROLE, item.get("role")
            for part in _objects(item.get("content")):
                yield PieceKind.TEXT, part.get("text")


def _response_end(response: Mapping[str, Any]) -> _Pairs:
    why, usage = _object(response.get("incomplete_details")).get("reason"), _object(response.get("usage"))
    yield PieceKind.FINISH_REASON, why or response.get("status")
    yield _usage(usage.get("input_tokens"), usage.get("output_tokens"))
    yield from _error(response)


def _messages(record: Mapping[str, Any]) -> _Pairs:
    match record:
        case {"type": "message_start", "message": message}:
            yield from _message(_object(message))
        case {"type": "content_block_start", "content_block": block}:
            yield from _block(_object(block), record.get("index"), in_parts=True)
        case {"type": "content_block_delta", "delta": {"type": "text_delta", "text": text}}:
            yield PieceKind.TEXT, text
        case {"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": thinking}}:
            yield PieceKind.THINKING, thinking
        case {"type": "content_block_delta", "delta": {"type": "input_json_delta", "partial_json": text}}:
            yield _call(None, text, None, record.get("index"))
        case {"type": "message_delta"}:
            yield from _message_end({**_object(record.get("delta")), "usage": record.get("usage")})
        case {"type": "message"}:
            yield from _message(record)
        case _:
            yield from _error(record)


def _message(message: Mapping[str, Any]) -> _Pairs:
    yield PieceKind.ROLE, message.get("role")
    for block in _objects(message.get("content")):
        yield from _block(block, None, in_parts=False)
    yield from _message_end(message)


def _block(block: Mapping[str, Any], index: Any, *, in_parts: bool) -> _Pairs:
    match block:
        case {"type": "text", "text": text}:
            yield PieceKind.TEXT, text
        case {"type": "thinking", "thinking": thinking}:
            yield PieceKind.THINKING, thinking
        case {"type": "tool_use", "name": name}:
            given = block.get("input")
            yield _call(name, "" if in_parts and not given else given, block.get("id"), index)


def _message_end(message: Mapping[str, Any]) -> _Pairs:
    usage = _object(message.get("usage"))
    yield PieceKind.FINISH_REASON, message.get("stop_reason")
    yield _usage(usage.get("input_tokens"), usage.get("output_tokens"))


_ROUTES: dict[str, Callable[[Mapping[str, Any]], _Pairs]] = {
    "/api/chat": _chat,
    "/api/generate": _generate,
    "/v1/chat/completions": _chat_completions,
    "/v1/completions": _completions,
    "/v1/responses": _responses,
    "/v1/messages": _messages,
}


def _call(name: Any, arguments: Any, id_: Any, index: Any) -> tuple[str, Any]:
    fields = {"name": name or None, "id": id_, "index": index}
    return PieceKind.TOOL_CALL, {
        **{key: value for key, value in fields.items() if value is not None},
        "arguments": arguments,
    }


def _usage(input_: Any, output: Any) -> tuple[str, Any]:
    return PieceKind.USAGE, {key: n for key, n in (("input", input_), ("output", output)) if n is not None}


def _error(record: Mapping[str, Any]) -> _Pairs:
    if record.get("error") is not None:
        yield PieceKind.ERROR, record["error"]


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _objects(value: Any) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def _first(value: Any) -> Mapping[str, Any]:
    return next(iter(_objects(value)), {})
