"""accepted.toml: findings that a person has checked and accepted. One entry is one finding.

    [[accepted]]
    fingerprint = "0123456789ab"
    reason = "our client reads no Allow header"
    seen_in = "error-wrong-method"   # the recording, or CLIENT/SCENARIO/RECORDING, that shows it
    versions = ">=0.7,<0.33"         # of the candidate
    expires = 2027-06-30

An expired entry fails the gate. So does an entry that matches no finding although what it was seen in was compared, so
the list stays true. A gate that compares less (some clients, some recordings, the wire only) ignores the other
entries.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from ollama_harness.errors import GateError
from ollama_harness.files.fields import Fields, is_one_line
from ollama_harness.files.reading import read_toml
from ollama_harness.gate.findings import place
from ollama_harness.recordings.versions import pep440

__all__ = ["Acceptance", "load", "stale"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """One entry. `place` is the file and the number of the entry in it."""

    fingerprint: str
    reason: str
    seen_in: str
    versions: SpecifierSet
    expires: date
    place: str

    def holds_for(self, candidate: str) -> bool:
        """Whether the entry applies to this version of Ollama.

        Raises: GateError.
        """
        version = pep440(candidate)
        if version is None:
            problem = f"the candidate reports the version {candidate!r}, which cannot be compared with the range in"
            raise GateError(f"{problem} {self.place}; run the gate without --accept")
        return self.versions.contains(version, prereleases=True)


def load(path: Path) -> tuple[Acceptance, ...]:
    """Read a file of accepted findings.

    Raises: GateError.
    """
    top = read_toml(path, GateError, fix="give a file of accepted findings")
    entries = top.get("accepted", [])
    if top.keys() - {"accepted"} or not isinstance(entries, list):
        raise GateError.about(path, "", "holds something other than entries", "begin each with a line [[accepted]]")
    found = [_acceptance(path, entry, number) for number, entry in enumerate(entries, 1)]
    for number, one in enumerate(found):
        if any(one.fingerprint == other.fingerprint and one.versions == other.versions for other in found[:number]):
            raise GateError(f"{one.place}: fingerprint {one.fingerprint} is accepted twice; keep one of the entries")
    return tuple(found)


def stale(
    entries: Sequence[Acceptance], fingerprints: frozenset[str], compared: frozenset[str], *, today: date
) -> tuple[str, ...]:
    """What is wrong with the entries that apply to a candidate: an entry has expired, or it matches none of the
    `fingerprints` although what it was seen in was `compared`.
    """
    lines = []
    for one in entries:
        if one.expires < today:
            lines.append(f"{one.place}: {one.fingerprint} expired on {one.expires}; check the finding again")
        if one.seen_in in compared and one.fingerprint not in fingerprints:
            lines.append(f"{one.place}: {one.fingerprint} matches no finding of this gate; remove the entry")
    return tuple(lines)


def _acceptance(path: Path, entry: Any, number: int) -> Acceptance:
    fields = Fields(path, entry, f"entry {number}: ", GateError)
    found = Acceptance(
        fingerprint=fields.take("fingerprint", _is_fingerprint, "12 hex digits, copied from the report"),
        reason=" ".join(fields.take("reason", _is_text, "a text").split()),
        seen_in=place(fields.take("seen_in", is_one_line, "the text that `--explain` shows as seen_in")),
        versions=SpecifierSet(fields.take("versions", _is_range, "a range of versions: >=0.9,<0.33")),
        expires=fields.take("expires", lambda value: type(value) is date, "a date: 2027-06-30"),
        place=f"{path}: entry {number}",
    )
    fields.no_more()
    return found


def _is_fingerprint(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{12}", value) is not None


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value.strip() != ""


def _is_range(value: Any) -> bool:
    """Whether a value is a range of versions. A blank text would mean all versions, so it is refused."""
    if not isinstance(value, str):
        return False
    try:
        ranges = SpecifierSet(value)
        ranges.contains(Version("0"))
    except ValueError:  # InvalidSpecifier, or a number with more digits than Python reads
        return False
    return len(ranges) > 0
