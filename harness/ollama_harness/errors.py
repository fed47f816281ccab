"""Every error that the harness raises on purpose.

HarnessError                  what the user asked for cannot be done; the message says how to fix it
├── RecordingError            a recording on disk is not usable: names file and field
│   ├── RecordingTooLong      a recording is longer than may be
│   └── ProbeError            a file of probes is not usable: names file and field
├── RecorderError             a server cannot be recorded: no Ollama, no model, no whole head of HTTP
│   └── ServerUnreachable     nothing accepts connections there
├── FaultDoesNotApply         a fault has no place to strike in this script
├── BadFault                  a text is no fault
├── UnknownName               no client, scenario, recording or version of that name: offers the nearest
├── DirectoryError            a directory cannot be written to, or another process is writing there
├── PortInUse                 the server's address is taken or not allowed
├── ResultsError              a results file is incomplete, corrupt or of another schema
├── GateError                 accepted.toml or a report of the gate says something that cannot be meant
├── RegistryError             Windows' proxy settings of the user cannot be read, changed or put back
└── ExpectationError          known_issues.toml says something that cannot be meant
ProtocolError                 bytes on a socket are no HTTP/1.1 message (RFC 9112); never the user's doing
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Self


class HarnessError(Exception):
    """Base of all errors that the command line reports in one sentence, with exit code 2."""

    @classmethod
    def about(cls, path: Path, place: str, problem: str, fix: str) -> Self:
        """The error for a file: `place` is a line or a field in it, or "" for the file itself."""
        return cls(f"{_place(path, place)}: {problem}; {fix}")


class RecordingError(HarnessError):
    """A recording cannot be used.

    Attributes: `path` (the file at fault), `field` (dotted, or "" for the file itself), `problem`, `fix`.
    """

    def __init__(self, path: Path, field: str, problem: str, mend: str) -> None:
        self.path, self.field, self.problem, self.mend = path, field, problem, mend
        super().__init__(f"{_place(path, field)}: {problem}; {mend}")

    @classmethod
    def about(cls, path: Path, place: str, problem: str, fix: str) -> Self:
        return cls(path, place, problem, fix)


class RecordingTooLong(RecordingError):
    """A recording is longer than `recording.MAX_BYTES`, so it is neither loaded nor made."""


class ProbeError(RecordingError):
    """A file of probes cannot be used."""


class RecorderError(HarnessError):
    """A server cannot be recorded: it does not answer, is no Ollama, or lacks what a probe needs."""


class ServerUnreachable(RecorderError):
    """Nothing accepts connections at the address that was given."""


class FaultDoesNotApply(HarnessError):
    """A fault has no place to strike in this script. It never silently does nothing."""


class BadFault(HarnessError):
    """A text that should name a fault does not."""


class UnknownName(HarnessError):
    """No `kind` (client, scenario, ...) is called `name`; the message offers the nearest of `known`."""

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
    """The address cannot be listened on: another program holds it, or the system does not allow it."""


class ResultsError(HarnessError):
    """A results file is incomplete, corrupt or of another schema, so nothing may be concluded from it."""


class GateError(HarnessError):
    """The gate cannot read what it was given: accepted.toml, or the report of an earlier gate."""


class RegistryError(HarnessError):
    """The proxy settings of this machine's user cannot be read, changed or put back."""


class ExpectationError(HarnessError):
    """An entry of known_issues.toml cannot be meant: unknown name, missing reason, too wide, no verdict."""


class ProtocolError(Exception):
    """Bytes that are no HTTP/1.1 message. `rule` names the section of RFC 9112 that they break."""

    def __init__(self, problem: str, rule: str) -> None:
        self.problem, self.rule = problem, rule
        super().__init__(f"{problem} ({rule})")


def _place(path: Path, place: str) -> str:
    return f"{path}: {place}" if place else str(path)


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorts names with the numbers in them as numbers: 0.5.7 before 0.12.11."""
    return [(int(part[:18]), part) if part.isdecimal() else (-1, part) for part in re.split(r"([0-9]+)", name)]
