"""What the recordings of one version show together, which is the same for all servers that answer from them."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Mapping

from ollama_harness.answers import World, world_of
from ollama_harness.answers.completions import Maker
from ollama_harness.answers.recorded import Recorded
from ollama_harness.recordings.recording import Recording
from ollama_harness.recordings.store import RecordingStore, packaged_store

__all__ = ["RecordedVersion", "recorded_version"]


class RecordedVersion:
    """The recordings of a version in a store; without a store there are none.

    Each part is made when it is first asked for, and never changes.
    """

    def __init__(self, store: RecordingStore | None, version: str) -> None:
        self._store, self._version = store, version

    @functools.cached_property
    def recordings(self) -> tuple[Recording, ...]:
        """Those of this version."""
        return () if self._store is None else tuple(self._store.of_version(self._version))

    @property
    def _first(self) -> frozenset[str]:
        """The ids of the user's own recordings, which come before others."""
        return frozenset() if self._store is None else self._store.own_ids

    @functools.cached_property
    def world(self) -> World:
        """The world in which they were recorded."""
        return world_of(self.recordings, self._version)

    @property
    def has_world(self) -> bool:
        """Whether the world is made, for which all recordings have to be read."""
        return "world" in self.__dict__

    @functools.cached_property
    def by_request(self) -> Recorded:
        return Recorded(self.recordings, first=self._first)

    @functools.cached_property
    def maker(self) -> Maker:
        return Maker(self.recordings, self.world, first=self._first)

    @functools.cached_property
    def of_any_content(self) -> Mapping[tuple[str, str], list[Recording]]:
        """By method and path, the recordings of requests that are not known, sorted by name."""
        found = defaultdict(list)
        for one in self.recordings:
            if one.request.any_content:
                found[one.request.method, one.request.path].append(one)
        return found


def recorded_version(store: RecordingStore | None, version: str) -> RecordedVersion:
    """A version in a store. Those of the package's store are made once for all servers of a process: its world takes
    longer than all else that a server does for a test.
    """
    return _packaged(version) if store is packaged_store() else RecordedVersion(store, version)


@functools.cache
def _packaged(version: str) -> RecordedVersion:
    return RecordedVersion(packaged_store(), version)
