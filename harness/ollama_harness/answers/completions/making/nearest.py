"""Which recorded answer is nearest to a request, by what the request wants.

The first difference in this order decides: what kind of answer it is (only loading, a call, JSON, text); whether it
says anything, thinks, inserts or takes a raw prompt, has logprobs, and comes beside tools; whether it is the user's
own; whether the same was asked, and the answer does not break off in its first sentence; whether the answer ends by
itself, and soon; and last how it was asked: the route, a stream or not. A short answer that ends by itself is what an
ordinary request gets, because one that was cut off looks like a failure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ollama_harness.answers.completions.completion import Completion, DoneReason
from ollama_harness.answers.completions.making.fit import breaks_off
from ollama_harness.answers.completions.making.tools import tools_called
from ollama_harness.answers.completions.wanted import Wanted
from ollama_harness.recordings.recording import Recording

__all__ = ["CompletionSource", "nearest", "thinking_for"]

#: A first piece that comes later had to wait for the model, or for a long prompt.
_LATE_S = 1.0

#: A text that begins so was to be a call, or JSON.
_CALL_BEGINS = ("{", "[")


@dataclass(frozen=True, slots=True)
class CompletionSource:
    """A recording, the completion in its answer, and what its request wanted. `is_own` is one of the user's."""

    recording: Recording
    completion: Completion
    wanted: Wanted
    is_own: bool = False

    @property
    def first_s(self) -> float:
        """When the first piece comes."""
        return self.completion.pieces[0].at_s if self.completion.pieces else self.completion.end_s


def nearest(wanted: Wanted, sources: Iterable[CompletionSource]) -> CompletionSource | None:
    """The source that is nearest to a request; None if there are none."""
    return min(sources, key=_distance_to(wanted), default=None)


def thinking_for(wanted: Wanted, sources: Iterable[CompletionSource]) -> Sequence[CompletionSource]:
    """The sources that have thinking, the nearest first."""
    return sorted((source for source in sources if source.completion.thinking), key=_distance_to(wanted))


def _distance_to(wanted: Wanted) -> Callable[[CompletionSource], tuple[object, ...]]:
    """A sort key: the smallest is the nearest."""
    calls = bool(tools_called(wanted))
    is_json = wanted.is_json and not calls

    def distance(source: CompletionSource) -> tuple[object, ...]:
        completion, other = source.completion, source.wanted
        loads, called, text = completion.only_loads, bool(completion.calls), completion.text.strip()
        return (
            wanted.only_loads != loads,
            calls != called,
            is_json != (other.is_json and not called),
            not (loads or called or text),
            text.startswith(_CALL_BEGINS) and not is_json,
            wanted.thinks != bool(completion.thinking),
            wanted.unloads != other.unloads,
            wanted.inserts != other.inserts,
            wanted.raw != other.raw,
            wanted.logprobs != bool(completion.logprobs),
            bool(wanted.tools) != bool(other.tools),
            wanted.after_call != other.after_call,
            wanted.format != other.format,
            not source.is_own,
            not _asks_the_same(wanted, other) or breaks_off(completion, wanted.num_predict),
            cut := completion.done_reason is not DoneReason.STOP,
            source.first_s > _LATE_S,
            not text.isascii(),
            -len(completion.pieces) if cut else len(completion.pieces),
            wanted.use != other.use,
            wanted.path != other.path,
            wanted.stream != other.stream,
            source.recording.name,
        )

    return distance


def _asks_the_same(wanted: Wanted, other: Wanted) -> bool:
    """Whether two requests put the same prompt to the model. A request's own template makes another of it."""
    return wanted.prompt == other.prompt and wanted.body.get("template") == other.body.get("template")
