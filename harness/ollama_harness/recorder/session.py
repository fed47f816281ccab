"""A session of recording: it sends the probes of its plan one after the other and returns what was recorded.

For each probe the session sends the requests `before` (the set-up), records the request itself, and sends the requests
`after` (the clean-up). The clean-up is in a `finally`, so it also runs after Ctrl-C. The folder is locked for the whole
session, and each recording is a draft until both of its files are complete. So whatever interrupts a session, the
folder holds whole recordings only.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from ollama_harness.errors import RecorderError, RecordingTooLong, ServerUnreachable
from ollama_harness.files.locking import held
from ollama_harness.recorder.address import Address
from ollama_harness.recorder.live_request import ask
from ollama_harness.recorder.planning import Failure, plan
from ollama_harness.recorder.probes import Probe
from ollama_harness.recorder.recording_writer import record_one
from ollama_harness.recordings.recording import Request
from ollama_harness.recordings.secrets import PATTERNS, SecretPattern, home_pattern, name_pattern

__all__ = ["TIMEOUT_S", "Progress", "RecordedSession", "record"]

#: Loading a model may take so long, and the server sends nothing meanwhile.
TIMEOUT_S = 120.0

#: The clean-up must be short, because it also runs after Ctrl-C.
_CLEAN_UP_S = 10.0

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
#: Names that do not identify a machine.
_ANY_MACHINE = frozenset({"localhost", "127.0.0.1", "::1", "0.0.0.0", ""})


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedSession:
    """The result of a session: the `ids` of its recordings in the order in which they were made, all in `folder`.

    `failures` are the probes that gave no recording or whose clean-up failed. `left_out` are the probes that were not
    sent.
    """

    version: str
    folder: Path
    ids: tuple[str, ...]
    failures: tuple[Failure, ...]
    left_out: tuple[Failure, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a session is: the probe, how many of `total` are done, and how much of its answer has arrived."""

    name: str
    done: int
    total: int
    frames: int
    body_bytes: int
    folder: Path


def record(
    url: str,
    probes: Sequence[Probe] | None = None,
    out: Path = Path("recordings"),
    *,
    model: str | None = None,
    may_change: Collection[str] = (),
    session: str | None = None,
    timeout_s: float = TIMEOUT_S,
    redact_home: bool = False,
    redact_host: bool = False,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> RecordedSession:
    """Ask a live Ollama and write each exchange to `<out>/<version>/`, or to `<out>/<session>/<version>/`.

    Without `probes` the default ones are sent; `model` replaces `{model}` in them. A probe that would change a model
    that the session has not made is left out or refused, unless `may_change` names the model (see
    `recorder.planning`). `session` is the name of a second recording of the same version. An answer may end in any
    way; it ends after `timeout_s` seconds of silence at the latest. Secrets are blanked (see `recordings.secrets`);
    user names in paths and names of hosts are blanked on request. A probe that gives no recording (no answer, no HTTP,
    a failed set-up, an answer longer than a recording may be) is a failure of the session. The other probes are still
    sent, unless the server no longer listens. If a session ends early, its finished recordings stay, and nothing else
    does.

    Raises: RecorderError, before anything is written, if the server is not an Ollama or does not have the model;
        ServerUnreachable; DirectoryError, if the folder cannot be written to or another session writes to it;
        RecordingError, if a recording cannot be written.
    """
    if session is not None and not _NAME.fullmatch(session):
        raise RecorderError(f"{session!r} cannot be the name of a session; use a-z, 0-9 and -")
    planned = plan(url, probes, model=model, may_change=may_change, timeout_s=timeout_s)
    running = _Session(
        address=planned.address,
        version=planned.version,
        place=planned.version if session is None else f"{session}/{planned.version}",
        out=out,
        timeout_s=timeout_s,
        patterns=_patterns(planned.address, home=redact_home, host=redact_host),
        on_progress=on_progress,
    )
    with held(out / running.place):
        ids, failures = running.run(planned.probes)
    return RecordedSession(
        version=running.version,
        folder=out / running.place,
        ids=tuple(ids),
        failures=tuple(failures),
        left_out=planned.left_out,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Session:
    address: Address
    version: str
    place: str
    out: Path
    timeout_s: float
    patterns: tuple[SecretPattern, ...]
    on_progress: Callable[[Progress], None]

    def run(self, probes: Sequence[Probe]) -> tuple[list[str], list[Failure]]:
        """Send the probes in turn; returns the ids of the recordings, and the failures."""
        ids, failures = list[str](), list[Failure]()
        for index, probe in enumerate(probes):
            try:
                self._record(probe, index, len(probes))
                ids.append(f"{self.place}/{probe.name}")
            except ServerUnreachable as error:
                failures += [Failure(one.name, str(error)) for one in probes[index:]]
                break
            except (RecorderError, RecordingTooLong) as error:
                failures.append(Failure(probe.name, str(error)))
            finally:
                failures += self._clean_up(probe)
        return ids, failures

    def _record(self, probe: Probe, index: int, total: int) -> None:
        folder = self.out / self.place

        def report(frames: int, body_bytes: int) -> None:
            name = probe.name
            self.on_progress(
                Progress(name=name, done=index, total=total, frames=frames, body_bytes=body_bytes, folder=folder)
            )

        report(0, 0)
        for request in probe.before:
            self._set_up(request)
        record_one(
            self.address,
            probe,
            folder,
            version=self.version,
            patterns=self.patterns,
            timeout_s=self.timeout_s,
            on_bytes=report,
        )

    def _set_up(self, request: Request) -> None:
        answer = ask(self.address, request, timeout_s=self.timeout_s)
        if answer.status >= 400:
            raise RecorderError(f"the set-up failed: {request.method} {request.path} gave {answer.status}")

    def _clean_up(self, probe: Probe) -> list[Failure]:
        """Undo what a probe has done. A 404 is fine: then there was nothing to undo."""
        failures = []
        for request in probe.after:
            what = f"{request.method} {request.path}"
            try:
                answer = ask(self.address, request, timeout_s=min(self.timeout_s, _CLEAN_UP_S))
            except ServerUnreachable:
                break
            except RecorderError as error:
                failures.append(Failure(probe.name, f"the clean-up failed: {what}: {error}"))
            else:
                if answer.status >= 400 and answer.status != 404:
                    failures.append(Failure(probe.name, f"the clean-up failed: {what} gave {answer.status}"))
        return failures


def _patterns(address: Address, *, home: bool, host: bool) -> tuple[SecretPattern, ...]:
    machine = socket.gethostname()
    names = {address.host, machine, machine.partition(".")[0]} - _ANY_MACHINE
    return (
        *PATTERNS,
        *(home_pattern(Path.home()) if home else ()),
        *(name_pattern(sorted(names, key=len, reverse=True)) if host else ()),
    )
