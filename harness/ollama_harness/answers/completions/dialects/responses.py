"""The dialect of /v1/responses, which Ollama has since 0.13.3; all recorded versions speak it alike.

In one piece the response has its keys in the order of its struct. In a stream each event is a map, so all its keys are
sorted, and `sequence_number` counts the events from 0. An answer is `response.created`, `response.in_progress`, the
events of each item of the output, and `response.completed` with all of them. Items are, in this order, the reasoning,
and the message or the calls. `status` is "completed" also where the answer reached `max_output_tokens`, and
`incomplete_details` is always null. What a request says of itself is repeated in each `response`.

No recording has a call. Its events are those of OpenAI's API (platform.openai.com, Streaming events), with the keys
that the recorded events of a message have, and all arguments in one delta, as /api/chat has them in one record.
Ollama keeps no text beside calls: in one piece it is dropped; in a stream the message that has begun is never finished,
its place in the output is that of the first call, and text after a call is not sent (ollama/ollama#18343).

Source: the recordings; openai/responses.go (`ToResponse`, `ResponsesStreamConverter`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from random import Random
from typing import Any

from ollama_harness.answers.completions.completion import Call, Completion, DoneReason, Piece
from ollama_harness.answers.completions.dialects.dialect import EPOCH, Dialect
from ollama_harness.answers.completions.dialects.sending import arguments_of, call_ids, joined, sent
from ollama_harness.answers.completions.dialects.sse import event, events, headers, is_good
from ollama_harness.answers.completions.dialects.values import AsSent, as_map, count, listed, read_object
from ollama_harness.answers.completions.wanted import Wanted
from ollama_harness.answers.go.go_json import decode
from ollama_harness.answers.reply import go_json
from ollama_harness.answers.requests.responses import responses_type
from ollama_harness.recordings.recording import Headers, Recording

__all__ = ["RESPONSES"]

#: Ids are `kind_` and a number below this.
_IDS = 999_999


class _Responses:
    def read(self, recording: Recording) -> Completion | None:
        if not is_good(recording):
            return None
        if recording.response.media_type == "text/event-stream":
            return _read_stream(recording)
        response = read_object(recording.body)
        at_s = recording.frames[-1].at_s
        if response.get("object") != "response":
            return None
        pieces = [piece for item in listed(response.get("output")) for piece in _pieces(item, at_s)]
        return _completion(pieces, response, at_s)

    def headers(self, wanted: Wanted) -> Headers:
        return headers(wanted)

    def stream(self, completion: Completion, wanted: Wanted) -> Sequence[tuple[float, bytes]]:
        said, made = sent(completion, wanted), _Stream(wanted)
        made.begin(said.pieces[0].at_s if said.pieces else completion.end_s)
        for piece in (*said.pieces, said.last):
            made.piece(piece)
        made.complete(completion)
        return made.frames

    def whole(self, completion: Completion, wanted: Wanted) -> bytes:
        said, ids = sent(completion, wanted), _Ids(wanted)
        everything = joined((*said.pieces, said.last), at_s=completion.end_s)
        response_id = ids.new("resp")
        output: list[dict[str, Any]] = []
        if everything.thinking:
            # Not recorded: the ids of what is not a message are made of the response's.
            output.append(_reasoning(f"rs_{response_id}", everything.thinking))
        if everything.calls:
            for index, call in enumerate(everything.calls):
                output.append(_function_call(call, f"fc_{response_id}_{index}", ids.call(), wanted))
        else:
            output.append(_message(ids.new("msg"), everything.text))
        response = _response(response_id, wanted, output, completion, at_s=completion.end_s)
        return go_json(response) + b"\n"


RESPONSES: Dialect = _Responses()


class _Ids:
    """The ids of one answer; the same request gets the same."""

    def __init__(self, wanted: Wanted) -> None:
        self._random, self._calls = Random(wanted.seed), call_ids(wanted)

    def new(self, kind: str) -> str:
        return f"{kind}_{self._random.randrange(_IDS)}"

    def call(self) -> str:
        return next(self._calls)


class _Stream:
    """The events of one stream, numbered in order."""

    def __init__(self, wanted: Wanted) -> None:
        self.frames: list[tuple[float, bytes]] = []
        self._wanted, self._ids = wanted, _Ids(wanted)
        self._response_id, self._message_id = self._ids.new("resp"), self._ids.new("msg")
        self._reasoning_id, self._thinking = "", ""
        self._text, self._index = "", 0
        self._calls: list[dict[str, Any]] = []
        self._output: list[dict[str, Any]] = []

    def begin(self, at_s: float) -> None:
        for kind in ("response.created", "response.in_progress"):
            self._say(at_s, kind, response=_response(self._response_id, self._wanted, [], None, at_s=at_s))

    def piece(self, piece: Piece) -> None:
        if piece.thinking:
            self._think(piece.at_s, piece.thinking)
        for index, call in enumerate(piece.calls):
            self._end_reasoning(piece.at_s)
            self._call(piece.at_s, call, index)
        if piece.text and not self._calls:
            self._end_reasoning(piece.at_s)
            self._speak(piece.at_s, piece.text)

    def complete(self, completion: Completion) -> None:
        at_s = completion.end_s
        self._end_reasoning(at_s)
        if self._text and not self._calls:
            message = _message(self._message_id, self._text)
            self._about_text(at_s, "response.output_text.done", text=self._text, logprobs=[])
            self._about_text(at_s, "response.content_part.done", part=message["content"][0])
            self._item(at_s, "done", message)
            self._output.append(message)
        response = _response(
            self._response_id, self._wanted, [*self._output, *self._calls], completion, at_s=completion.end_s
        )
        self._say(at_s, "response.completed", response=response)

    def _say(self, at_s: float, kind: str, **record: Any) -> None:
        numbered = {**record, "type": kind, "sequence_number": len(self.frames)}
        self.frames.append((at_s, event(kind, as_map(numbered))))

    def _item(self, at_s: float, what: str, item: Mapping[str, Any]) -> None:
        self._say(at_s, f"response.output_item.{what}", output_index=self._index, item=item)

    def _think(self, at_s: float, text: str) -> None:
        if not self._reasoning_id:
            self._reasoning_id = self._ids.new("rs")
            self._item(at_s, "added", {"id": self._reasoning_id, "type": "reasoning", "summary": []})
        self._thinking += text
        self._about_reasoning(at_s, "delta", delta=text)

    def _end_reasoning(self, at_s: float) -> None:
        if self._reasoning_id and not self._output:
            item = _reasoning(self._reasoning_id, self._thinking)
            self._about_reasoning(at_s, "done", text=self._thinking)
            self._item(at_s, "done", item)
            self._output.append(item)
            self._index += 1

    def _about_reasoning(self, at_s: float, what: str, **more: Any) -> None:
        place = {"item_id": self._reasoning_id, "output_index": self._index, "summary_index": 0}
        self._say(at_s, f"response.reasoning_summary_text.{what}", **place, **more)

    def _speak(self, at_s: float, text: str) -> None:
        if not self._text:
            message = _message(self._message_id, "")
            self._item(at_s, "added", {**message, "status": "in_progress", "content": []})
            self._about_text(at_s, "response.content_part.added", part=message["content"][0])
        self._text += text
        self._about_text(at_s, "response.output_text.delta", delta=text, logprobs=[])

    def _about_text(self, at_s: float, kind: str, **more: Any) -> None:
        place = {"item_id": self._message_id, "output_index": self._index, "content_index": 0}
        self._say(at_s, kind, **place, **more)

    def _call(self, at_s: float, call: Call, number: int) -> None:
        """A call; `number` counts those of one record."""
        item = _function_call(call, f"{self._ids.new('fc')}_{number}", self._ids.call(), self._wanted)
        place = {"item_id": item["id"], "output_index": self._index}
        self._item(at_s, "added", {**item, "status": "in_progress", "arguments": ""})
        self._say(at_s, "response.function_call_arguments.delta", **place, delta=item["arguments"])
        self._say(at_s, "response.function_call_arguments.done", **place, arguments=item["arguments"])
        self._item(at_s, "done", item)
        self._calls.append(item)
        self._index += 1


# --- items and the response, in the order of their structs ------------------------------------------------------------


def _reasoning(id_: str, text: str) -> dict[str, Any]:
    summary = [{"type": "summary_text", "text": text}]
    return {"id": id_, "type": "reasoning", "summary": summary, "encrypted_content": text}


def _message(id_: str, text: str) -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"id": id_, "type": "message", "status": "completed", "role": "assistant", "content": [part]}


def _function_call(call: Call, id_: str, call_id: str, wanted: Wanted) -> dict[str, Any]:
    return {
        "id": id_,
        "type": "function_call",
        "status": "completed",
        "call_id": call_id,
        "name": call.name,
        "arguments": go_json(arguments_of(call, wanted)).decode(),
    }


def _response(
    id_: str, wanted: Wanted, output: Sequence[Mapping[str, Any]], end: Completion | None, *, at_s: float
) -> dict[str, Any]:
    """The response with what the request said; without `end` it is still in progress, and has no usage."""
    asked = decode(wanted.sent, responses_type(wanted.version), wanted.version)
    now_s = int((EPOCH + timedelta(seconds=at_s)).timestamp())
    return {
        "id": id_,
        "object": "response",
        "created_at": now_s,
        "completed_at": now_s if end else None,
        "status": "completed" if end else "in_progress",
        "incomplete_details": None,
        "model": wanted.model,
        "previous_response_id": None,
        "instructions": asked["instructions"] or None,
        "output": list(output),
        "error": None,
        "tools": [_tool(tool) for tool in asked["tools"] or ()],
        "tool_choice": "auto",
        "truncation": asked["truncation"] or "disabled",
        "parallel_tool_calls": True,
        "text": {"format": _text_format((asked["text"] or {}).get("format"))},
        "top_p": 1 if asked["top_p"] is None else asked["top_p"],
        "presence_penalty": 0,
        "frequency_penalty": 0,
        "top_logprobs": 0,
        "temperature": 1 if asked["temperature"] is None else asked["temperature"],
        "reasoning": _effort(asked["reasoning"]),
        "usage": _usage(end),
        "max_output_tokens": asked["max_output_tokens"],
        "max_tool_calls": None,
        "store": False,
        "background": asked["background"],
        "service_tier": "default",
        "metadata": {},
        "safety_identifier": None,
        "prompt_cache_key": None,
    }


def _tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    named = {name: tool[name] for name in ("type", "name", "description", "strict")}
    return {**named, "parameters": as_map(tool["parameters"])}


def _text_format(asked: Mapping[str, Any] | None) -> dict[str, Any]:
    """Not recorded but for "text": what is not given is left out, and the schema is as it was sent."""
    if asked is None:
        return {"type": "text"}
    made: dict[str, Any] = {"type": asked["type"]}
    if asked["name"]:
        made["name"] = asked["name"]
    if asked["schema"] is not None:
        made["schema"] = json.loads(asked["schema"], object_hook=AsSent)
    if asked["strict"] is not None:
        made["strict"] = asked["strict"]
    return made


def _effort(asked: Mapping[str, Any]) -> dict[str, Any] | None:
    if not asked["effort"] and not asked["summary"]:
        return None
    return {"effort": asked["effort"] or None, "summary": asked["summary"] or None}


def _usage(end: Completion | None) -> dict[str, Any] | None:
    if end is None:
        return None
    return {
        "input_tokens": end.prompt_tokens,
        "output_tokens": end.tokens,
        "total_tokens": end.prompt_tokens + end.tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    }


# --- reading ----------------------------------------------------------------------------------------------------------


def _read_stream(recording: Recording) -> Completion | None:
    pieces: list[Piece] = []
    for at_s, record in events(recording):
        match record:
            case {"type": "response.output_text.delta", "delta": str(text)}:
                pieces.append(Piece(text=text, at_s=at_s))
            case {"type": "response.reasoning_summary_text.delta", "delta": str(text)}:
                pieces.append(Piece(thinking=text, at_s=at_s))
            case {"type": "response.output_item.done", "item": {"type": "function_call"} as item}:
                pieces += _pieces(item, at_s)
            case {"type": "response.completed", "response": dict(response)}:
                return _completion(pieces, response, at_s)
    return None


def _joined(parts: list[Any]) -> str:
    texts = [part.get("text") for part in parts if isinstance(part, Mapping)]
    return "".join(text for text in texts if isinstance(text, str))


def _pieces(item: Any, at_s: float) -> Iterator[Piece]:
    match item:
        case {"type": "reasoning", "summary": list(parts)}:
            yield Piece(thinking=_joined(parts), at_s=at_s)
        case {"type": "message", "content": list(parts)}:
            yield Piece(text=_joined(parts), at_s=at_s)
        case {"type": "function_call", "name": str(name), "arguments": str(text)}:
            yield Piece(calls=(Call(name=name, arguments=read_object(text)),), at_s=at_s)


def _completion(pieces: Sequence[Piece], response: Mapping[str, Any], end_s: float) -> Completion:
    """The response does not say why it ended: it has reached its limit if it has that many tokens."""
    usage = response.get("usage")
    tokens, limit = count(usage, "output_tokens"), count(response, "max_output_tokens")
    return Completion(
        pieces=tuple(pieces),
        done_reason=DoneReason.LENGTH if limit and tokens >= limit else DoneReason.STOP,
        prompt_tokens=count(usage, "input_tokens"),
        tokens=tokens,
        end_s=end_s,
    )
