"""The recordings of one version as answers: the one of the same request, or one made of the nearest.

An answer is made once for a request: the last ones are kept, with the server's faults in them.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ollama_harness.answers import Asked, World
from ollama_harness.answers.completions import wanted_of
from ollama_harness.answers.fitting import as_named, model_of
from ollama_harness.answers.go.go_value import value_of
from ollama_harness.answers.rules.routes import routing
from ollama_harness.errors import FaultDoesNotApply, UnknownName
from ollama_harness.faults import Fault
from ollama_harness.recordings.recording import Recording, Request
from ollama_harness.recordings.store import OwnRecordings, RecordingStore, packaged_store
from ollama_harness.script.script import Script
from ollama_harness.server._recorded_version import RecordedVersion, recorded_version

__all__ = ["NEWEST", "RecordedAnswer", "RecordedAnswers", "packaged", "request_of", "strike"]

NEWEST = "newest"

#: How many scripts a server keeps: a client may send any number of requests.
_MOST_SCRIPTS = 1024


@dataclass(frozen=True, slots=True)
class RecordedAnswer:
    """A recording that answers a request, or one that was made for it; its script, and why it answers.

    `left_out` says which of the server's faults cannot strike it.
    """

    recording: Recording
    script: Script
    why: str
    left_out: tuple[str, ...] = ()


class RecordedAnswers:
    """The recordings of `version` (None: it answers from none, as the newest would), loaded when they are needed.

    `own` is a folder of recordings that come before those of the store. `speed`, `gap_s` and `faults` are those of
    `FakeOllama`.

    Raises: UnknownName, if `version` is not recorded.
    """

    def __init__(
        self,
        *,
        store: RecordingStore | None,
        own: Path | None = None,
        version: str | None,
        speed: float,
        gap_s: float | None,
        faults: Sequence[Fault],
    ) -> None:
        self._store, self._version = store, version
        if own is not None:
            self._store = OwnRecordings(own, version=None if version == NEWEST else version, under=store)
        self._speed, self._gap_s, self._faults = speed, gap_s, tuple(faults)
        self._kept: dict[tuple[object, ...], RecordedAnswer | None] = {}
        if version not in (None, NEWEST):
            self.store.version(str(version))

    @functools.cached_property
    def store(self) -> RecordingStore:
        """All recordings."""
        return self._store or packaged_store()

    @property
    def version(self) -> str:
        """The version that is answered for."""
        return self.store.newest if self._version in (None, NEWEST) else str(self._version)

    @functools.cached_property
    def _of_version(self) -> RecordedVersion:
        return recorded_version(None if self._version is None else self.store, self.version)

    @property
    def recordings(self) -> tuple[Recording, ...]:
        """Those of this version."""
        return self._of_version.recordings

    @property
    def world(self) -> World:
        """The world in which they were recorded."""
        return self._of_version.world

    @property
    def has_world(self) -> bool:
        """Whether that world is made."""
        return self._of_version.has_world

    def load(self) -> None:
        """Read all of them, so that the first answer does not wait for it."""
        _ = self._of_version.by_request, self._of_version.maker.sources

    def get(self, name: str) -> Recording:
        """The recording of a name or an id.

        Raises: UnknownName.
        """
        return self.store.get(name if "/" in name else f"{self.version}/{name}")

    def chosen(self, patterns: Sequence[str]) -> list[Recording]:
        """The recordings that names, ids and patterns choose, applied in order: `!chat-load` removes.

        Raises: UnknownName, for a name or pattern that chooses none.
        """
        found: dict[str, Recording] = {}
        for pattern in patterns:
            wanted = pattern.removeprefix("!")
            if "/" in wanted:
                ids = [self.get(wanted).id]
            else:
                ids = [f"{self.version}/{name}" for name in self.store.names(self.version, [wanted])]
            if not ids:
                raise UnknownName("recording", wanted, self.store.names(self.version, ["*"]))
            for id_ in ids:
                if pattern.startswith("!"):
                    found.pop(id_, None)
                else:
                    found[id_] = self.store.get(id_)
        if not found:
            raise UnknownName("recording", " ".join(patterns), self.store.names(self.version, ["*"]))
        return list(found.values())

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Those of the server."""
        return self._faults

    def played(self, recording: Recording, why: str) -> RecordedAnswer:
        """Any recording as an answer."""
        return self._answer(recording, why)

    def own_bytes(self, asked: Asked, world: World) -> RecordedAnswer | None:
        """The recording that answers whatever a request for its method and path says.

        Of several it is the first that streams or not as this request wants it, or else the first.
        """
        found = self._of_version.of_any_content.get((asked.method, asked.raw_path))
        if not found:
            return None
        streams = request_of(asked, world).streams
        chosen = min(found, key=lambda one: one.request.streams != streams)
        key = ("own", chosen.id)
        if key not in self._kept:
            self._keep(key, self._answer(chosen, "your own bytes for this method and path"))
        return self._kept[key]

    def same(self, asked: Asked, world: World) -> RecordedAnswer | None:
        """The recording of this request."""
        key = ("same", asked.method, asked.path, asked.host, asked.header("Origin"), asked.body)
        if key not in self._kept:
            self._keep(key, self._same(request_of(asked, world), asked, world))
        return self._kept[key]

    def made(self, asked: Asked, world: World) -> RecordedAnswer | None:
        """The nearest recording, made to fit this request; None if it is not for a model to answer."""
        key = ("made", asked.path, asked.body, world)
        if key not in self._kept:
            wanted, answer = wanted_of(asked, world), None
            made = self._of_version.maker.answer(wanted, request_of(asked, world)) if wanted is not None else None
            if made is not None:
                answer = self._answer(made.recording, made.why)
            self._keep(key, answer)
        return self._kept[key]

    def nearest_names(self, asked: Asked) -> list[str]:
        """The names of recordings on the same path."""
        return sorted({one.name for one in self.recordings if one.request.path == asked.path})

    def paced(self, recording: Recording, *, speed: float | None = None) -> Script:
        """The script of a recording at this speed, or at the server's."""
        if speed is not None:
            return Script.from_recording(recording, speed=speed)
        return Script.from_recording(recording, speed=self._speed, gap_s=self._gap_s)

    def at_pace(self, seconds: float) -> float:
        """The time between two segments at the server's speed, where it was recorded as this."""
        if self._gap_s is not None:
            return self._gap_s
        return seconds / self._speed if self._speed else 0.0

    def _same(self, request: Request, asked: Asked, world: World) -> RecordedAnswer | None:
        """HEAD of a route that has GET, too, is answered by the same handler."""
        found = self._of_version.by_request.same(request)
        if found is None and request.method == "HEAD" and "GET" in routing(world.version).methods(asked.url.path):
            found = self._of_version.by_request.same(replace(request, method="GET"))
        if found is None:
            return None
        return self._answer(as_named(found, model_of(request)), "the same request")

    def _answer(self, recording: Recording, why: str) -> RecordedAnswer:
        script, left_out = self.struck(self.paced(recording))
        return RecordedAnswer(recording, script, why, left_out)

    def struck(self, script: Script) -> tuple[Script, tuple[str, ...]]:
        """An answer struck by the server's faults, and what is said of those that cannot strike it."""
        return strike(script, self._faults)

    def _keep(self, key: tuple[object, ...], answer: RecordedAnswer | None) -> None:
        if len(self._kept) > _MOST_SCRIPTS:
            self._kept.clear()
        self._kept[key] = answer


def strike(script: Script, faults: Sequence[Fault]) -> tuple[Script, tuple[str, ...]]:
    """A script struck by those faults that can, and what is said of each that was left out because it cannot."""
    left_out = []
    for fault in faults:
        try:
            script = fault(script)
        except FaultDoesNotApply as error:
            left_out.append(f"{fault} was left out: {error}")
    return script, tuple(left_out)


def request_of(asked: Asked, world: World) -> Request:
    """A request from the wire in the form of recordings, without the query; its JSON is its first value."""
    read = value_of(asked.body, world.version) if asked.body else None
    value = read[0] if isinstance(read, tuple) else None
    text = asked.body.decode("utf-8", "replace") if asked.body and value is None else None
    return Request(method=asked.method, path=asked.path, headers=asked.headers, json=value, body=text)


def packaged(version: str) -> str:
    """This version if the package has recordings of it, else NEWEST."""
    return version if version in packaged_store().versions else NEWEST
