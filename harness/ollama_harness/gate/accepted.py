"""accepted.toml: changes that somebody has looked at and can live with. One entry is one finding.

    [[accepted]]
    fingerprint = "0123456789ab"
    reason = "our client reads no Allow header"
    versions = ">=0.7,<0.33"   # of the candidate
    expires = 2027-06-30

An entry that has expired, or that no finding needs any more, is red: the list never lies.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from ollama_harness.errors import GateError

__all__ = ["Acceptance", "load", "stale"]

_FIELDS: dict[str, type] = {"fingerprint": str, "reason": str, "versions": str, "expires": date}


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """One entry; `place` is where it stands: the file and the number of the entry in it."""

    fingerprint: str
    reason: str
    versions: SpecifierSet
    expires: date
    place: str

    def holds_for(self, candidate: str) -> bool:
        """Whether it speaks of this version of Ollama.

        Raises: GateError.
        """
        try:
            return self.versions.contains(Version(candidate), prereleases=True)
        except InvalidVersion:
            problem = f"the candidate calls itself {candidate!r}, which is no version: {self.place} cannot say of it"
            raise GateError(f"{problem} whether it is meant; gate without --accept") from None


def load(path: Path) -> tuple[Acceptance, ...]:
    """Read a file of accepted findings.

    Raises: GateError.
    """
    try:
        top = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise GateError(f"{path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise GateError(f"{path} is no TOML: {error}") from None
    entries = top.get("accepted", [])
    if top.keys() - {"accepted"} or not isinstance(entries, list):
        raise GateError(f"{path} holds something else than entries; begin each with a line [[accepted]]")
    found = [_acceptance(entry, f"{path}: entry {number}") for number, entry in enumerate(entries, 1)]
    for number, one in enumerate(found):
        if any(one.fingerprint == other.fingerprint and one.versions == other.versions for other in found[:number]):
            raise GateError(f"{one.place}: fingerprint {one.fingerprint} is accepted twice; keep one of the entries")
    return tuple(found)


def stale(entries: Sequence[Acceptance], fingerprints: frozenset[str] | None, *, today: date) -> tuple[str, ...]:
    """What is wrong with entries that speak of a candidate: expired, or none of the `fingerprints` needs them.

    None stands for fingerprints that are not all known.
    """
    said = []
    for one in entries:
        if one.expires < today:
            said.append(f"{one.place}: {one.fingerprint} has expired on {one.expires}; look again")
        if fingerprints is not None and one.fingerprint not in fingerprints:
            said.append(f"{one.place}: {one.fingerprint} is no finding of this gate; take it out")
    return tuple(said)


def _acceptance(entry: dict[str, Any], place: str) -> Acceptance:
    for name, kind in _FIELDS.items():
        if type(entry.get(name)) is not kind or not entry[name]:
            raise GateError(f"{place}: {name} is missing or no {kind.__name__}")
    if unknown := entry.keys() - _FIELDS.keys():
        raise GateError(f"{place}: {min(unknown)} is no field of an entry; known are {', '.join(_FIELDS)}")
    if not re.fullmatch(r"[0-9a-f]{12}", entry["fingerprint"]):
        raise GateError(f"{place}: fingerprint {entry['fingerprint']!r} is not 12 hex digits; copy it from the report")
    try:
        versions = SpecifierSet(entry["versions"])
    except InvalidSpecifier:
        raise GateError(f'{place}: versions {entry["versions"]!r} is no range; write ">=0.9,<0.33"') from None
    return Acceptance(
        fingerprint=entry["fingerprint"],
        reason=entry["reason"],
        versions=versions,
        expires=entry["expires"],
        place=place,
    )
