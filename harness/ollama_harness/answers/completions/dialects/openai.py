"""The dialects of /v1/chat/completions and /v1/completions: server-sent events, or one JSON object.

Ollama answers these routes with its own /api/chat and /api/generate and translates each record, so there is an event
for each record. The last frame holds all that comes at the end: the event with the reason, the usage if the request
asks for it, and `[DONE]`. By version:

* a stream with calls ends with `stop` before 0.5.8, later with `tool_calls`, as one piece always does;
* the calls of one piece all have the index 0 before 0.8.0; those of a stream are always numbered;
* `reasoning` since 0.11.0; before, a record with thinking becomes an event that says nothing;
* since 0.32.6 a chat names the role in its first event only, all its events have the time of the first, and the event
  with the reason says nothing else: what comes with the last record has an event of its own.

A stream without usage does not say how many tokens there were. Then the prompt is read as none, and the answer as one
for each piece.

Not recorded, but known of the middleware: with `include_usage` each event of /v1/completions has a usage of zeros; its
logprobs look like those of a chat.

Source: the recordings; openai/openai.go (`ToChunk`, `ToChatCompletion`, `ToCompleteChunk`, `ToCompletion`),
middleware/openai.go (`ChatWriter`, `CompleteWriter`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Any

from ollama_harness.answers.completions.completion import Call, Completion, DoneReason, Piece, by_token
from ollama_harness.answers.completions.dialects.dialect import EPOCH, Dialect
from ollama_harness.answers.completions.dialects.sending import arguments_of, call_ids, joined, sent
from ollama_harness.answers.completions.dialects.sse import events
from ollama_harness.answers.completions.dialects.values import listed, read_object
from ollama_harness.answers.completions.wanted import Wanted
from ollama_harness.answers.reply import go_json
from ollama_harness.recordings.recording import Headers, Recording

__all__ = ["CHAT_COMPLETIONS", "TEXT_COMPLETIONS"]

_EVENTS, _JSON = "text/event-stream", "application/json"
_DONE = b"data: [DONE]\n\n"
_CALLED = "tool_calls"

_CALLED_IN_STREAM_SINCE = "0.5.8"
_NUMBERED_IN_ONE_PIECE_SINCE = "0.8.0"
_REASONING_SINCE = "0.11.0"
_REASON_ALONE_SINCE = "0.32.6"


# --- writing ----------------------------------------------------------------------------------------------------------


class _Answer(ABC):
    """Writes the records of one answer, in their order."""

    prefix: str

    def __init__(self, completion: Completion, wanted: Wanted) -> None:
        self.completion, self.wanted = completion, wanted
        self.id = f"{self.prefix}-{Random(wanted.seed).randrange(999)}"

    @staticmethod
    @abstractmethod
    def pieces(choice: Mapping[str, Any], at_s: float) -> list[Piece]:
        """What one of a record's `choices` says."""

    @abstractmethod
    def event(self, piece: Piece) -> dict[str, Any]:
        """The record of a stream that says this."""

    @abstractmethod
    def end(self, last: Piece) -> list[dict[str, Any]]:
        """The records at the end of a stream, of which one says `last`."""

    @abstractmethod
    def one_piece(self, said: Piece) -> dict[str, Any]:
        """The record that says all."""

    @property
    def asks_for_usage(self) -> bool:
        return _object(self.wanted.body.get("stream_options")).get("include_usage") is True

    def usage(self) -> dict[str, int]:
        prompt, tokens = self.completion.prompt_tokens, self.completion.tokens
        return {"prompt_tokens": prompt, "completion_tokens": tokens, "total_tokens": prompt + tokens}

    def logprobs(self, piece: Piece) -> dict[str, Any]:
        return {"logprobs": {"content": list(piece.logprobs)}} if self.wanted.logprobs and piece.logprobs else {}


