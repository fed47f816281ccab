"""Answers to requests that nobody recorded: the nearest recorded answer, made to fit."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from ollama_harness.answers.asked import Asked
from ollama_harness.answers.completions import tokens
from ollama_harness.answers.completions.dialects import DIALECTS, answered, embedded
from ollama_harness.answers.completions.making.embedder import Embedder
from ollama_harness.answers.completions.making.fit import fit, in_pieces
from ollama_harness.answers.completions.making.nearest import CompletionSource, nearest, thinking_for
from ollama_harness.answers.completions.wanted import Tool, Wanted, wanted_of
from ollama_harness.answers.world import World
from ollama_harness.recordings.recording import Recording, Request

__all__ = ["Made", "Maker"]


@dataclass(frozen=True, slots=True)
class Made:
    """An answer that was made, as a recording, and what it was made of."""

    recording: Recording
    why: str


class Maker:
    """Makes answers of the recordings of one version, which were recorded in `world`.

    Those with the ids in `first` are taken before others of the same kind.
    """

    def __init__(self, recordings: Sequence[Recording], world: World, *, first: Collection[str] = ()) -> None:
        self._recordings, self._world, self._first = recordings, world, frozenset(first)

    def answer(self, wanted: Wanted, request: Request) -> Made | None:
        """The answer to a request, or None if nothing was recorded that it could be made of."""
        if wanted.embeds:
            return self._vectors(wanted, request)
        source = nearest(wanted, self.sources)
        if source is None:
            return None
        thought = None
        if wanted.thinks and not source.completion.thinking:
            thought = next(iter(thinking_for(wanted, self.sources)), None)
        completion = fit(
            source.completion,
            wanted,
            same_format=source.wanted.format == wanted.format,
            thought=thought.completion if thought else None,
        )
        told = completion.prompt_tokens and _told(wanted) == _told(source.wanted)
        if not told and not wanted.only_loads:
            completion = replace(completion, prompt_tokens=tokens.prompt_tokens(dict(wanted.body)))
        name = source.recording.name
        recording = answered(DIALECTS[wanted.path], completion, wanted, request=request, name=name)
        return Made(recording, "the nearest, made to fit")

    def _vectors(self, wanted: Wanted, request: Request) -> Made:
        recording = embedded(self._embedder.embedding(wanted), wanted, request=request, name="vectors")
        return Made(recording, "a vector for each text")

    @cached_property
    def _embedder(self) -> Embedder:
        return Embedder(one for one in self._recordings if one.is_of_its_request)

    def of(self, recordings: Sequence[Recording]) -> Maker:
        """A maker that has only these of its recordings."""
        ids = {recording.id for recording in recordings}
        fewer = Maker(recordings, self._world, first=self._first)
        fewer.__dict__["sources"] = tuple(source for source in self.sources if source.recording.id in ids)
        return fewer

    @cached_property
    def sources(self) -> tuple[CompletionSource, ...]:
        """The recordings that an answer can be made of."""
        return tuple(source for recording in self._recordings if (source := self._source(recording)) is not None)

    def _source(self, recording: Recording) -> CompletionSource | None:
        """A recorded answer with what its request wanted; None where it is no good answer of a model."""
        request, dialect = recording.request, DIALECTS.get(recording.request.path)
        if dialect is None or recording.response.status != 200 or not recording.is_of_its_request:
            return None
        asked = Asked(method=request.method, target=request.path, body=request.content or b"")
        wanted = wanted_of(asked, self._world)
        completion = dialect.read(recording)
        if wanted is None or completion is None:
            return None
        completion = completion if wanted.stream else in_pieces(completion)
        return CompletionSource(recording, completion, wanted, is_own=recording.id in self._first)


def _told(wanted: Wanted) -> tuple[str, tuple[Tool, ...]]:
    """What a model is told by a request."""
    return wanted.conversation, wanted.tools
