"""All shapes of one version of Ollama, read from a directory of recordings."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from ollama_harness.errors import HarnessError
from ollama_harness.gate.shapes.from_recording import shape
from ollama_harness.gate.shapes.shape import FieldShape, Shape
from ollama_harness.recordings import on_disk
from ollama_harness.recordings.recording import Recording

__all__ = ["VersionShapes"]


class VersionShapes:
    """The shapes of one version of Ollama by recording, and what all recordings of a route have in common."""

    def __init__(self, shapes: Iterable[Shape], *, name: str) -> None:
        self.name = name
        self.shapes: Mapping[str, Shape] = {one.name: one for one in shapes}

    @classmethod
    def of(cls, recordings: Iterable[Recording]) -> VersionShapes:
        """The version of these recordings, which must all be of the same version.

        Raises: HarnessError.
        """
        recordings = list(recordings)
        names = sorted({one.ollama_version for one in recordings})
        if len(names) != 1:
            problem = f"are of several versions of Ollama: {', '.join(names)}" if names else "are missing"
            raise HarnessError(f"the recordings {problem}; give a directory that holds those of one version")
        return cls(map(shape, recordings), name=names[0])

    @classmethod
    def read(cls, directory: Path) -> VersionShapes:
        """The version whose recordings lie in a directory.

        Raises: HarnessError, RecordingError.
        """
        if not directory.is_dir():
            raise HarnessError(f"{directory} is not a directory; give one that `ollama-harness record` has written")
        stems = [stem for stem in on_disk.find(directory) if stem.name != "README"]
        try:
            return cls.of(on_disk.load(stem, id=f"{directory.name}/{stem.name}") for stem in stems)
        except HarnessError as error:
            if type(error) is HarnessError:
                raise HarnessError(f"{directory}: {error}") from None
            raise

    @functools.cached_property
    def words(self) -> Mapping[tuple[str, str], frozenset[str]]:
        """The words that a field (route, path) holds in any recording."""
        return _united(((route, one.path), one.values) for route, _, one in self._fields())

    @functools.cached_property
    def kinds_with(self) -> Mapping[tuple[str, str], frozenset[str]]:
        """The kinds of records that have a field (route, path) in any recording."""
        return _united(((route, one.path), frozenset({kind})) for route, kind, one in self._fields())

    def _fields(self) -> Iterator[tuple[str, str, FieldShape]]:
        for shape_ in self.shapes.values():
            for kind, record in shape_.records.items():
                for one in record.fields.values():
                    yield shape_.route, kind, one


def _united(
    items: Iterable[tuple[tuple[str, str], frozenset[str]]],
) -> Mapping[tuple[str, str], frozenset[str]]:
    united: dict[tuple[str, str], frozenset[str]] = {}
    for key, values in items:
        united[key] = united.get(key, frozenset()) | values
    return united
