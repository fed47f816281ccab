"""The library: all recordings under one folder, found by glob and loaded when asked for.

The folder is `fixtures/` of the repository, or its copy inside the installed package.
"""

from __future__ import annotations

import fnmatch
import functools
from collections.abc import Iterable
from pathlib import Path

from ollama_harness.errors import HarnessError, RecordingError, UnknownName
from ollama_harness.recordings import on_disk
from ollama_harness.recordings.recording import Recording
from ollama_harness.recordings.versions import Order, order

__all__ = ["AGAIN", "RecordingStore", "fixtures"]

#: The folder of second recordings of a version, for the gate: `again/0.5.7` beside `0.5.7`.
AGAIN = "again/"


def fixtures() -> Path:
    """The folder that holds `recordings/` and `known_issues.toml`."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "_fixtures", package.parents[1] / "fixtures"):
        if folder.is_dir():
            return folder
    raise HarnessError(f"the recordings are missing: neither _fixtures nor ../../fixtures lies beside {package}")


class RecordingStore:
    """Recordings by id (`<version>/<name>`). `root` holds one folder a version; with `only`, just that one is seen."""

    def __init__(self, root: Path | None = None, *, only: str = "") -> None:
        self.root, self._only = fixtures() / "recordings" if root is None else root, only
        if not self.root.is_dir():
            raise HarnessError(f"{self.root} is no readable directory; give a folder that holds one folder a version")
        self._cache: dict[str, Recording] = {}

    @functools.cached_property
    def ids(self) -> tuple[str, ...]:
        """All ids, sorted by version (numerically), then name.

        Raises: RecordingError, if one cannot be printed.
        """
        stems = [stem.relative_to(self.root) for stem in on_disk.find(self.root / self._only)]
        ids = [stem.as_posix() for stem in stems if stem.name != "README"]
        for id_ in ids:
            if not id_.isprintable():
                raise RecordingError(self.root / id_, "", "its name holds what cannot be printed", "rename it")
        return tuple(sorted(ids, key=lambda id_: (_version_key(_version(id_)), id_)))

    @property
    def versions(self) -> tuple[str, ...]:
        """The versions recorded, oldest first; second recordings are not versions."""
        return tuple(dict.fromkeys(v for id_ in self.ids if not (v := _version(id_)).startswith(AGAIN)))

    @property
    def second_recordings(self) -> tuple[str, ...]:
        """The versions recorded a second time, oldest first: `again/0.5.7`."""
        return tuple(dict.fromkeys(v for id_ in self.ids if (v := _version(id_)).startswith(AGAIN)))

    @property
    def newest(self) -> str:
        """The newest version recorded.

        Raises: HarnessError, if there is none.
        """
        if not self.versions:
            raise HarnessError(f"{self.root} holds no recordings; give a folder that holds one folder a version")
        return self.versions[-1]

    def version(self, name: str) -> str:
        """`name`, checked.

        Raises: UnknownName.
        """
        if name not in {_version(id_) for id_ in self.ids}:
            raise UnknownName("recorded Ollama version", name, self.versions)
        return name

    def get(self, id_: str) -> Recording:
        """One recording.

        Raises: UnknownName, RecordingError.
        """
        if id_ not in self._cache:
            if id_ not in self.ids:
                raise UnknownName("recording", id_, self.ids)
            self._cache[id_] = on_disk.load(self.root / id_, id=id_)
        return self._cache[id_]

    def of_version(self, version: str) -> list[Recording]:
        """Every recording of one version, sorted by name."""
        return [self.get(id_) for id_ in self.ids if _version(id_) == version]

    def names(self, version: str, patterns: Iterable[str]) -> list[str]:
        """The names of one version that match the patterns in turn: `chat-*` adds, `!chat-load` takes away."""
        names = [id_.rpartition("/")[2] for id_ in self.ids if _version(id_) == version]
        chosen: dict[str, None] = {}
        for pattern in patterns:
            for name in fnmatch.filter(names, pattern.removeprefix("!")):
                if pattern.startswith("!"):
                    chosen.pop(name, None)
                else:
                    chosen[name] = None
        return sorted(chosen)


def _version(id_: str) -> str:
    return id_.rpartition("/")[0]


def _version_key(version: str) -> tuple[bool, Order]:
    """Orders versions as versions, and second recordings after all of them."""
    return version.startswith(AGAIN), order(version.removeprefix(AGAIN))
