"""A completion made to fit a request: what the request decides is changed, and everything else stays as recorded.

The order is that of Ollama: the model says something (calls, JSON, text, thinking), a stop sequence or `num_predict`
cuts it, and log probabilities are added to what is left.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from random import Random
from typing import Any

from ollama_harness.answers.completions import tokens
from ollama_harness.answers.completions.completion import LOAD_NS, Call, Completion, DoneReason, Piece, Timing
from ollama_harness.answers.completions.dialects.sending import thinking_as_text
from ollama_harness.answers.completions.making.made_json import JsonMaker, schema_in
from ollama_harness.answers.completions.making.tools import calls_for, tools_called
from ollama_harness.answers.completions.wanted import Wanted
from ollama_harness.files.json_text import parse_json
from ollama_harness.recordings.recording import GAP_S

__all__ = ["breaks_off", "fit", "in_pieces", "own_words", "spoken"]

#: What is thought where thinking was never recorded.
_THOUGHT = "The user asks something. I answer in a few words."

#: What JSON is where no schema is known.
_ANY_OBJECT = {"type": "object", "properties": {"answer": {"type": "string"}}}

#: From these versions on thinking comes apart from the text, and a model that can think does so by default.
_THINKING_SINCE, _THINKS_BY_DEFAULT_SINCE = "0.9.0", "0.12.5"


def fit(completion: Completion, wanted: Wanted, *, same_format: bool, thought: Completion | None = None) -> Completion:
    """The completion as it answers this request.

    `same_format` says that it answered a request with the same `format`. `thought` is one that has thinking.
    """
    if wanted.only_loads:
        return replace(completion, done_reason=DoneReason.UNLOAD if wanted.unloads else DoneReason.LOAD, pieces=())
    said = completion.pieces
    if tools_called(wanted):
        said = _with_calls(said, wanted)
    else:
        said = tuple(piece for piece in said if not piece.calls)
        schema = _schema(wanted) if wanted.is_json else None
        if wanted.is_json and not (same_format and schema in (None, wanted.format) and _is_json(completion.text)):
            made_value = JsonMaker(wanted.prompt).value(schema or _ANY_OBJECT)
            said = _saying(json.dumps(made_value, ensure_ascii=False), said)
    said = _thinking(said, wanted, thought)
    made = replace(completion, pieces=said) if said == completion.pieces else _stopped(completion, said)
    made = _ended_by_itself(made, wanted.num_predict)
    made = _cut_at_stop(made, wanted.stop)
    made = _cut_at_limit(made, wanted.num_predict)
    return replace(made, pieces=tuple(_with_logprobs(made.pieces, wanted)))


def in_pieces(completion: Completion) -> Completion:
    """A completion that came in one piece as it would have come in a stream: a piece a token, from the time of the
    first token on.
    """
    parts = [part for piece in completion.pieces for part in _parts(piece)]
    first_s = max(0.0, completion.end_s - completion.timing.eval_ns / 1e9)
    gap_s = (completion.end_s - first_s) / (len(parts) + 1)
    pieces = (replace(part, at_s=first_s + index * gap_s) for index, part in enumerate(parts))
    return replace(completion, pieces=tuple(pieces))


def _parts(piece: Piece) -> list[Piece]:
    if piece.calls or piece.logprobs:
        return [piece]
    return [Piece(thinking=token) for token in tokens.split(piece.thinking)] + [
        Piece(text=token) for token in tokens.split(piece.text)
    ]


def spoken(
    text: str | Sequence[str] = "",
    *,
    thinking: str | Sequence[str] = "",
    calls: Sequence[Call] = (),
    done_reason: DoneReason = DoneReason.STOP,
    first_s: float = GAP_S,
    gap_s: float = GAP_S,
) -> Completion:
    """A completion of one's own words: a list is taken as the tokens, a text is split as a tokenizer would.

    The first token comes after `first_s` seconds, and each other one `gap_s` after the one before. The durations in its
    last record are these, but never 0.
    """
    parts = [Piece(thinking=token) for token in _tokens(thinking)] + [Piece(text=token) for token in _tokens(text)]
    if calls:
        parts.append(Piece(calls=tuple(calls)))
    pieces = tuple(replace(piece, at_s=first_s + index * gap_s) for index, piece in enumerate(parts))
    said = Completion(end_s=first_s + len(pieces) * gap_s, done_reason=done_reason).with_pieces(*pieces)
    timing = Timing(
        load_ns=LOAD_NS,
        prompt_ns=max(int((first_s or GAP_S) * 1e9) - LOAD_NS, 1),
        eval_ns=int(len(pieces) * (gap_s or GAP_S) * 1e9),
    )
    return replace(said, timing=timing, tokens=said.tokens + _more_tokens(calls))


def _more_tokens(calls: Iterable[Call]) -> int:
    """How many tokens some calls have in a piece, which counts as one: those of the JSON that a model says."""
    texts = [json.dumps({"name": call.name, "arguments": call.arguments}, ensure_ascii=False) for call in calls]
    return max(sum(map(tokens.count, texts)) - 1, 0)


def own_words(completion: Completion, wanted: Wanted) -> Completion:
    """The user's own completion as the answer to this request: nothing cuts it, neither `stop` nor `num_predict`.

    Thinking is sent as a model's that can think: apart, in the text (before 0.12.5, if the request leaves it open), or
    not at all, if the request turns it off.
    """
    if wanted.only_loads:
        return fit(Completion(end_s=GAP_S), wanted, same_format=True)
    completion = replace(completion, prompt_tokens=tokens.prompt_tokens(dict(wanted.body)))
    said = completion.pieces
    if not wanted.thinks and wanted.since(_THINKING_SINCE):
        if wanted.since(_THINKS_BY_DEFAULT_SINCE) or wanted.body.get("think") is False:
            said = tuple(piece for piece in said if not piece.thinking)
        else:
            said = tuple(thinking_as_text(said))
    more = len(said) - len(completion.pieces)
    said = tuple(_with_logprobs(said, wanted))
    return replace(completion, pieces=said, tokens=completion.tokens + more)


def _tokens(text: str | Sequence[str]) -> list[str]:
    return tokens.split(text) if isinstance(text, str) else list(text)


def _stopped(completion: Completion, said: Sequence[Piece]) -> Completion:
    """Other pieces, which end by themselves one gap after the last."""
    end_s = max(completion.end_s, said[-1].at_s + _gap(said)) if said else completion.end_s
    return replace(completion, done_reason=DoneReason.STOP, end_s=end_s).with_pieces(*said)


# --- calls, JSON, thinking --------------------------------------------------------------------------------------------


def _with_calls(said: tuple[Piece, ...], wanted: Wanted) -> tuple[Piece, ...]:
    """The pieces with calls of the request's own tools in the place of what was called or said."""
    calls = calls_for(wanted, [call for piece in said for call in piece.calls])
    times = [piece.at_s for piece in said if piece.calls] or [piece.at_s for piece in said[-1:]] or [GAP_S]
    gap_s = _gap(said)
    made = [
        Piece(calls=(call,), at_s=times[index] if index < len(times) else times[-1] + (index - len(times) + 1) * gap_s)
        for index, call in enumerate(calls)
    ]
    before = [piece for piece in said if piece.thinking and piece.at_s <= made[0].at_s]
    return (*before, *made)


