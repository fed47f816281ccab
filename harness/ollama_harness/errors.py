"""Every error that the harness raises on purpose.

HarnessError                  a request of the user cannot be done; the message says how to fix it
├── RecordingError            a recording on disk is not usable: names file and field
│   ├── RecordingTooLong      a recording is longer than the limit
│   └── ProbeError            a file of probes is not usable: names file and field
├── RecorderError             a server cannot be recorded: it is no Ollama, lacks a model, or breaks HTTP
│   └── ServerUnreachable     nothing accepts connections at the address
├── FaultDoesNotApply         a fault has no place to strike in this script
├── BadFault                  a text is no fault
├── ReplyError                a file of replies is not usable: names file and field
├── ProgrammeError            a programme is not usable: names its file, line, rule and key
├── ClientError               a user's own client is not usable: names its file and key, or the option
├── InstallError              a client cannot be installed: what is missing, or the last lines of the step that failed
├── UnknownName               no client, scenario, recording or version has that name: offers the nearest
├── DirectoryError            a directory cannot be written to, or another process is writing there
├── PortInUse                 the server's address is taken or not allowed
├── TlsError                  a certificate cannot be made, or its file cannot be written
├── ResultsError              a results file is incomplete, corrupt or of another schema
├── GateError                 accepted.toml or an earlier report of the gate is not valid
├── RegistryError             the user's proxy settings in Windows cannot be read, changed or restored
└── ExpectationError          known_issues.toml is not valid
ProtocolError                 bytes on a socket are no HTTP/1.1 message (RFC 9112); never the user's fault
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Self


class HarnessError(Exception):
    """Base of all errors that the command line reports in one sentence with exit code 2."""

    @classmethod
    def about(cls, path: Path, place: str, problem: str, fix: str) -> Self:
        """The error for a file: `place` is a line or a field in it, or "" for the file itself."""
        return cls(f"{_place(path, place)}: {problem}; {fix}")


class RecordingError(HarnessError):
    """A recording cannot be used.

    Attributes: `path` (the wrong file), `field` (dotted, or "" for the file itself), `problem`, `fix`.
    """

    def __init__(self, path: Path, field: str, problem: str, fix: str) -> None:
        self.path, self.field, self.problem, self.fix = path, field, problem, fix
        super().__init__(f"{_place(path, field)}: {problem}; {fix}")

    @classmethod
    def about(cls, path: Path, place: str, problem: str, fix: str) -> Self:
        return cls(path, place, problem, fix)


class RecordingTooLong(RecordingError):
    """A recording is longer than 256 MB (`recording.MAX_BYTES`, both files together), so it is not loaded or made."""


class ProbeError(RecordingError):
    """A file of probes cannot be used."""


class RecorderError(HarnessError):
    """A server cannot be recorded: it does not answer, is no Ollama, or lacks what a probe needs."""


class ServerUnreachable(RecorderError):
    """Nothing accepts connections at the address that was given."""


class FaultDoesNotApply(HarnessError):
    """A fault has no place to strike in this script. It never silently does nothing."""


class BadFault(HarnessError):
    """A text is no fault, or gives a fault wrong arguments."""


class ReplyError(HarnessError):
    """A file of replies cannot be used."""


class ProgrammeError(HarnessError):
    """A programme cannot be used: its file is wrong, or a rule can have no effect."""


class ClientError(HarnessError):
    """A user's own client cannot be used: its file or command is wrong, or its name is taken."""


class InstallError(HarnessError):
    """A client cannot be installed: a program is missing, a step failed, or the place cannot be written to."""


class UnknownName(HarnessError):
    """No `kind` (client, scenario, …) has this `name`; the message offers the nearest of `known`."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        known = sorted(known, key=_natural)
        nearest = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(nearest)}?" if nearest else f"known: {', '.join(known[:12])}"
        if not nearest and len(known) > 12:
            hint += f" … ({len(known)} in all)"
        super().__init__(f"there is no {kind} called {name!r}; {hint}")


class DirectoryError(HarnessError):
    """A directory cannot be made or written to, or another process is writing there."""


class PortInUse(HarnessError):
    """The server cannot listen on the address: another program uses it, or the system does not allow it."""


class TlsError(HarnessError):
    """A server cannot have the certificate that is wanted, or the file to trust it by."""


class ResultsError(HarnessError):
    """A results file is incomplete, corrupt or of another schema, so it proves nothing."""


class GateError(HarnessError):
    """The gate cannot use a file: accepted.toml, or the report of an earlier gate."""


class RegistryError(HarnessError):
    """The user's proxy settings in Windows cannot be read, changed or restored."""


class ExpectationError(HarnessError):
    """An entry of known_issues.toml is not valid: an unknown name, no reason, no verdict, or too wide."""


class ProtocolError(Exception):
    """Bytes that are no HTTP/1.1 message. `rule` names the section of RFC 9112 that they break."""

    def __init__(self, problem: str, rule: str) -> None:
        self.problem, self.rule = problem, rule
        super().__init__(f"{problem} ({rule})")


def _place(path: Path, place: str) -> str:
    return f"{path}: {place}" if place else str(path)


def _natural(name: str) -> list[tuple[int, str]]:
    """A sort key that compares the numbers in names as numbers: 0.5.7 before 0.12.11."""
    return [(int(part[:18]), part) if part.isdecimal() else (-1, part) for part in re.split(r"([0-9]+)", name)]