class _ChatAnswer(_Answer):
    prefix = "chatcmpl"

    def __init__(self, completion: Completion, wanted: Wanted) -> None:
        super().__init__(completion, wanted)
        self._call_ids, self._called = call_ids(wanted), 0
        self._reason_alone = wanted.since(_REASON_ALONE_SINCE)
        self._first_s: float | None = None

    @staticmethod
    def pieces(choice: Mapping[str, Any], at_s: float) -> list[Piece]:
        message = _object(choice.get("delta")) or _object(choice.get("message"))
        pieces = []
        if thinking := _text(message.get("reasoning")):
            pieces.append(Piece(thinking=thinking, at_s=at_s))
        text, logprobs = _text(message.get("content")), _logprobs(choice)
        if text or logprobs:
            pieces += by_token(text, logprobs, at_s)
        if calls := tuple(map(_call, _objects(message.get("tool_calls")))):
            pieces.append(Piece(calls=calls, at_s=at_s))
        return pieces

    def event(self, piece: Piece) -> dict[str, Any]:
        return self._event(self._said(piece), piece, None)

    def end(self, last: Piece) -> list[dict[str, Any]]:
        records, said = [], self._said(last)
        if self._reason_alone:
            nothing = Piece(at_s=last.at_s)
            records += [self.event(last)] if last != nothing else []
            last, said = nothing, {}
        called = self._called and self.wanted.since(_CALLED_IN_STREAM_SINCE)
        records.append(self._event(said, last, _CALLED if called else str(self.completion.done_reason)))
        if self.asks_for_usage:
            records.append({**records[-1], "choices": [], "usage": self.usage()})
        return records

    def one_piece(self, said: Piece) -> dict[str, Any]:
        message = {"role": "assistant", **self._said(said)}
        reason = _CALLED if said.calls else str(self.completion.done_reason)
        choice = {"index": 0, "message": message, "finish_reason": reason, **self.logprobs(said)}
        return {**self._head("chat.completion", said.at_s), "choices": [choice], "usage": self.usage()}

    def _event(self, said: Mapping[str, Any], piece: Piece, reason: str | None) -> dict[str, Any]:
        is_first, at_s = self._first_s is None, piece.at_s
        if self._first_s is None:
            self._first_s = at_s
        if self._reason_alone:
            at_s = self._first_s
        role = {"role": "assistant"} if said and (is_first or not self._reason_alone) else {}
        choice = {"index": 0, "delta": {**role, **said}, "finish_reason": reason, **self.logprobs(piece)}
        return {**self._head("chat.completion.chunk", at_s), "choices": [choice]}

    def _head(self, kind: str, at_s: float) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": kind,
            "created": _created(at_s),
            "model": self.wanted.model,
            "system_fingerprint": "fp_ollama",
        }

    def _said(self, piece: Piece) -> dict[str, Any]:
        reasons = piece.thinking and self.wanted.since(_REASONING_SINCE)
        return {
            "content": piece.text,
            **({"reasoning": piece.thinking} if reasons else {}),
            **({"tool_calls": [self._call(call) for call in piece.calls]} if piece.calls else {}),
        }

    def _call(self, call: Call) -> dict[str, Any]:
        numbered = self.wanted.stream or self.wanted.since(_NUMBERED_IN_ONE_PIECE_SINCE)
        index = self._called if numbered else 0
        self._called += 1
        function = {"name": call.name, "arguments": go_json(arguments_of(call, self.wanted)).decode()}
        return {"id": next(self._call_ids), "index": index, "type": "function", "function": function}


