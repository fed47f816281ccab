"""The history of the wire: the gates between all neighbouring versions of a library, and of second takes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from ollama_harness.gate.decision import Decision
from ollama_harness.gate.findings import Finding
from ollama_harness.gate.gate_run import gate
from ollama_harness.gate.shapes import VersionShapes
from ollama_harness.matrix.results import Results
from ollama_harness.recordings.store import AGAIN, RecordingStore
from ollama_harness.recordings.versions import order
from pages.wire_claims import Claim

__all__ = ["HistoryStep", "VersionPair", "in_time", "pairs", "step", "when"]


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionPair:
    """What is compared with each other: versions of a library. `takes` are those of the baseline, `candidate` may be
    a second take of the same.
    """

    takes: tuple[str, ...]
    candidate: str

    @property
    def is_noise(self) -> bool:
        """Whether both are of one version, so that all which differs is noise."""
        return self.candidate.removeprefix(AGAIN) in self.takes


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryStep:
    """One pair and what came of it."""

    pair: VersionPair
    decision: Decision


def pairs(store: RecordingStore) -> list[VersionPair]:
    """Each version and the next, with all takes of the older one; then each version and its second take."""
    again = {name.removeprefix(AGAIN): name for name in store.second_sessions}
    versions = store.versions
    steps = [
        VersionPair(takes=(old, again[old]) if old in again else (old,), candidate=new)
        for old, new in itertools.pairwise(versions)
    ]
    return steps + [VersionPair(takes=(old,), candidate=take) for old, take in again.items()]


def step(store: RecordingStore, pair: VersionPair, results: tuple[Results, Results] | None = None) -> HistoryStep:
    """The gate of one pair; with the results of both, on what clients make of it as well."""
    takes, candidate = [_version(store, name) for name in pair.takes], _version(store, pair.candidate)
    return HistoryStep(pair=pair, decision=gate(takes, candidate, results=results))


def when(claim: Claim, steps: Sequence[HistoryStep]) -> tuple[HistoryStep, Finding] | None:
    """Between which versions the recordings first show what a claim says, and the finding that shows it."""
    for one in steps:
        for finding in one.decision.findings:
            if claim.matches(finding):
                return one, finding
    return None


def in_time(claim: Claim, one: HistoryStep) -> bool:
    """Whether the step is over the version that the claim names."""
    since, before, after = map(order, (claim.since, one.decision.baseline, one.decision.candidate))
    return before < since <= after


def _version(store: RecordingStore, name: str) -> VersionShapes:
    return VersionShapes.of(store.of_version(name))
