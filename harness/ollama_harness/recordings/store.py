"""The store: all recordings under one folder, each loaded when it is first used.

The folder is `fixtures/` of the repository, or its copy inside the installed package. A folder of one's own can be laid
over it.
"""

from __future__ import annotations

import fnmatch
import functools
from collections.abc import Iterable, Mapping
from pathlib import Path

from ollama_harness.errors import HarnessError, RecordingError, UnknownName
from ollama_harness.recordings import on_disk
from ollama_harness.recordings.recording import Recording
from ollama_harness.recordings.versions import Order, order

__all__ = ["AGAIN", "OwnRecordings", "RecordingStore", "fixtures", "packaged_store"]

#: The folder of second sessions, for the gate: `again/0.5.7` beside `0.5.7`.
AGAIN = "again/"


def fixtures() -> Path:
    """The folder with `recordings/` and `known_issues.toml` in it."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "_fixtures", package.parents[1] / "fixtures"):
        if folder.is_dir():
            return folder
    raise HarnessError(
        f"the recordings are missing: there is no folder _fixtures in {package}, and no fixtures above it; "
        "install ollama-harness again"
    )


class RecordingStore:
    """Recordings by id (`<version>/<name>`).

    `root` is a folder with one folder for each version, by default the recordings of the package. `only` names one of
    these folders; then the store has just that.

    Raises: HarnessError, if `root` is no folder.
    """

    def __init__(self, root: Path | None = None, *, only: str = "") -> None:
        self.root, self._only = fixtures() / "recordings" if root is None else root, only
        if not self.root.is_dir():
            raise HarnessError(f"{self.root} is no readable directory; give a folder with one folder for each version")
        self._cache: dict[str, Recording] = {}

    @property
    def own_ids(self) -> frozenset[str]:
        """The ids of the recordings that the user gave."""
        return frozenset()

    def own_names(self, version: str) -> list[str]:
        """The names of the user's recordings of one version."""
        return sorted(id_.rpartition("/")[2] for id_ in self.own_ids if _version(id_) == version)

    @functools.cached_property
    def ids(self) -> tuple[str, ...]:
        """All ids, sorted by version (0.5.7 before 0.12.11), then by name.

        Raises: RecordingError, if one has characters that cannot be printed.
        """
        stems = [stem.relative_to(self.root) for stem in on_disk.find(self.root / self._only)]
        ids = [stem.as_posix() for stem in stems if stem.name != "README"]
        if unprintable := next((id_ for id_ in ids if not id_.isprintable()), None):
            raise _unprintable(self.root / unprintable)
        return _sorted(ids)

    @functools.cached_property
    def _by_version(self) -> Mapping[str, list[str]]:
        """The ids of each version and of each second session, in the order of `ids`."""
        found: dict[str, list[str]] = {}
        for id_ in self.ids:
            found.setdefault(_version(id_), []).append(id_)
        return found

    @functools.cached_property
    def versions(self) -> tuple[str, ...]:
        """The recorded versions, oldest first; second sessions are not among them."""
        return tuple(version for version in self._by_version if not version.startswith(AGAIN))

    @property
    def second_sessions(self) -> tuple[str, ...]:
        """The second sessions (`again/0.5.7`), that of the oldest version first."""
        return tuple(version for version in self._by_version if version.startswith(AGAIN))

    @property
    def newest(self) -> str:
        """The newest recorded version.

        Raises: HarnessError, if there is none.
        """
        if not self.versions:
            raise HarnessError(f"{self.root} holds no recordings; give a folder with one folder for each version")
        return self.versions[-1]

    def version(self, name: str) -> str:
        """Return `name` if it is a recorded version or a second session.

        Raises: UnknownName.
        """
        if name not in self._by_version:
            raise UnknownName("recorded Ollama version", name, self.versions)
        return name

    def get(self, id_: str) -> Recording:
        """The recording of an id (`0.5.7/chat-stream`), loaded once.

        Raises: UnknownName, RecordingError.
        """
        if id_ not in self._cache:
            if id_ not in self._by_version.get(_version(id_), ()):
                raise UnknownName("recording", id_, self.ids)
            self._cache[id_] = on_disk.load(self.root / id_, id=id_)
        return self._cache[id_]

    def of_version(self, version: str) -> list[Recording]:
        """Every recording of one version, sorted by name.

        Raises: RecordingError.
        """
        return [self.get(id_) for id_ in self._by_version.get(version, ())]

    def names(self, version: str, patterns: Iterable[str]) -> list[str]:
        """The names of one version that the patterns choose, applied in order: `chat-*` adds, `!chat-load` removes."""
        names = [id_.rpartition("/")[2] for id_ in self._by_version.get(version, ())]
        chosen: dict[str, None] = {}
        for pattern in patterns:
            for name in fnmatch.filter(names, pattern.removeprefix("!")):
                if pattern.startswith("!"):
                    chosen.pop(name, None)
                else:
                    chosen[name] = None
        return sorted(chosen)