class _TextAnswer(_Answer):
    prefix = "cmpl"

    @staticmethod
    def pieces(choice: Mapping[str, Any], at_s: float) -> list[Piece]:
        text, logprobs = _text(choice.get("text")), _logprobs(choice)
        return by_token(text, logprobs, at_s) if text or logprobs else []

    def event(self, piece: Piece) -> dict[str, Any]:
        usage = {"usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}}
        return self._event([self._choice(piece, None)], piece.at_s) | (usage if self.asks_for_usage else {})

    def end(self, last: Piece) -> list[dict[str, Any]]:
        reason = str(self.completion.done_reason)
        records = [self.event(last) | {"choices": [self._choice(last, reason)]}]
        if self.asks_for_usage:
            records.append(records[0] | {"choices": [], "usage": self.usage()})
        return records

    def one_piece(self, said: Piece) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": "text_completion",
            "created": _created(said.at_s),
            "model": self.wanted.model,
            "system_fingerprint": "fp_ollama",
            "choices": [self._choice(said, str(self.completion.done_reason))],
            "usage": self.usage(),
        }

    def _event(self, choices: list[dict[str, Any]], at_s: float) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": "text_completion",
            "created": _created(at_s),
            "choices": choices,
            "model": self.wanted.model,
            "system_fingerprint": "fp_ollama",
        }

    def _choice(self, piece: Piece, reason: str | None) -> dict[str, Any]:
        return {"text": piece.text, "index": 0, "finish_reason": reason, **self.logprobs(piece)}


# --- the dialect ------------------------------------------------------------------------------------------------------


class _OpenAi:
    """The dialect of the route whose records this kind of answer writes."""

    def __init__(self, answer: type[_Answer]) -> None:
        self._answer = answer

    def read(self, recording: Recording) -> Completion | None:
        pieces, reason, usage, end_s = list[Piece](), "", _object(None), 0.0
        for at_s, record in _records(recording):
            usage = _object(record.get("usage")) or usage
            for choice in _objects(record.get("choices")):
                said, ends = self._answer.pieces(choice, at_s), _text(choice.get("finish_reason"))
                if ends:
                    reason, end_s = ends, at_s
                pieces += said if said or ends else [Piece(at_s=at_s)]
        if not reason:
            return None
        why = DoneReason(reason) if reason in tuple(DoneReason) else DoneReason.STOP
        read = Completion(done_reason=why, end_s=end_s).with_pieces(*pieces)
        return replace(
            read,
            prompt_tokens=_number(usage.get("prompt_tokens"), 0),
            tokens=_number(usage.get("completion_tokens"), read.tokens),
        )

    def headers(self, wanted: Wanted) -> Headers:
        return (("Content-Type", _EVENTS if wanted.stream else _JSON),)

    def stream(self, completion: Completion, wanted: Wanted) -> Sequence[tuple[float, bytes]]:
        answer, said = self._answer(completion, wanted), sent(completion, wanted)
        frames = [(piece.at_s, _event(answer.event(piece))) for piece in said.pieces]
        return [*frames, (completion.end_s, b"".join(map(_event, answer.end(said.last))) + _DONE)]

    def whole(self, completion: Completion, wanted: Wanted) -> bytes:
        said = sent(completion, wanted)
        everything = joined((*said.pieces, said.last), at_s=completion.end_s)
        return go_json(self._answer(completion, wanted).one_piece(everything)) + b"\n"


CHAT_COMPLETIONS: Dialect = _OpenAi(_ChatAnswer)
TEXT_COMPLETIONS: Dialect = _OpenAi(_TextAnswer)


def _event(record: Mapping[str, Any]) -> bytes:
    return b"data: " + go_json(record) + b"\n\n"


def _created(at_s: float) -> int:
    return int(EPOCH.timestamp() + at_s)


# --- reading ----------------------------------------------------------------------------------------------------------


def _records(recording: Recording) -> Iterator[tuple[float, Mapping[str, Any]]]:
    """The JSON objects of an answer, each with the time when it was whole."""
    if recording.response.media_type == _EVENTS:
        yield from events(recording)
    elif recording.frames:
        yield recording.frames[-1].at_s, read_object(recording.body)


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _objects(value: Any) -> list[Mapping[str, Any]]:
    return [one for one in listed(value) if isinstance(one, Mapping)]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _number(value: Any, otherwise: int) -> int:
    return value if isinstance(value, int) else otherwise


def _logprobs(choice: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    entries = _objects(_object(choice.get("logprobs")).get("content"))
    return [entry for entry in entries if isinstance(entry.get("token"), str)]


def _call(value: Mapping[str, Any]) -> Call:
    function = _object(value.get("function"))
    return Call(name=_text(function.get("name")), arguments=read_object(_text(function.get("arguments"))))
