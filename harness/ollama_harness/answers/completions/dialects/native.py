"""The dialects of /api/chat and /api/generate: NDJSON, or one JSON object.

By version:

* before 0.12.0 a chat's `done_reason` stands before `done`, later after it; a generate's always after it;
* `thinking` since 0.9.0, `logprobs` since 0.12.11: of a chat before the metrics, of a generate at the end;
* a call has an `id` since 0.12.10; `function.index` is left out for 0 before 0.12.6, and in one piece before 0.8.0;
* the arguments of a call are sorted before 0.14.0, later as the model says them; what is inside them always is;
* the two durations of the model are whole milliseconds before 0.6.1; a single token takes no time in 0.12 and later,
  before 0.30.0.

Go leaves out what is empty or zero: metrics, thinking, context, logprobs. Loading and unloading answer in one piece,
without metrics. `sending` says which record says what.

0.9.6 takes no thinking out of an answer whose template has opened `<think>` itself: then all is text, the first piece
comes twice (`3`, `3 plus`), and so it is read.

Source: the recordings; api/types.go (`ChatResponse`, `GenerateResponse`, `Message`, `ToolCall`, `Logprob`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from ollama_harness.answers.completions.completion import Call, Completion, DoneReason, Piece, Timing, by_token
from ollama_harness.answers.completions.dialects.dialect import Dialect, stamp
from ollama_harness.answers.completions.dialects.sending import arguments_of, call_ids, joined, sent
from ollama_harness.answers.completions.wanted import Wanted
from ollama_harness.answers.reply import NDJSON, go_json
from ollama_harness.files.json_text import ndjson_lines, parse_json
from ollama_harness.recordings.recording import Headers, Recording

__all__ = ["CHAT", "GENERATE"]

_JSON = "application/json; charset=utf-8"

_NANOSECONDS_SINCE = "0.6.1"

#: The time of the first token was that of the prompt.
_FREE_TOKEN_SINCE, _FREE_TOKEN_BEFORE = "0.12.0", "0.30.0"

_CALLS_ONE_BY_ONE_SINCE = "0.8.0"
_DONE_FIRST_SINCE = "0.12.0"
_INDEX_ALWAYS_SINCE = "0.12.6"
_CALL_ID_SINCE = "0.12.10"


class _Native(ABC):
    """What the two have in common."""

    def read(self, recording: Recording) -> Completion | None:
        try:
            return self._read(recording)
        except (AttributeError, KeyError, TypeError, ValueError):  # a recording of the user's own may hold anything
            return None

    def _read(self, recording: Recording) -> Completion | None:
        found: list[tuple[float, Mapping[str, Any]]] = []
        for frame in recording.frames if recording.response.media_type == NDJSON else ():
            found += [(frame.at_s, parse_json(line)) for line in ndjson_lines(frame.data)]
        if recording.response.media_type == "application/json":
            found = [(recording.frames[-1].at_s, parse_json(recording.body))] if recording.frames else []
        if not found or not found[-1][1].get("done"):
            return None
        end_s, last = found[-1]
        pieces = [piece for at_s, record in found[:-1] for piece in self._pieces(record, at_s) or [Piece(at_s=at_s)]]
        return Completion(
            pieces=(*pieces, *self._pieces(last, end_s)),
            done_reason=DoneReason(last.get("done_reason", DoneReason.STOP)),
            prompt_tokens=_integer(last.get("prompt_eval_count", 0)),
            tokens=_integer(last.get("eval_count", 0)),
            end_s=end_s,
            timing=Timing(
                load_ns=_integer(last.get("load_duration", 0)),
                prompt_ns=_integer(last.get("prompt_eval_duration", 0)),
                eval_ns=_integer(last.get("eval_duration", 0)),
            ),
            context=tuple(map(_integer, last.get("context", ()))),
        )

    def headers(self, wanted: Wanted) -> Headers:
        return (("Content-Type", NDJSON if wanted.stream else _JSON),)

    def stream(self, completion: Completion, wanted: Wanted) -> Sequence[tuple[float, bytes]]:
        said, calls = sent(completion, wanted), _Calls(wanted)
        records = [(piece.at_s, self._record(piece, wanted, calls.written(piece.calls))) for piece in said.pieces]
        last = self._record(said.last, wanted, calls.written(said.last.calls), completion)
        return [(at_s, go_json(record) + b"\n") for at_s, record in (*records, (completion.end_s, last))]

    def whole(self, completion: Completion, wanted: Wanted) -> bytes:
        said = sent(completion, wanted)
        everything = joined((*said.pieces, said.last), at_s=completion.end_s)
        return go_json(self._record(everything, wanted, _Calls(wanted).written(everything.calls), completion))

    @abstractmethod
    def _said(self, record: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
        """The text of a record, and the object that its thinking and its calls stand in."""

    @abstractmethod
    def _record(
        self, piece: Piece, wanted: Wanted, calls: dict[str, Any], end: Completion | None = None
    ) -> dict[str, Any]:
        """A record that says this piece, its calls as they are written; with `end` it is the last one."""

    def _pieces(self, record: Mapping[str, Any], at_s: float) -> list[Piece]:
        """What a record says: thinking, then text, then calls. It has one of them in a stream."""
        text, message = self._said(record)
        logprobs = tuple(record.get("logprobs") or ())
        calls = tuple(
            Call(name=call["function"]["name"], arguments={**call["function"]["arguments"]})
            for call in message.get("tool_calls") or ()
        )
        pieces = []
        if thinking := message.get("thinking"):
            pieces.append(Piece(thinking=str(thinking), at_s=at_s))
        if text or (logprobs and not pieces):
            pieces += by_token(str(text), logprobs, at_s)
        if calls:
            pieces.append(Piece(calls=calls, at_s=at_s))
        return pieces


class _Chat(_Native):
    def _said(self, record: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
        message = record.get("message") or {}
        return message.get("content", ""), message

    def _record(
        self, piece: Piece, wanted: Wanted, calls: dict[str, Any], end: Completion | None = None
    ) -> dict[str, Any]:
        message = {"role": "assistant", "content": piece.text, **_thinking(piece), **calls}
        done, reason = {"done": end is not None}, _reason(end)
        return {
            "model": wanted.model,
            "created_at": stamp(piece.at_s),
            "message": message,
            **(done | reason if wanted.since(_DONE_FIRST_SINCE) else reason | done),
            **_logprobs(piece, wanted),
            **_metrics(end, wanted),
        }


class _Generate(_Native):
    def _said(self, record: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
        return record.get("response", ""), record

    def _record(
        self, piece: Piece, wanted: Wanted, calls: dict[str, Any], end: Completion | None = None
    ) -> dict[str, Any]:
        return {
            "model": wanted.model,
            "created_at": stamp(piece.at_s),
            "response": piece.text,
            **_thinking(piece),
            "done": end is not None,
            **_reason(end),
            **_context(end, wanted),
            **_metrics(end, wanted),
            **calls,
            **_logprobs(piece, wanted),
        }


CHAT: Dialect = _Chat()
GENERATE: Dialect = _Generate()


class _Calls:
    """Writes the calls of one answer, which it numbers."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted, self._ids, self._count = wanted, call_ids(wanted), 0

    def written(self, calls: Sequence[Call]) -> dict[str, Any]:
        return {"tool_calls": [self._one(call) for call in calls]} if calls else {}

    def _one(self, call: Call) -> dict[str, Any]:
        wanted, index = self._wanted, self._count
        self._count += 1
        numbered = wanted.since(_INDEX_ALWAYS_SINCE) or (
            index > 0 and (wanted.stream or wanted.since(_CALLS_ONE_BY_ONE_SINCE))
        )
        return {
            **({"id": next(self._ids)} if wanted.since(_CALL_ID_SINCE) else {}),
            "function": {
                **({"index": index} if numbered else {}),
                "name": call.name,
                "arguments": arguments_of(call, wanted),
            },
        }


