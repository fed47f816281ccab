"""The recordings of one version as answers: which one a request gets, on time and struck by the server's faults."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ollama_harness.answers import Asked, World
from ollama_harness.answers.fitting import as_named, model_of
from ollama_harness.answers.rules.routes import routing
from ollama_harness.errors import FaultDoesNotApply
from ollama_harness.faults import Fault
from ollama_harness.recordings.recording import Recording, Request
from ollama_harness.recordings.store import OwnRecordings, RecordingStore, packaged_store
from ollama_harness.script.http1 import RequestHead
from ollama_harness.script.script import Script
from ollama_harness.server._matching import Match, Matcher, Nearest, received

__all__ = ["NEWEST", "RecordedAnswers", "packaged"]

NEWEST = "newest"

#: How many scripts of recordings a server keeps: a client may ask for any number of names.
_MOST_SCRIPTS = 1024


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
        own: Path | None,
        version: str | None,
        speed: float,
        gap_s: float | None,
        faults: Sequence[Fault],
        any_model: bool,
    ) -> None:
        self._version = version
        self._store = store
        if own is not None:
            self._store = OwnRecordings(own, version=None if version == NEWEST else version, under=store)
        self._speed, self._gap_s, self._faults = speed, gap_s, tuple(faults)
        self._any_model = any_model
        self._scripts: dict[tuple[str, str], tuple[Script, str]] = {}
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
    def matcher(self) -> Matcher:
        """What chooses among the recordings; making it loads them."""
        recordings = [] if self._version is None else self.store.of_version(self.version)
        return Matcher(recordings, any_model=self._any_model, first=self.store.own_ids)

    @functools.cached_property
    def _of_any_content(self) -> dict[tuple[str, str], list[Recording]]:
        """By method and path, the recordings of requests that are not known, sorted by name."""
        found = defaultdict(list)
        for one in self.matcher.recordings:
            if one.request.any_content:
                found[one.request.method, one.request.path].append(one)
        return found

    def for_any_content(self, head: RequestHead, body: bytes) -> Recording | None:
        """The recording that answers whatever a request for its method and path says; None if there is none.

        Of several it is the first that streams or not as this request wants it, or else the first.
        """
        found = self._of_any_content.get((head.method, head.target.partition("?")[0]), [])
        if len(found) < 2:
            return found[0] if found else None
        streams = received(head, body).streams
        return min(found, key=lambda one: one.request.streams != streams)

    def get(self, name: str) -> Recording:
        """The recording of a name or an id.

        Raises: UnknownName.
        """
        return self.store.get(name if "/" in name else f"{self.version}/{name}")

    def match(self, request: Request, asked: Asked, world: World) -> Match | Nearest:
        """The recording that answers a request. HEAD of a route that has GET, too, is answered by the same handler."""
        request = replace(request, path=asked.path)
        if (model := world.find(model_of(request))) is not None and model.name != model_of(request):
            key = "model" if request.json.get("model") else "name"
            request = replace(request, json={**request.json, key: model.name})
        found = self.matcher.match(request)
        if isinstance(found, Match) or request.method != "HEAD":
            return found
        methods = routing(world.version).methods(asked.url.path)
        return self.matcher.match(replace(request, method="GET")) if "GET" in methods else found

    def struck(self, recording: Recording, name: str) -> tuple[Script, str]:
        """The script of a recording of the model as it is called here, with the server's faults in it, and a text about
        faults that do not apply.
        """
        key = (recording.id, name)
        if key not in self._scripts:
            script, left_out = self.paced(as_named(recording, name)), ""
            for fault in self._faults:
                try:
                    script = fault(script)
                except FaultDoesNotApply as error:
                    left_out += f"; {fault} was left out: {error}"
            if len(self._scripts) > _MOST_SCRIPTS:
                self._scripts.clear()
            self._scripts[key] = script, left_out
        return self._scripts[key]

    def paced(self, recording: Recording, *, speed: float | None = None) -> Script:
        """The script of a recording at this speed, or at the server's."""
        if speed is not None:
            return Script.from_recording(recording, speed=speed)
        return Script.from_recording(recording, speed=self._speed, gap_s=self._gap_s)


def packaged(version: str) -> str:
    """This version if the package has recordings of it, else NEWEST."""
    return version if version in packaged_store().versions else NEWEST
