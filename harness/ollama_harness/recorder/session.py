"""A session of recording: who answers there, which probes are asked, and what came of each."""

from __future__ import annotations

import contextlib
import json
import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ollama_harness.errors import RecorderError, RecordingTooLong, ServerUnreachable
from ollama_harness.recorder.address import Address
from ollama_harness.recorder.live_request import LiveResponse, ask
from ollama_harness.recorder.probes import Probe, default_probes
from ollama_harness.recorder.recording_writer import record_one
from ollama_harness.recordings.recording import Request
from ollama_harness.recordings.redaction import PATTERNS, SecretPattern, home_pattern, name_pattern

__all__ = ["TIMEOUT_S", "Failure", "Progress", "RecordedSession", "record"]

#: A model may take so long to load before it says anything.
TIMEOUT_S = 120.0

#: Cleaning up must not take long, not even after Ctrl-C.
_CLEAN_UP_S = 10.0

_TAKE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
#: What can be the name of a folder on any system.
_VERSION = re.compile(r"[0-9A-Za-z]([0-9A-Za-z.+_-]{0,98}[0-9A-Za-z])?")
#: Names that say nothing of anybody's machine.
_ANY_MACHINE = frozenset({"localhost", "127.0.0.1", "::1", "0.0.0.0", ""})


@dataclass(frozen=True, slots=True)
class Failure:
    """A probe that gave no recording, and why."""

    name: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedSession:
    """What a session has made: `ids` of the recordings in the order in which they were made, all in `folder`."""

    version: str
    folder: Path
    ids: tuple[str, ...]
    failures: tuple[Failure, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a session is: the probe, how many of `total` are done, and what has come of its answer so far."""

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
    take: str | None = None,
    timeout_s: float = TIMEOUT_S,
    redact_home: bool = False,
    redact_host: bool = False,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> RecordedSession:
    """Ask a live Ollama and write each exchange to `<out>/<version>/`, or to `<out>/<take>/<version>/`.

    `probes` are the default ones if none are given; `{model}` in them is `model`, or else the first that the server
    lists. An answer may end in any way, after `timeout_s` seconds of silence at the latest. Secrets are blanked (see
    `recordings.redaction`), user names in paths and names of hosts on request. A probe that gives no recording (no
    answer, no HTTP, a stage that could not be set, an answer longer than a recording may be) is a failure of the take;
    the others are still asked, unless nothing listens any more. Whatever ends this early, finished recordings stay and
    nothing else does.

    Raises: RecorderError, before anything is written, if this is no Ollama, or there is no model; ServerUnreachable;
        RecordingError, if a recording cannot be written.
    """
    if take is not None and not _TAKE.fullmatch(take):
        raise RecorderError(f"{take!r} is no name of a take; use a-z, 0-9 and -")
    address = Address.of(url)
    version = _version(address, timeout_s)
    chosen = default_probes().probes if probes is None else probes
    if any(probe.needs_model for probe in chosen):
        name = model or _first_model(address, timeout_s)
        chosen = [probe.with_model(name) for probe in chosen]
    session = _Session(
        address=address,
        version=version,
        place=version if take is None else f"{take}/{version}",
        out=out,
        timeout_s=timeout_s,
        patterns=_patterns(address, home=redact_home, host=redact_host),
        on_progress=on_progress,
    )
    return session.run(chosen)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Session:
    address: Address
    version: str
    place: str
    out: Path
    timeout_s: float
    patterns: tuple[SecretPattern, ...]
    on_progress: Callable[[Progress], None]

    def run(self, probes: Sequence[Probe]) -> RecordedSession:
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
        return RecordedSession(
            version=self.version, folder=self.out / self.place, ids=tuple(ids), failures=tuple(failures)
        )

    def _record(self, probe: Probe, index: int, total: int) -> None:
        folder = self.out / self.place

        def tell(frames: int, body_bytes: int) -> None:
            name = probe.name
            self.on_progress(
                Progress(name=name, done=index, total=total, frames=frames, body_bytes=body_bytes, folder=folder)
            )

        tell(0, 0)
        try:
            for request in probe.before:
                self._set_stage(request)
            record_one(
                self.address,
                probe,
                folder,
                version=self.version,
                patterns=self.patterns,
                timeout_s=self.timeout_s,
                on_bytes=tell,
            )
        finally:
            for request in probe.after:
                self._clean_up(request)

    def _set_stage(self, request: Request) -> None:
        answer = ask(self.address, request, timeout_s=self.timeout_s)
        if answer.status >= 400:
            raise RecorderError(f"the stage could not be set: {request.method} {request.path} gave {answer.status}")

    def _clean_up(self, request: Request) -> None:
        with contextlib.suppress(RecorderError):  # there may be nothing to clean up, or nobody left to do it
            ask(self.address, request, timeout_s=min(self.timeout_s, _CLEAN_UP_S))


def _version(address: Address, timeout_s: float) -> str:
    """What the server says it is.

    Raises: RecorderError.
    """
    answer = _asked(address, "/api/version", timeout_s)
    value = _json(answer)
    version = value.get("version") if isinstance(value, dict) else None
    if answer.status != 200 or not isinstance(version, str):
        raise _no_ollama(address, f"GET /api/version gave {answer.status} and no version")
    if not _VERSION.fullmatch(version):
        raise _no_ollama(address, f"its version, {version[:40]!r}, can be no folder's name")
    return version


def _first_model(address: Address, timeout_s: float) -> str:
    value = _json(_asked(address, "/api/tags", timeout_s))
    match value:
        case {"models": [{"name": str(name)}, *_]}:
            return name
    raise RecorderError(f"{address.url} has no model; pull one there, or give --model")


def _asked(address: Address, path: str, timeout_s: float) -> LiveResponse:
    try:
        return ask(address, Request(method="GET", path=path), timeout_s=timeout_s)
    except ServerUnreachable:
        raise
    except RecorderError as error:
        raise _no_ollama(address, f"GET {path}: {error}") from None


def _json(answer: LiveResponse) -> object:
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError):
        return None


def _no_ollama(address: Address, why: str) -> RecorderError:
    return RecorderError(f"{address.url} is no Ollama: {why}; give the URL of an Ollama server")


def _patterns(address: Address, *, home: bool, host: bool) -> tuple[SecretPattern, ...]:
    machine = socket.gethostname()
    names = {address.host, machine, machine.partition(".")[0]} - _ANY_MACHINE
    return (
        *PATTERNS,
        *(home_pattern(Path.home()) if home else ()),
        *(name_pattern(sorted(names, key=len, reverse=True)) if host else ()),
    )
