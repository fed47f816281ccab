"""The frames of a recording: a tuple, or, where they are too many for memory, read from the body's file as needed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ollama_harness.errors import RecordingError
from ollama_harness.recordings.timed_bytes import TimedBytes
from ollama_harness.recordings.unkept import Unkept

__all__ = ["BodyOnDisk", "Frame", "FramesOnDisk"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Bytes that arrived together, `at_s` seconds after the request was sent. Ollama sends one record a frame."""

    at_s: float
    data: bytes


class BodyOnDisk:
    """A body that stays in its file, which must not change; slices of it are bytes.

    The file is opened for each reading and closed at once: threads do not get into each other's way, and on Windows,
    where an open file cannot be replaced, it can be recorded again.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._state = path, (0, 0)
        with self._open() as file:
            self._state = _state(file)

    def __len__(self) -> int:
        return self._state[0]

    def __getitem__(self, part: slice) -> bytes:
        """Raises: RecordingError, if the file is gone or was changed since."""
        start, stop, _ = part.indices(len(self))
        with self._open() as file:
            file.seek(start)
            data = file.read(stop - start)
            if _state(file) != self._state:
                raise RecordingError(self.path, "", "has changed since it was loaded", "load the recording again")
            return data

    def lines(self) -> Iterator[bytes]:
        """Each line with its LF, as `records.ndjson_lines` gives them."""
        with self._open() as file:
            yield from file

    def _open(self) -> IO[bytes]:
        try:
            return self.path.open("rb")
        except OSError as error:
            mend = "leave the file where it is while the recording is in use"
            raise RecordingError(self.path, "", f"cannot be read: {error.strerror}", mend) from None


class FramesOnDisk(Unkept[Frame]):
    """Frames whose bytes are read when they are needed. They equal a tuple of the same frames."""

    def __init__(self, timed: TimedBytes) -> None:
        self._timed = timed

    @property
    def size_bytes(self) -> int:
        """The length of the body that the frames join to."""
        return self._timed.ends[-1] if self._timed else 0

    def __len__(self) -> int:
        return len(self._timed)

    def __iter__(self) -> Iterator[Frame]:
        return (Frame(at_s=at_s, data=data) for at_s, data in self._timed)

    def _item(self, index: int) -> Frame:
        at_s, data = self._timed[index]
        return Frame(at_s=at_s, data=data)


def _state(file: IO[bytes]) -> tuple[int, int]:
    """What changes when a file does: its length, and when it was last written."""
    stat = os.fstat(file.fileno())
    return stat.st_size, stat.st_mtime_ns
