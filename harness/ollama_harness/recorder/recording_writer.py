"""Writes one exchange to disk while it arrives. Secrets are blanked before anything is written."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from ollama_harness.recorder.address import Address
from ollama_harness.recorder.live_request import exchange
from ollama_harness.recorder.probes import Probe
from ollama_harness.recordings.draft import RecordingDraft
from ollama_harness.recordings.recording import Recording, Response
from ollama_harness.recordings.secrets import PATTERNS, Redactor, SecretPattern, redact_meta

__all__ = ["keep", "record_one"]


def record_one(
    address: Address,
    probe: Probe,
    directory: Path,
    *,
    version: str,
    patterns: Sequence[SecretPattern],
    timeout_s: float,
    on_bytes: Callable[[int, int], None],
) -> Path:
    """Send one probe and write its answer into `directory`; returns the stem of the recording.

    `on_bytes` is called while the body arrives, with the number of frames and bytes so far.

    Raises: ServerUnreachable; RecorderError, if there was no HTTP answer (then nothing is written); RecordingError, if
        it cannot be written; RecordingTooLong, as soon as it is too long.
    """
    recorded_at = datetime.now(UTC).isoformat(timespec="seconds")
    with contextlib.ExitStack() as stack:
        sink = _FileSink(stack, directory, probe.name, patterns, on_bytes)
        end = exchange(address, probe.request, sink, timeout_s=timeout_s)
        recording = Recording(
            id=f"{version}/{probe.name}",
            ollama_version=version,
            recorded_at=recorded_at,
            platform=f"{platform.system().lower()}/{platform.machine().lower()}",
            request=probe.request,
            response=sink.response,
            frames=(),  # they are in the draft
            ended=end.how,
            ended_at_s=end.at_s,
            intervention=probe.intervention,
            note=probe.note,
        )
        return sink.finish(recording)


def keep(recording: Recording, directory: Path, *, patterns: Sequence[SecretPattern] = PATTERNS) -> Path:
    """Write a recording into `directory`, both files or none, without its secrets; returns its stem.

    Raises: RecordingError, if it cannot be written; RecordingTooLong.
    """
    with contextlib.ExitStack() as stack:
        sink = _FileSink(stack, directory, recording.name, patterns, lambda *_: None)
        sink.head(recording.response)
        for frame in recording.frames:
            sink.body(frame.data)
            sink.frame(frame.at_s, len(frame.data))
        return sink.finish(recording)


class _FileSink:
    """A sink that writes to disk. It opens its files when the head arrives, so without an answer there is no file."""

    def __init__(
        self,
        stack: contextlib.ExitStack,
        directory: Path,
        name: str,
        patterns: Sequence[SecretPattern],
        on_bytes: Callable[[int, int], None],
    ) -> None:
        self._stack, self._directory, self._name = stack, directory, name
        self._patterns, self._redactor, self._on_bytes = patterns, Redactor(patterns), on_bytes
        self._frames, self._size = 0, 0

    def head(self, response: Response) -> None:
        self.response = response
        self._draft = self._stack.enter_context(RecordingDraft(self._directory, self._name))

    def body(self, data: bytes) -> None:
        self._draft.write(self._redactor.feed(data))
        self._size += len(data)

    def frame(self, at_s: float, size: int) -> None:
        self._draft.frame(at_s, size)
        self._frames += 1
        self._on_bytes(self._frames, self._size)

    def finish(self, recording: Recording) -> Path:
        self._draft.write(self._redactor.finish())
        return self._draft.finish(redact_meta(recording, self._patterns))