def _schema(wanted: Wanted) -> Mapping[str, Any] | None:
    """The schema of the JSON that is wanted: the request's own, or one that the prompt tells."""
    if isinstance(wanted.format, Mapping) and wanted.format:
        return wanted.format
    return schema_in(wanted.conversation)


def _is_json(text: str) -> bool:
    try:
        parse_json(text.encode())
    except ValueError:
        return False
    return True


def _saying(text: str, said: Sequence[Piece]) -> tuple[Piece, ...]:
    """The thinking of some pieces, and then another text, at their pace."""
    kept = tuple(piece for piece in said if piece.thinking)
    first_s = next((piece.at_s for piece in said if piece.text), GAP_S)
    gap_s = _gap(said)
    made = (Piece(text=token, at_s=first_s + index * gap_s) for index, token in enumerate(tokens.split(text)))
    return (*kept, *made)


def _thinking(said: tuple[Piece, ...], wanted: Wanted, thought: Completion | None) -> tuple[Piece, ...]:
    """The pieces with thinking before them if it is wanted, and without it if not."""
    if not wanted.thinks:
        return tuple(piece for piece in said if not piece.thinking)
    if any(piece.thinking for piece in said):
        return said
    thinking = thought.thinking if thought is not None else _THOUGHT
    gap_s, first_s = _gap(said), said[0].at_s if said else GAP_S
    parts = tokens.split(thinking)
    before = (Piece(thinking=token, at_s=first_s + index * gap_s) for index, token in enumerate(parts))
    return (*before, *(replace(piece, at_s=piece.at_s + len(parts) * gap_s) for piece in said))


def _gap(said: Sequence[Piece]) -> float:
    """The mean time between two pieces."""
    return (said[-1].at_s - said[0].at_s) / (len(said) - 1) if len(said) > 1 else GAP_S


