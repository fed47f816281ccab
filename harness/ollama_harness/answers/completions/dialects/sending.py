"""What each record of a stream says, whatever the route: the pieces of a completion as a version of Ollama sends them.

All routes have the records of /api/chat and /api/generate behind them, so these rules hold for all:

* before 0.9.0 there is no thinking: the model's `<think>…</think>` is text like any other;
* before 0.8.0 a request with tools gets its answer at the end: one record with all calls and no text, or else the text
  in the last record;
* later each call has a record of its own, when it is whole; a text that begins as a call does (`{` or `[`) is held
  back until the end, and comes with the last record.

Source: the recordings `chat-tools-*` and `chat-think-*`; server/routes.go (`ChatHandler`), tools/tools.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from random import Random
from string import ascii_lowercase, digits
from typing import Any

from ollama_harness.answers.completions.completion import Call, Completion, Piece
from ollama_harness.answers.completions.dialects.values import as_map
from ollama_harness.answers.completions.wanted import Wanted
from ollama_harness.answers.requests.model_use import Use

__all__ = ["Sent", "arguments_of", "call_ids", "joined", "sent", "thinking_as_text"]

_CALLS_ONE_BY_ONE_SINCE = "0.8.0"
_THINKING_SINCE = "0.9.0"
_ARGUMENTS_AS_SAID_SINCE = "0.14.0"

#: What a template without a tag of its own begins its calls with.
_CALL_BEGINS = ("{", "[")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A piece for each record before the last one; `last` is what the last one says, nothing as a rule."""

    pieces: tuple[Piece, ...]
    last: Piece


def sent(completion: Completion, wanted: Wanted) -> Sent:
    """The pieces by record, as the version that is wanted sends them."""
    pieces = completion.pieces
    if not wanted.since(_THINKING_SINCE):
        pieces = tuple(thinking_as_text(pieces))
    calling = [piece for piece in pieces if piece.calls]
    has_tools = wanted.use is Use.CHAT and bool(wanted.body.get("tools"))
    nothing = Piece(at_s=completion.end_s)
    if not wanted.since(_CALLS_ONE_BY_ONE_SINCE):
        if calling:
            calls = tuple(call for piece in calling for call in piece.calls)
            return Sent(pieces=(Piece(calls=calls, at_s=calling[-1].at_s),), last=nothing)
        if has_tools:
            return Sent(pieces=(), last=joined(pieces, at_s=completion.end_s))
        return Sent(pieces=pieces, last=nothing)
    text = "".join(piece.text for piece in pieces)
    if has_tools and not calling and text.lstrip().startswith(_CALL_BEGINS):
        held = [piece for piece in pieces if not piece.thinking]
        return Sent(pieces=tuple(piece for piece in pieces if piece.thinking), last=joined(held, at_s=completion.end_s))
    return Sent(pieces=tuple(_call_by_call(pieces)), last=nothing)


def joined(pieces: Iterable[Piece], *, at_s: float) -> Piece:
    """All that several pieces say, as one record says it."""
    pieces = tuple(pieces)
    return Piece(
        text="".join(piece.text for piece in pieces),
        thinking="".join(piece.thinking for piece in pieces),
        calls=tuple(call for piece in pieces for call in piece.calls),
        logprobs=tuple(each for piece in pieces for each in piece.logprobs),
        at_s=at_s,
    )


def thinking_as_text(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """The thinking between the tags that a model says itself. One that was cut off has no end."""
    thinks = False
    for piece in pieces:
        if piece.thinking and not thinks:
            thinks = True
            yield Piece(text="<think>", at_s=piece.at_s)
        elif thinks and (piece.text or piece.calls):
            thinks = False
            yield Piece(text="</think>\n", at_s=piece.at_s)
        yield replace(piece, text=piece.thinking, thinking="") if piece.thinking else piece


def _call_by_call(pieces: Iterable[Piece]) -> Iterator[Piece]:
    for piece in pieces:
        if len(piece.calls) > 1:
            yield from (replace(piece, calls=(call,)) for call in piece.calls)
        else:
            yield piece


def call_ids(wanted: Wanted) -> Iterator[str]:
    """The ids of the calls of an answer, as Ollama makes them; the same request gets the same."""
    random = Random(wanted.seed)
    while True:
        yield "call_" + "".join(random.choices(ascii_lowercase + digits, k=8))


def arguments_of(call: Call, wanted: Wanted) -> dict[str, Any]:
    """The arguments of a call in the order in which the version writes them."""
    arguments = {name: as_map(value) for name, value in call.arguments.items()}
    return arguments if wanted.since(_ARGUMENTS_AS_SAID_SINCE) else dict(sorted(arguments.items()))
