"""A completion: what a model says in one turn, whatever API it is sent over.

A dialect reads one from a recorded answer and writes one as an answer. So an answer that was recorded on one route, as
a stream, of one model, can be given on another route, in one piece, and cut where a request says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

__all__ = ["LOAD_NS", "Call", "Completion", "DoneReason", "Piece", "Timing", "by_token"]

#: What loading a model takes that is in memory, where nothing was recorded.
LOAD_NS = 1_042_647

#: About how many tokens a call is, with what the template of a model adds to it.
_CALL_TOKENS = 12


class DoneReason(StrEnum):
    """Why the model stopped; the value is Ollama's word for it."""

    STOP = "stop"  # it ended by itself, or at a stop sequence
    LENGTH = "length"  # it reached num_predict
    LOAD = "load"  # it was only loaded
    UNLOAD = "unload"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call of a tool. `arguments` is a JSON object."""

    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """What one record of a stream says: some text, some thinking, or some calls; one of the three.

    `at_s` is when it is said, in seconds since the request was sent. `logprobs` are entries as /api/chat has them.
    """

    text: str = ""
    thinking: str = ""
    calls: tuple[Call, ...] = ()
    logprobs: tuple[Mapping[str, Any], ...] = ()
    at_s: float = 0.0

    @property
    def tokens(self) -> int:
        """About how many tokens it is: one, or more for calls."""
        return _CALL_TOKENS * len(self.calls) or 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """What the last record says about time, in nanoseconds."""

    load_ns: int = 0
    prompt_ns: int = 0
    eval_ns: int = 0


@dataclass(frozen=True, kw_only=True)
class Completion:
    """One turn. `prompt_tokens` were read and `tokens` were made; a piece is about a token.

    `end_s` is when the last record comes, in seconds since the request was sent. `context` are the tokens that
    /api/generate sends back.
    """

    pieces: tuple[Piece, ...] = ()
    done_reason: DoneReason = DoneReason.STOP
    prompt_tokens: int = 0
    tokens: int = 0
    end_s: float = 0.0
    timing: Timing = field(default_factory=Timing)
    context: tuple[int, ...] = ()

    @property
    def text(self) -> str:
        """All of the text, without the thinking."""
        return "".join(piece.text for piece in self.pieces)

    @property
    def thinking(self) -> str:
        return "".join(piece.thinking for piece in self.pieces)

    @property
    def calls(self) -> tuple[Call, ...]:
        return tuple(call for piece in self.pieces for call in piece.calls)

    @property
    def logprobs(self) -> tuple[Mapping[str, Any], ...]:
        return tuple(each for piece in self.pieces for each in piece.logprobs)

    @property
    def only_loads(self) -> bool:
        """Whether nothing was said, because the request only loads or unloads the model."""
        return self.done_reason in (DoneReason.LOAD, DoneReason.UNLOAD)

    def with_pieces(self, *pieces: Piece) -> Completion:
        """The same turn with other pieces, as many tokens as these are, and one for the end."""
        tokens = sum(piece.tokens for piece in pieces) + (self.done_reason is DoneReason.STOP)
        return replace(self, pieces=pieces, tokens=tokens)


def by_token(text: str, logprobs: Sequence[Mapping[str, Any]], at_s: float) -> list[Piece]:
    """A text as one piece, or as a piece for each token if its tokens are known."""
    if len(logprobs) < 2 or text != "".join(each["token"] for each in logprobs):
        return [Piece(text=text, logprobs=tuple(logprobs), at_s=at_s)]
    return [Piece(text=each["token"], logprobs=(each,), at_s=at_s) for each in logprobs]
