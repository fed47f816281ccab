"""The store: all recordings under one folder, each loaded when it is first used.

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

    @functools.cached_property
    def ids(self) -> tuple[str, ...]:
        """All ids, sorted by version (0.5.7 before 0.12.11), then by name.

        Raises: RecordingError, if one has characters that cannot be printed.
        """
        stems = [stem.relative_to(self.root) for stem in on_disk.find(self.root / self._only)]
        ids = [stem.as_posix() for stem in stems if stem.name != "README"]
        for id_ in ids:
            if not id_.isprintable():
                raise RecordingError(self.root / id_, "", "its name has characters that cannot be printed", "rename it")
        return tuple(sorted(ids, key=lambda id_: (_version_key(_version(id_)), id_)))

    @property
    def versions(self) -> tuple[str, ...]:
        """The recorded versions, oldest first; second sessions are not among them."""
        return tuple(dict.fromkeys(v for id_ in self.ids if not (v := _version(id_)).startswith(AGAIN)))

    @property
    def second_sessions(self) -> tuple[str, ...]:
        """The second sessions (`again/0.5.7`), that of the oldest version first."""
        return tuple(dict.fromkeys(v for id_ in self.ids if (v := _version(id_)).startswith(AGAIN)))

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
        if name not in {_version(id_) for id_ in self.ids}:
            raise UnknownName("recorded Ollama version", name, self.versions)
        return name

    def get(self, id_: str) -> Recording:
        """The recording of an id (`0.5.7/chat-stream`), loaded once.

        Raises: UnknownName, RecordingError.
        """
        if id_ not in self._cache:
            if id_ not in self.ids:
                raise UnknownName("recording", id_, self.ids)
            self._cache[id_] = on_disk.load(self.root / id_, id=id_)
        return self._cache[id_]

    def of_version(self, version: str) -> list[Recording]:
        """Every recording of one version, sorted by name.

        Raises: RecordingError.
        """
        return [self.get(id_) for id_ in self.ids if _version(id_) == version]

    def names(self, version: str, patterns: Iterable[str]) -> list[str]:
        """The names of one version that the patterns choose, applied in order: `chat-*` adds, `!chat-load` removes."""
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
    """A sort key: versions in their order, then the second sessions."""
    return version.startswith(AGAIN), order(version.removeprefix(AGAIN))