class OwnRecordings(RecordingStore):
    """The recordings of the folder `root`, laid over those of the package.

    A file at the top of the folder counts for `version`; a folder in it is called after a version, and its files count
    for that. Without `version` this is the newest that has a folder, or if none has, the newest of the package.
    `newest` is the newest version in `root`. An own recording takes the place of a packaged one with its id.

    Raises: HarnessError, if `root` is no folder.
    """

    def __init__(self, root: Path, *, version: str | None = None, under: RecordingStore | None = None) -> None:
        super().__init__(root)
        self._under = packaged_store() if under is None else under
        self._version = version

    @functools.cached_property
    def _stems(self) -> dict[str, Path]:
        """The own recordings, by id.

        Raises: HarnessError, if there is none; RecordingError, if a folder is not called after a version.
        """
        found = [(stem, stem.relative_to(self.root)) for stem in on_disk.find(self.root) if stem.name != "README"]
        if not found:
            raise HarnessError(f"{self.root} holds no recording; give a folder with bodies (chat-mine.ndjson) in it")
        named = {stem.parent.as_posix() for _, stem in found if len(stem.parts) > 1}
        for name in named:
            if not order(name.removeprefix(AGAIN))[0]:
                fix = "call it after the version that sent its files (0.24.0), or move them up"
                raise RecordingError(self.root / name, "", "is no version of Ollama", fix)
        versions = sorted((name for name in named if not name.startswith(AGAIN)), key=order)
        top = self._version or (versions[-1] if versions else self._under.newest)
        stems: dict[str, Path] = {}
        for path, stem in found:
            if not stem.as_posix().isprintable():
                raise _unprintable(path)
            id_ = stem.as_posix() if len(stem.parts) > 1 else f"{top}/{stem.name}"
            if id_ in stems:
                problem = f"has the name of {stems[id_].relative_to(self.root)}, and counts for the same version"
                raise RecordingError(path, "", problem, "rename one of the two")
            stems[id_] = path
        return stems

    @property
    def own_ids(self) -> frozenset[str]:
        return frozenset(self._stems)

    @functools.cached_property
    def ids(self) -> tuple[str, ...]:
        return _sorted({*self._stems, *self._under.ids})

    @property
    def newest(self) -> str:
        own = {version for id_ in self._stems if not (version := _version(id_)).startswith(AGAIN)}
        return max(own, key=order) if own else self._under.newest

    def get(self, id_: str) -> Recording:
        if id_ not in self._stems:
            return self._under.get(id_)
        if id_ not in self._cache:
            self._cache[id_] = on_disk.load(self._stems[id_], id=id_)
        return self._cache[id_]


@functools.cache
def packaged_store() -> RecordingStore:
    """The recordings of the package: one store for all of a process, because loading a version takes a tenth of a
    second.
    """
    return RecordingStore()


def _version(id_: str) -> str:
    return id_.rpartition("/")[0]


def _unprintable(path: Path) -> RecordingError:
    return RecordingError(path, "", "its name has characters that cannot be printed", "rename it")


def _sorted(ids: Iterable[str]) -> tuple[str, ...]:
    """By version (0.5.7 before 0.12.11), then by name."""
    return tuple(sorted(ids, key=lambda id_: (_version_key(_version(id_)), id_)))


def _version_key(version: str) -> tuple[bool, Order]:
    """A sort key: versions in their order, then the second sessions."""
    return version.startswith(AGAIN), order(version.removeprefix(AGAIN))
