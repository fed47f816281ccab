"""Answers of the user's own: what a model is to say, the vectors that it is to give, or an error.

A text or a vector is the answer of an Ollama that has the model: whatever model is asked for is there, and can do
everything. So one that was never recorded needs no arranging. Everything else is as ever: a request that Ollama cannot
read, or that it refuses for one of its fields, is refused by rule, because a real Ollama would never come to the words.
An error needs no readable request.

The words are sent as they are. Nothing of a request cuts or checks them, neither `stop` nor `num_predict` nor `format`
nor its tools; it decides the route, the stream, the model's name, log probabilities, and whether there is thinking.
"""

from __future__ import annotations

import json as json_module
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Protocol

from ollama_harness.answers.answering import Answer, answer
from ollama_harness.answers.asked import Asked
from ollama_harness.answers.completions import (
    DIALECTS,
    EMBEDDING_ROUTES,
    Call,
    DoneReason,
    Wanted,
    answered,
    embedded,
    own_embedding,
    own_vectors,
    own_words,
    spoken,
    wanted_of,
)
from ollama_harness.answers.reply import Reply
from ollama_harness.answers.requests.model_use import ref_name
from ollama_harness.answers.requests.native_request import request_of
from ollama_harness.answers.requests.translation import translation
from ollama_harness.answers.route_error import route_error
from ollama_harness.answers.rules.rule import Step
from ollama_harness.answers.world import CAPABILITIES, Model, World
from ollama_harness.recordings.recording import Recording, Request

__all__ = ["EMBEDDING_ROUTES", "TEXT_ROUTES", "Given", "OwnAnswer", "OwnError", "OwnReply", "OwnVectors", "own_reply"]

