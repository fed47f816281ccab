"""The history of the wire: the gates between all neighbouring versions of a library, and of second takes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from packaging.version import Version as Number

from harness.gate.claims import Claim
from harness.gate.decision import Decision
from harness.gate.findings import Finding
from harness.gate.running import gate
from harness.library import AGAIN, Library
from harness.results import Results
from harness.shapes import Version

__all__ = ["Pair", "Step", "in_time", "pairs", "step", "when"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """What is held against each other: versions of a library. `takes` are those of the baseline, `candidate` may be
    a second take of the same.
    """

    takes: tuple[str, ...]
    candidate: str

    @property
    def is_noise(self) -> bool:
        """Whether both are of one version, so that all which differs is noise."""
        return self.candidate.removeprefix(AGAIN) in self.takes


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One pair and what came of it."""

    pair: Pair
    decision: Decision


def pairs(library: Library) -> list[Pair]:
    """Each version and the next, with all takes of the older one; then each version and its second take."""
    again = {name.removeprefix(AGAIN): name for name in library.takes}
    versions = library.versions
    steps = [
        Pair(takes=(old, again[old]) if old in again else (old,), candidate=new)
        for old, new in itertools.pairwise(versions)
    ]
    return steps + [Pair(takes=(old,), candidate=take) for old, take in again.items()]


def step(library: Library, pair: Pair, results: tuple[Results, Results] | None = None) -> Step:
    """The gate of one pair; with the results of both, on what clients make of it as well."""
    takes, candidate = [_version(library, name) for name in pair.takes], _version(library, pair.candidate)
    return Step(pair=pair, decision=gate(takes, candidate, results=results))


def when(claim: Claim, steps: Sequence[Step]) -> tuple[Step, Finding] | None:
    """Between which versions the recordings first show what a claim says, and the finding that shows it."""
    for one in steps:
        for finding in one.decision.findings:
            if claim.matches(finding):
                return one, finding
    return None


def in_time(claim: Claim, one: Step) -> bool:
    """Whether the step is over the version that the claim names."""
    since, before, after = (Number(text) for text in (claim.since, one.decision.baseline, one.decision.candidate))
    return before < since <= after


def _version(library: Library, name: str) -> Version:
    return Version.of(library.of_version(name))
