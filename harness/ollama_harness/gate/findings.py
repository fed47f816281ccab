"""Findings: each change once for each place, with all evidence for it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from ollama_harness.gate.rules import Level

__all__ = ["Evidence", "Finding", "gathered", "place"]


def place(seen_in: str) -> str:
    """Where evidence was seen, without the version: a recording, or CLIENT/SCENARIO/RECORDING for a cell."""
    match seen_in.split("/"):
        case [client, scenario, *_, recording]:
            return f"{client}/{scenario}/{recording}"
    return seen_in


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Where a change shows. On the wire: a recording, and the number of a record (0: the head) in the old and the new
    version. In the matrix: a cell. `old` and `new` are the text there, cut to a line.
    """

    recording: str
    old_line: int = 0
    new_line: int = 0
    old: str = ""
    new: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One change on one route (or of one client): the rule that sees it, where, what it was and is.

    `unstable` says that two sessions of the old version differ in the same way. That is noise.
    """

    rule: str
    level: Level
    subject: str
    where: str
    was: str
    now: str
    evidence: tuple[Evidence, ...]
    unstable: bool = False

    @property
    def fingerprint(self) -> str:
        """12 hex digits. The same change has the same fingerprint in every gate."""
        text = "\n".join((self.rule, self.subject, self.where, self.was, self.now))
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]

    def __str__(self) -> str:
        return f"{self.subject}: {self.where}: {self.was} -> {self.now}"


def gathered(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Findings with the same fingerprint become one, with the evidence of all. The gravest comes first."""
    groups: dict[tuple[str, bool], list[Finding]] = {}
    for one in findings:
        groups.setdefault((one.fingerprint, one.unstable), []).append(one)
    whole = (
        Finding(
            rule=first.rule,
            level=first.level,
            subject=first.subject,
            where=first.where,
            was=first.was,
            now=first.now,
            evidence=tuple(evidence for one in group for evidence in one.evidence),
            unstable=first.unstable,
        )
        for group in groups.values()
        for first in group[:1]
    )
    return tuple(sorted(whole, key=lambda one: (-one.level, one.subject, one.rule, one.where, one.was, one.now)))
