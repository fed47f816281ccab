"""The dialect of /v1/messages, which Ollama has since 0.14.0; all recorded versions speak it alike.

A stream is `message_start`, then the blocks of the content, then `message_delta` and `message_stop`. A block has a
`content_block_start`, deltas and a `content_block_stop`, and the next begins where the last has ended: thinking, then
text, then one block for each call. The middleware makes these of the records of /api/chat, so the tokens of the prompt
are not known at the start: `message_start` has an estimate, one token for four bytes.

No recording has a call. Its events are those of Anthropic's API (platform.claude.com, Streaming messages), in the order
of keys that `content_block` and `delta` have in the recorded events, and with all arguments in one delta, as /api/chat
has them in one record.

Source: the recordings; docs.ollama.com/api/anthropic-compatibility; anthropic/anthropic.go (`StreamConverter`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any

from ollama_harness.answers.completions.completion import Call, Completion, DoneReason, Piece
from ollama_harness.answers.completions.dialects.dialect import Dialect
from ollama_harness.answers.completions.dialects.sending import arguments_of, call_ids, joined, sent
from ollama_harness.answers.completions.dialects.sse import event, events, headers, is_good
from ollama_harness.answers.completions.dialects.values import count, listed, read_object
from ollama_harness.answers.completions.wanted import Wanted
from ollama_harness.answers.go.go_json import decode
from ollama_harness.answers.go.go_types import ANY, RAW, STRING, GoSlice, Struct, fields
from ollama_harness.answers.reply import go_json
from ollama_harness.recordings.recording import Headers, Recording

__all__ = ["MESSAGES"]

_STOP_REASONS = {DoneReason.STOP: "end_turn", DoneReason.LENGTH: "max_tokens"}

#: How many bytes of a request Ollama counts as a token before the model has counted them.
_BYTES_A_TOKEN = 4


class _Messages:
    def read(self, recording: Recording) -> Completion | None:
        if not is_good(recording):
            return None
        if recording.response.media_type == "text/event-stream":
            return _read_stream(recording)
        message = read_object(recording.body)
        at_s = recording.frames[-1].at_s
        if message.get("type") != "message":
            return None
        pieces = [piece for block in listed(message.get("content")) for piece in _pieces(block, at_s)]
        return _completion(pieces, message, at_s)

    def headers(self, wanted: Wanted) -> Headers:
        return headers(wanted)

    def stream(self, completion: Completion, wanted: Wanted) -> Sequence[tuple[float, bytes]]:
        said, made = sent(completion, wanted), _Stream(wanted)
        # A stream of one record has its counts from the start.
        tokens = 0 if said.pieces else completion.prompt_tokens
        first_s = said.pieces[0].at_s if said.pieces else completion.end_s
        usage = {"input_tokens": tokens or _estimate(wanted), "output_tokens": 0}
        made.say(first_s, "message_start", message={**_head(wanted), "content": [], "usage": usage})
        for piece in (*said.pieces, said.last):
            made.piece(piece)
        made.close(completion.end_s)
        delta = {"stop_reason": _stop_reason(completion)}
        made.say(completion.end_s, "message_delta", delta=delta, usage=_usage(completion))
        made.say(completion.end_s, "message_stop")
        return made.frames

    def whole(self, completion: Completion, wanted: Wanted) -> bytes:
        said, ids = sent(completion, wanted), call_ids(wanted)
        everything = joined((*said.pieces, said.last), at_s=completion.end_s)
        content: list[dict[str, Any]] = []
        if everything.thinking:
            content.append({"type": "thinking", "thinking": everything.thinking})
        if everything.text:
            content.append({"type": "text", "text": everything.text})
        content += [_tool_use(call, next(ids), arguments_of(call, wanted)) for call in everything.calls]
        message = {
            **_head(wanted),
            "content": content,
            "stop_reason": _stop_reason(completion),
            "usage": _usage(completion),
        }
        return go_json(message) + b"\n"


MESSAGES: Dialect = _Messages()


class _Stream:
    """The events of one stream. `_open` is the kind of the block that is open."""

    def __init__(self, wanted: Wanted) -> None:
        self.frames: list[tuple[float, bytes]] = []
        self._wanted, self._ids = wanted, call_ids(wanted)
        self._index, self._open = 0, ""

    def say(self, at_s: float, kind: str, **record: Any) -> None:
        self.frames.append((at_s, event(kind, {"type": kind, **record})))

    def piece(self, piece: Piece) -> None:
        if piece.thinking:
            self._text(piece.at_s, "thinking", piece.thinking)
        if piece.text:
            self._text(piece.at_s, "text", piece.text)
        for call in piece.calls:
            self.close(piece.at_s)
            self._begin(piece.at_s, _tool_use(call, next(self._ids), {}))
            text = go_json(arguments_of(call, self._wanted)).decode()
            self._delta(piece.at_s, {"type": "input_json_delta", "partial_json": text})
            self.close(piece.at_s)

    def close(self, at_s: float) -> None:
        """End the block that is open, if one is."""
        if self._open:
            self.say(at_s, "content_block_stop", index=self._index)
            self._index, self._open = self._index + 1, ""

    def _text(self, at_s: float, kind: str, text: str) -> None:
        if self._open != kind:
            self.close(at_s)
            self._begin(at_s, {"type": kind, kind: ""})
        self._delta(at_s, {"type": f"{kind}_delta", kind: text})

    def _begin(self, at_s: float, block: Mapping[str, Any]) -> None:
        self._open = block["type"]
        self.say(at_s, "content_block_start", index=self._index, content_block=block)

    def _delta(self, at_s: float, delta: Mapping[str, Any]) -> None:
        self.say(at_s, "content_block_delta", index=self._index, delta=delta)


def _head(wanted: Wanted) -> dict[str, Any]:
    """What a message has in a stream and in one piece."""
    message_id = f"msg_{Random(wanted.seed).getrandbits(96):024x}"
    return {"id": message_id, "type": "message", "role": "assistant", "model": wanted.model}


def _tool_use(call: Call, id_: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "tool_use", "id": id_, "name": call.name, "input": arguments}


def _usage(completion: Completion) -> dict[str, int]:
    return {"input_tokens": completion.prompt_tokens, "output_tokens": completion.tokens}


def _stop_reason(completion: Completion) -> str:
    """Calls come before the reason for the end; a model that was only loaded has a reason that Anthropic has not."""
    return "tool_use" if completion.calls else _STOP_REASONS.get(completion.done_reason, "stop_sequence")


# --- the estimate -----------------------------------------------------------------------------------------------------


_PROMPT = Struct(
    name="anthropic.MessagesRequest",
    fields=fields(
        system=ANY,
        messages=GoSlice(of=Struct(name="anthropic.MessageParam", fields=fields(role=STRING, content=ANY))),
        tools=GoSlice(
            of=Struct(name="anthropic.Tool", fields=fields(name=STRING, description=STRING, input_schema=RAW))
        ),
    ),
)


def _estimate(wanted: Wanted) -> int:
    """What Ollama takes for the tokens of the prompt before the model has counted them: at least one.

    All texts count, roles and the names of tools too; a schema counts with the blanks that it was sent with.
    """
    asked = decode(wanted.sent, _PROMPT, wanted.version)
    texts = [asked["system"]]
    texts += [text for message in asked["messages"] or () for text in message.values()]
    texts += [text for tool in asked["tools"] or () for text in tool.values()]
    return max(sum(map(_size, texts)) // _BYTES_A_TOKEN, 1)


def _size(content: Any) -> int:
    """The bytes of a text or of the blocks of a content. Only texts were recorded; the rest counts as it reads."""
    match content:
        case str():
            return len(content.encode("utf-8", "replace"))
        case Mapping():
            given = content.get("input")
            named = _size(content.get("name")) + len(go_json(given)) if isinstance(given, Mapping) else 0
            return named + sum(_size(content.get(key)) for key in ("text", "thinking", "content"))
        case list():
            return sum(map(_size, content))
    return 0


# --- reading ----------------------------------------------------------------------------------------------------------


def _read_stream(recording: Recording) -> Completion | None:
    pieces: list[Piece] = []
    call: tuple[str, str] | None = None
    end: Mapping[str, Any] = {}
    for at_s, record in events(recording):
        match record:
            case {"type": "content_block_start", "content_block": {"type": "tool_use", "name": str(name)}}:
                call = name, ""
            case {"type": "content_block_delta", "delta": {"partial_json": str(text)}} if call:
                call = call[0], call[1] + text
            case {"type": "content_block_delta", "delta": {"text": str(text)}}:
                pieces.append(Piece(text=text, at_s=at_s))
            case {"type": "content_block_delta", "delta": {"thinking": str(text)}}:
                pieces.append(Piece(thinking=text, at_s=at_s))
            case {"type": "content_block_stop"} if call:
                made = Call(name=call[0], arguments=read_object(call[1]))
                pieces, call = [*pieces, Piece(calls=(made,), at_s=at_s)], None
            case {"type": "message_delta", "delta": dict(delta)}:
                end = {**record, **delta}
            case {"type": "message_stop"}:
                return _completion(pieces, end, at_s)
    return None


def _pieces(block: Any, at_s: float) -> Iterator[Piece]:
    match block:
        case {"type": "thinking", "thinking": str(text)}:
            yield Piece(thinking=text, at_s=at_s)
        case {"type": "text", "text": str(text)}:
            yield Piece(text=text, at_s=at_s)
        case {"type": "tool_use", "name": str(name), "input": dict(arguments)}:
            yield Piece(calls=(Call(name=name, arguments=arguments),), at_s=at_s)


def _completion(pieces: Sequence[Piece], end: Mapping[str, Any], end_s: float) -> Completion:
    """The turn; `end` is what has its `stop_reason` and its `usage`."""
    usage = end.get("usage")
    return Completion(
        pieces=tuple(pieces),
        done_reason=DoneReason.LENGTH if end.get("stop_reason") == "max_tokens" else DoneReason.STOP,
        prompt_tokens=count(usage, "input_tokens"),
        tokens=count(usage, "output_tokens"),
        end_s=end_s,
    )
