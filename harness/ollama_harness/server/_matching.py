"""Which recording answers a request, and why; or which recording is nearest, and what differs.

Some fields of a request decide what kind of answer it gets (the model, whether it streams, tools, format, …). A
recording answers only requests that agree with its own in all of them. Prompts, messages and options do not decide.
Among the recordings that are left, the first in this order answers: the user's own; made with the same Host or Origin;
the fewest fields that differ; nothing was done to the server (no `intervention`); the longest (frames, then bytes); by
name. An error is the answer to one particular request, so a recorded error answers only a request equal to its own.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ollama_harness.files.json_text import parse_json
from ollama_harness.recordings.recording import Recording, Request
from ollama_harness.script.http1 import RequestHead

__all__ = ["Match", "Matcher", "Nearest", "received"]

#: Fields whose value decides.
_VALUES = ("model", "name", "format", "think", "raw", "logprobs", "dimensions", "source", "from", "truncate", "shift")
#: Values of fields that mean the same as no field.
_DEFAULTS = {"format": "", "think": False, "raw": False, "logprobs": False, "truncate": True, "shift": True}
#: Fields that decide only by being there and not empty.
_PRESENCE = ("tools", "images", "suffix", "prompt", "messages", "input")
#: Headers that decide if a recording was made with them.
_HEADERS = ("host", "origin")


@dataclass(frozen=True, slots=True)
class Match:
    """The recording that answers, and why it was chosen."""

    recording: Recording
    why: str
    is_same: bool  # the recorded request agrees in all that counts


@dataclass(frozen=True, slots=True)
class Nearest:
    """No recording answers. `recording` is the nearest (None if no recording has this path); `why` is what differs."""

    recording: Recording | None
    why: str


def received(head: RequestHead, body: bytes) -> Request:
    """A request from the wire in the form of recordings, without the query."""
    try:
        value = parse_json(body) if body else None
    except ValueError:  # no JSON, or JSON that cannot be used
        value = None
    text = body.decode("utf-8", "replace") if body and value is None else None
    return Request(method=head.method, path=head.target.partition("?")[0], headers=head.headers, json=value, body=text)


class Matcher:
    """Chooses among recordings. With `any_model` the model does not decide. `first` are the ids of the user's own."""

    def __init__(
        self, recordings: Iterable[Recording], *, any_model: bool = False, first: Collection[str] = ()
    ) -> None:
        self._undecisive = {"model", "name"} if any_model else set[str]()
        self._by_path: dict[str, list[_Candidate]] = {}
        self.recordings = tuple(recordings)
        for recording in self.recordings:
            facts, own = _Facts.of(recording.request), recording.id in first
            candidate = _Candidate(recording, facts, recording.size_bytes, is_own=own)
            self._by_path.setdefault(recording.request.path, []).append(candidate)

    def match(self, request: Request) -> Match | Nearest:
        """The recording that answers `request`, or the nearest one."""
        candidates = self._by_path.get(request.path)
        if not candidates:
            return Nearest(None, f"no recording has the path {request.path}")
        asked = _Facts.of(request)
        able = [one for one in candidates if self._answers(asked, one)]
        if not able:
            differences = {one.recording.id: self._differences(asked, one) for one in candidates}
            nearest = min(
                candidates, key=lambda one: (one.is_error, len(differences[one.recording.id]), one.rank(asked))
            )
            id_ = nearest.recording.id
            return Nearest(nearest.recording, f"nearest is {id_}; {'; '.join(differences[id_])}")
        winner = min(able, key=lambda one: one.rank(asked))
        free = winner.facts.free_differences(asked)
        why = "the same request" if not free else f"differs only in {', '.join(free)}"
        if len(able) > 1:
            why += f"; chosen before {len(able) - 1} more"
        return Match(winner.recording, why, not free)

    def _answers(self, asked: _Facts, candidate: _Candidate) -> bool:
        """Whether there are no differences. This is separate, because the texts of the differences are slow to make."""
        ours = candidate.facts
        return (
            ours.headers <= asked.headers
            and (not candidate.is_error or ours.content == asked.content)
            and all(
                ours.decisive.get(field) == asked.decisive.get(field)
                for field in {*ours.decisive, *asked.decisive} - self._undecisive
            )
        )

    def _differences(self, asked: _Facts, candidate: _Candidate) -> list[str]:
        """What keeps a recording from answering: `field: recorded …, asked …`."""
        ours, theirs = candidate.facts, asked
        found = [
            f"{field}: recorded {_short(ours.decisive.get(field))}, asked {_short(theirs.decisive.get(field))}"
            for field in sorted({*ours.decisive, *theirs.decisive} - self._undecisive)
            if ours.decisive.get(field) != theirs.decisive.get(field)
        ]
        found += [f"header {name}: recorded {value}" for name, value in sorted(ours.headers - theirs.headers)]
        if not found and candidate.is_error and ours.content != theirs.content:
            found.append(f"an error: only the request {_short(ours.content)} gets it")
        return found


@dataclass(frozen=True, slots=True)
class _Facts:
    """A request for comparison: the fields that decide, those that may differ, and the whole content."""

    decisive: dict[str, Any]
    free: dict[str, Any]
    headers: frozenset[tuple[str, str]]
    content: Any

    @classmethod
    def of(cls, request: Request) -> _Facts:
        value = request.json
        headers = frozenset((k.lower(), v) for k, v in request.headers if k.lower() in _HEADERS)
        if not isinstance(value, Mapping):
            content = request.body if value is None else value
            return cls({"method": request.method, "body": content}, {}, headers, content)
        decisive: dict[str, Any] = {
            name: value[name] for name in _VALUES if value.get(name) not in (None, _DEFAULTS.get(name))
        }
        decisive |= {name: True for name in _PRESENCE if value.get(name)}
        decisive |= {"method": request.method, "stream": request.streams}
        if value.get("keep_alive") in (0, "0", "0s"):
            decisive["keep_alive"] = 0
        options = value.get("options")
        nested = {f"options.{k}": v for k, v in options.items()} if isinstance(options, Mapping) else {}
        free = {k: v for k, v in value.items() if k not in ("options", "stream")} | nested
        return cls(decisive, free, headers, {**value, "stream": request.streams})

    def free_differences(self, other: _Facts) -> list[str]:
        """The names of the fields that may differ and do; options one by one."""
        return sorted(k for k in {*self.free, *other.free} if self.free.get(k) != other.free.get(k))


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A recording, with its request prepared for comparison."""

    recording: Recording
    facts: _Facts
    size_bytes: int  # kept, because adding up many frames is slow
    is_own: bool

    @property
    def is_error(self) -> bool:
        return self.recording.response.status >= 400

    def rank(self, asked: _Facts) -> tuple[bool, int, int, bool, int, int, str]:
        """A sort key: the smallest answers, in the order of the module's docstring."""
        one, headers = self.recording, len(self.facts.headers)
        differing = len(self.facts.free_differences(asked))
        disturbed = one.intervention is not None
        return not self.is_own, -headers, differing, disturbed, -len(one.frames), -self.size_bytes, one.id


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:59] + "…"
