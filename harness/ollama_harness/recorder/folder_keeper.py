"""Keeps the answers of a live Ollama that a server sends on, as recordings in a folder."""

from __future__ import annotations

import json
import platform
import re
import threading
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from ollama_harness.errors import RecorderError, RecordingError
from ollama_harness.files.locking import held
from ollama_harness.recorder.address import Address
from ollama_harness.recorder.live_request import ask
from ollama_harness.recorder.recording_writer import keep
from ollama_harness.recordings import on_disk
from ollama_harness.recordings.recording import Recording, Request
from ollama_harness.recordings.versions import is_version

__all__ = ["FolderKeeper"]

#: How long the server may take to say its version.
_VERSION_S = 5.0


class FolderKeeper:
    """The folder `folder`, for answers of the Ollama at `url`. `serve --recordings` plays them from there.

    A recording is called after its path, with a number: `api-chat-1`. Secrets are blanked before anything is written.
    """

    def __init__(self, folder: Path, url: str) -> None:
        self._folder, self._url = folder, url
        self._lock = threading.Lock()

    @property
    def recordings(self) -> Sequence[Recording]:
        """Those that are at the top of the folder.

        Raises: RecordingError.
        """
        if not self._folder.exists():
            return ()
        if not self._folder.is_dir():
            raise RecordingError(self._folder, "", "is no folder", "give one, which need not be there yet")
        stems = [stem for stem in on_disk.find(self._folder) if stem.parent == self._folder and stem.name != "README"]
        return [on_disk.load(stem, id=stem.name) for stem in stems]

    @cached_property
    def version(self) -> str:
        """The version that the server says, or "unknown"."""
        try:
            answer = ask(Address.of(self._url), Request(method="GET", path="/api/version"), timeout_s=_VERSION_S)
            said = json.loads(answer.body)["version"]
        except (RecorderError, ValueError, LookupError, TypeError):
            return "unknown"
        return said if is_version(said) else "unknown"

    def keep(self, recording: Recording) -> Path:
        """Write a recording; returns its stem.

        Raises: RecordingError, RecordingTooLong, DirectoryError.
        """
        with self._lock, held(self._folder):
            name = self._free_name(recording.request.path)
            named = replace(
                recording,
                id=f"{self.version}/{name}",
                ollama_version=self.version,
                platform=f"{platform.system().lower()}/{platform.machine().lower()}",
            )
            return keep(named, self._folder)

    def _free_name(self, path: str) -> str:
        stem = re.sub("[^a-z0-9]+", "-", path.lower()).strip("-")[:60].rstrip("-") or "root"
        taken = {one.name.partition(".")[0] for one in self._folder.glob(f"{stem}-*")}
        return next(f"{stem}-{number}" for number in range(1, len(taken) + 2) if f"{stem}-{number}" not in taken)