# --- stop and num_predict ---------------------------------------------------------------------------------------------


def _ended_by_itself(completion: Completion, limit: int | None) -> Completion:
    """A completion that was cut at a lower limit than this one: up to its last whole sentence, as if it ended there."""
    if not _was_cut_sooner(completion, limit):
        return completion
    kept = _whole_sentences(completion.pieces) or completion.pieces
    return _ended(completion, kept, DoneReason.STOP, completion.end_s)


def breaks_off(completion: Completion, limit: int | None) -> bool:
    """Whether a completion was cut at a lower limit than this one, before its first sentence was whole."""
    return _was_cut_sooner(completion, limit) and not _whole_sentences(completion.pieces)


def _was_cut_sooner(completion: Completion, limit: int | None) -> bool:
    return completion.done_reason is DoneReason.LENGTH and (limit is None or limit > completion.tokens)


def _whole_sentences(pieces: Sequence[Piece]) -> Sequence[Piece]:
    ends = [at for at, piece in enumerate(pieces, start=1) if piece.text.rstrip().endswith((".", "!", "?"))]
    return pieces[: ends[-1]] if ends else ()


def _cut_at_stop(completion: Completion, stop: Sequence[str]) -> Completion:
    """The completion up to the first stop sequence in its text, which is not sent."""
    found = [at for text in stop if (at := completion.text.find(text)) >= 0]
    if not found:
        return completion
    left, kept = min(found), list[Piece]()
    for piece in completion.pieces:
        if piece.text and left <= len(piece.text):
            if left:
                kept.append(replace(piece, text=piece.text[:left]))
            return _ended(completion, kept, DoneReason.STOP, piece.at_s)
        left -= len(piece.text)
        kept.append(piece)
    return completion


def _cut_at_limit(completion: Completion, limit: int | None) -> Completion:
    """The completion up to its token `limit`."""
    if limit is None or completion.tokens <= limit:
        return completion
    sizes = list(accumulate(piece.tokens for piece in completion.pieces))
    if not sizes or sizes[-1] < limit:  # all that was said, and the end: the tokens that no record shows do not count
        return replace(completion, tokens=limit)
    kept = [piece for piece, size in zip(completion.pieces, sizes, strict=True) if size <= limit]
    end_s = completion.pieces[len(kept)].at_s if len(kept) < len(sizes) else completion.end_s
    return replace(_ended(completion, kept, DoneReason.LENGTH, end_s), tokens=limit)


def _ended(completion: Completion, kept: Sequence[Piece], why: DoneReason, end_s: float) -> Completion:
    return replace(completion, done_reason=why, end_s=end_s).with_pieces(*kept)


# --- log probabilities ------------------------------------------------------------------------------------------------


def _with_logprobs(pieces: Sequence[Piece], wanted: Wanted) -> Iterator[Piece]:
    """The pieces with an entry for each token if they are wanted, else without."""
    random = Random(wanted.seed)
    for piece in pieces:
        if not wanted.logprobs or piece.calls:
            yield replace(piece, logprobs=())
        elif piece.logprobs and all(_has(entry, wanted.top_logprobs) for entry in piece.logprobs):
            yield replace(piece, logprobs=tuple(_with_top(entry, wanted.top_logprobs) for entry in piece.logprobs))
        else:
            yield replace(piece, logprobs=(_entry(piece.text or piece.thinking, wanted.top_logprobs, random),))


def _has(entry: Mapping[str, Any], top: int) -> bool:
    return len(entry.get("top_logprobs") or ()) >= top


def _with_top(entry: Mapping[str, Any], top: int) -> Mapping[str, Any]:
    cut = {key: value for key, value in entry.items() if key != "top_logprobs"}
    return {**cut, "top_logprobs": list(entry["top_logprobs"])[:top]} if top else cut


def _entry(token: str, top: int, random: Random) -> Mapping[str, Any]:
    """A token with its log probability, and the likeliest tokens of its place: itself first."""
    logprob = -random.random()
    entry = _token(token, logprob)
    others = [text for text in (" the", " a", " and", ".", ",", " of", " to", " in", " is", "\n") if text != token]
    likely = [entry]
    while len(likely) < top:
        logprob = math.fsum((logprob, -random.random()))
        text = others[len(likely) - 1] if len(likely) <= len(others) else f" {len(likely)}"
        likely.append(_token(text, logprob))
    return {**entry, "top_logprobs": likely} if top else entry


def _token(text: str, logprob: float) -> dict[str, Any]:
    return {"token": text, "logprob": logprob, "bytes": list(text.encode("utf-8", "replace"))}