def _integer(value: Any) -> int:
    if not isinstance(value, int):
        raise TypeError
    return value


def _thinking(piece: Piece) -> dict[str, Any]:
    return {"thinking": piece.thinking} if piece.thinking else {}


def _logprobs(piece: Piece, wanted: Wanted) -> dict[str, Any]:
    return {"logprobs": list(piece.logprobs)} if wanted.logprobs and piece.logprobs else {}


def _reason(end: Completion | None) -> dict[str, Any]:
    return {"done_reason": str(end.done_reason)} if end else {}


def _context(end: Completion | None, wanted: Wanted) -> dict[str, Any]:
    """The tokens of prompt and answer. Those of a completion that has none are made."""
    if end is None or end.only_loads or wanted.raw:
        return {}
    random = Random(wanted.seed)
    tokens = end.context or [random.randrange(1, 32_000) for _ in range(end.prompt_tokens + end.tokens)]
    return {"context": list(tokens)} if tokens else {}


def _metrics(end: Completion | None, wanted: Wanted) -> dict[str, Any]:
    if end is None or end.only_loads:
        return {}
    unit_ns = 1 if wanted.since(_NANOSECONDS_SINCE) else 1_000_000
    prompt_ns, eval_ns = (-(-ns // unit_ns) * unit_ns for ns in (end.timing.prompt_ns, end.timing.eval_ns))
    if end.tokens == 1 and wanted.since(_FREE_TOKEN_SINCE) and not wanted.since(_FREE_TOKEN_BEFORE):
        eval_ns = 0
    metrics = {
        "total_duration": max(int(end.end_s * 1e9), end.timing.load_ns + prompt_ns + eval_ns),
        "load_duration": end.timing.load_ns,
        "prompt_eval_count": end.prompt_tokens,
        "prompt_eval_duration": prompt_ns,
        "eval_count": end.tokens,
        "eval_duration": eval_ns,
    }
    return {name: value for name, value in metrics.items() if value}