TEXT_ROUTES = tuple(DIALECTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """An own answer to one request: as a recording, at the times at which it is played, or as a reply without times.

    A request that only loads the model, or that embeds nothing, gets what Ollama says to that, and this is no use.
    """

    answer: Recording | Reply
    why: str
    is_use: bool = True


class OwnAnswer(Protocol):
    """What a user has arranged. `name` is the method that arranges it."""

    @property
    def name(self) -> str: ...

    def suits(self, asked: Asked, world: World, /) -> bool:
        """Whether a request is one that this can answer."""

    def give(self, asked: Asked, world: World, request: Request, gap_s: float, /) -> Given | Answer:
        """The answer to a request that it suits, or what refuses the request. `request` is it, as recordings have it.

        `gap_s` is the time between two tokens where the user gave none.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnReply:
    """One turn in the user's words, checked. A text is split as a tokenizer would, a tuple is taken as the tokens."""

    text: str | tuple[str, ...]
    thinking: str | tuple[str, ...]
    calls: tuple[Call, ...]
    done_reason: DoneReason
    tokens_per_s: float | None
    first_token_s: float | None

    name = "reply"

    def suits(self, asked: Asked, world: World, /) -> bool:
        wanted = _wanted(asked, world)
        return wanted is not None and not wanted.embeds

    def give(self, asked: Asked, world: World, request: Request, gap_s: float, /) -> Given | Answer:
        if (refused := _refused(asked, world)) is not None:
            return refused
        wanted = _wanted(asked, world)
        assert wanted is not None
        said = spoken(
            self.text,
            thinking=self.thinking,
            calls=self.calls,
            done_reason=self.done_reason,
            first_s=gap_s if self.first_token_s is None else self.first_token_s,
            gap_s=gap_s if self.tokens_per_s is None else 1 / self.tokens_per_s,
        )
        recording = answered(DIALECTS[wanted.path], own_words(said, wanted), wanted, request=request, name="reply")
        why = "your words"
        if wanted.only_loads:
            why = "the model is there for your words, which this request does not ask for"
        elif self.calls and not wanted.body.get("tools"):
            why += ", with a tool call though the request offers no tools"
        return Given(answer=recording, why=why, is_use=not wanted.only_loads)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnVectors:
    """The user's vectors, one for each text, from the first again where there are more texts."""

    vectors: tuple[bytes, ...]

    name = "embed"

    @classmethod
    def of(cls, vectors: Sequence[Sequence[float]]) -> OwnVectors:
        """The vectors, checked.

        Raises: ValueError.
        """
        return cls(vectors=own_vectors(vectors))

    def suits(self, asked: Asked, world: World, /) -> bool:
        wanted = _wanted(asked, world)
        return wanted is not None and wanted.embeds

    def give(self, asked: Asked, world: World, request: Request, gap_s: float, /) -> Given | Answer:
        if (refused := _refused(asked, world)) is not None:
            return refused
        wanted = _wanted(asked, world)
        assert wanted is not None
        embedding = replace(own_embedding(self.vectors, wanted), end_s=gap_s)
        recording = embedded(embedding, wanted, request=request, name="embed")
        return Given(answer=recording, why="your vectors", is_use=bool(wanted.texts))


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnError:
    """An error with the user's message, in the shape of the route that is asked."""

    status: int
    message: str

    name = "fail"

    @classmethod
    def of(cls, status: int, message: str) -> OwnError:
        """The error, checked.

        Raises: ValueError.
        """
        if isinstance(status, bool) or not isinstance(status, int) or not 400 <= status <= 599:
            raise ValueError(f"status: {status!r} is no status of an error; give one from 400 to 599")
        if not isinstance(message, str):
            raise ValueError(f"message: {message!r} is no text; give the message of the error")
        return cls(status=status, message=message)

    def suits(self, _asked: Asked, _world: World, /) -> bool:
        return True

    def give(self, asked: Asked, world: World, _request: Request, _gap_s: float, /) -> Given | Answer:
        return Given(answer=route_error(asked, world, self.status, self.message), why=f"your error: {self.message}")


def _wanted(asked: Asked, world: World) -> Wanted | None:
    """What a request wants of a model that can do everything; None if it wants nothing, or cannot be read."""
    if asked.path not in (*TEXT_ROUTES, *EMBEDDING_ROUTES):
        return None
    return wanted_of(asked, _able(asked, world))


def _refused(asked: Asked, world: World) -> Answer | None:
    """What refuses a request although the model is there."""
    return answer(asked, _able(asked, world), steps=(Step.REQUEST, Step.MODEL))


def _able(asked: Asked, world: World) -> World:
    """A world in which the model that is asked for is there, and can do everything."""
    read = translation(asked, world)
    native = asked if read is None else read.native
    request = None if native is None else request_of(native, world)
    name = "" if request is None else ref_name(request.model, world)
    if isinstance(name, str) or not name.is_valid:  # it names no model: the rules say so
        return world
    return _with_able(name.short, world)


@lru_cache(maxsize=64)  # what is answered in a world is kept by that world
def _with_able(name: str, world: World) -> World:
    model = Model(name=name, capabilities=frozenset(CAPABILITIES))
    return replace(world, models={name: model}, any_model=True, cloud=True)


# --- reading ----------------------------------------------------------------------------------------------------------


def own_reply(
    *,
    text: str | Sequence[str] | None = None,
    thinking: str | Sequence[str] | None = None,
    tool_calls: Sequence[Mapping[str, Any]] = (),
    json: Any = None,
    done_reason: str = "stop",
    tokens_per_s: float | None = None,
    first_token_s: float | None = None,
) -> OwnReply:
    """The fields of `FakeOllama.reply`, or of a file of replies, checked.

    Raises: ValueError; its text begins with the field.
    """
    if json is not None:
        if text is not None:
            raise ValueError("json: there is a text, too; give one of the two")
        text = _json_text(json, "json")
    calls = _calls(tool_calls)
    if text is None and thinking is None and not calls:
        raise ValueError(
            'text: there is nothing to say; give a text, thinking, tool_calls or json ("" is an empty answer)'
        )
    if done_reason not in ("stop", "length"):
        raise ValueError(f'done_reason: {done_reason!r} is none that an answer ends with; give "stop" or "length"')
    return OwnReply(
        text=_words(text, "text"),
        thinking=_words(thinking, "thinking"),
        calls=calls,
        done_reason=DoneReason(done_reason),
        tokens_per_s=_number(tokens_per_s, "tokens_per_s", "more than 0", above_zero=True),
        first_token_s=_number(first_token_s, "first_token_s", "0 or more"),
    )


def _words(value: Any, field: str) -> str | tuple[str, ...]:
    match value:
        case None:
            return ""
        case str():
            return value
        case list() | tuple() if value and all(isinstance(token, str) and token for token in value):
            return tuple(value)
    raise ValueError(f"{field}: {_shown(value)} is no text; give a text, or a list of tokens of which none is empty")


def _calls(value: Any) -> tuple[Call, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError(f'tool_calls: {_shown(value)} is no list; give [{{"name": "f", "arguments": {{}}}}]')
    return tuple(_call(one, f"tool_calls[{index}]") for index, one in enumerate(value))


def _call(value: Any, field: str) -> Call:
    """A call in the form of Ollama's or OpenAI's messages, or without what is around its name and arguments."""
    fields, known = value, {"name", "arguments", "id", "type", "index"}
    if isinstance(value, Mapping) and "function" in value:
        fields, field = value["function"], f"{field}.function"
        _refuse_unknown(value, {"function", "id", "type", "index"}, field)
    if not isinstance(fields, Mapping):
        raise ValueError(f'{field}: {_shown(fields)} is no call; give {{"name": "f", "arguments": {{}}}}')
    _refuse_unknown(fields, known, field)
    name, arguments = fields.get("name"), fields.get("arguments", {})
    if not isinstance(name, str) or not name:
        raise ValueError(f'{field}.name: the call has no name; give {{"name": "f", "arguments": {{}}}}')
    if isinstance(arguments, str):
        try:
            arguments = json_module.loads(arguments)
        except (ValueError, RecursionError):
            arguments = None
    if not isinstance(arguments, Mapping):
        raise ValueError(f"{field}.arguments: {_shown(fields['arguments'])} is no object; give one, or its JSON")
    return Call(name=name, arguments=json_module.loads(_json_text(dict(arguments), f"{field}.arguments")))


def _refuse_unknown(value: Mapping[str, Any], known: set[str], field: str) -> None:
    if unknown := [key for key in value if key not in known]:
        raise ValueError(f"{field}: a call has no field {unknown[0]!r}; the fields are name and arguments")


def _json_text(value: Any, field: str) -> str:
    try:
        return json_module.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{field}: {_shown(value)} is no JSON: {error}; give values that JSON has") from None


def _number(value: Any, field: str, kind: str, *, above_zero: bool = False) -> float | None:
    if value is None:
        return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not is_number or value < 0 or (above_zero and value == 0):
        raise ValueError(f"{field}: {_shown(value)} is no such number; give {kind}")
    return float(value)


def _shown(value: Any) -> str:
    return repr(value)[:60]
