"""What a user arranged with `FakeOllama.play`, `reply`, `embed` and `fail`: the newest that suits a request answers it.

All connections of a server share the list, where each use counts, so a lock guards it. It is not held while a `when` of
the user's runs, which may take its time, or ask the server itself.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from ollama_harness.answers.model_name import parse_name
from ollama_harness.answers.own_answers import OwnAnswer
from ollama_harness.faults import Fault
from ollama_harness.recordings.recording import Request
from ollama_harness.script.script import Script

__all__ = ["Play", "Plays", "When"]

#: Whether a request gets an answer.
When = Callable[[Request], object]


@dataclass(slots=True, kw_only=True, eq=False)
class Play:
    """An arranged answer: requests for this method and path (None: any) get it, `left` more times (None: always).

    It answers only what `when` says yes to, and only for this `model`. One that stands `before_guard` also answers what
    Ollama would refuse for its Host or Origin. An own answer is made for each request, and then struck by `faults`.
    """

    answer: Script | OwnAnswer
    name: str
    method: str | None = None
    path: str | None = None
    model: str | None = None
    when: When | None = None
    left: int | None = None
    before_guard: bool = False
    faults: tuple[Fault, ...] = ()

    def is_for(self, method: str, path: str) -> bool:
        """Whether it is for requests for this method and path."""
        return self.left != 0 and self.method in (None, method) and self.path in (None, path)

    def is_for_model(self, name: str) -> bool:
        """Whether it is for requests with this model, named as Ollama reads names."""
        return self.model is None or parse_name(self.model).key == parse_name(name).key

    @property
    def script(self) -> Script | None:
        """The script that a request gets whatever else it says; None if more than its head decides."""
        return self.answer if isinstance(self.answer, Script) and self.when is None else None


class Plays:
    """What was arranged, the newest first. `permanent` are there from the beginning, and cannot be cleared."""

    def __init__(self, permanent: Iterable[Play] = ()) -> None:
        self._permanent = tuple(permanent)
        self._plays = list(self._permanent)
        self._lock = threading.Lock()

    def add(self, play: Play) -> None:
        """Arrange an answer before all others."""
        with self._lock:
            self._plays.insert(0, play)

    def clear(self) -> None:
        """Forget all but the permanent ones."""
        with self._lock:
            self._plays = list(self._permanent)

    def find(self, method: str, path: str, *, before_guard: bool) -> Iterator[Play]:
        """Those for this method and path, of those that stand before the guard or after it; this counts as no use."""
        with self._lock:
            plays = tuple(self._plays)
        return (play for play in plays if play.before_guard is before_guard and play.is_for(method, path))

    def use(self, play: Play) -> bool:
        """Count a use; False if others have used it up meanwhile."""
        with self._lock:
            if play.left == 0:
                return False
            if play.left is not None:
                play.left -= 1
            return True

    def take_on_accept(self) -> Play | None:
        """The newest, if it does not await a request; this counts as a use."""
        with self._lock:
            newest = next((one for one in self._plays if one.left != 0), None)
        if newest is None or newest.script is None or newest.script.awaits_request:
            return None
        return newest if self.use(newest) else None
