"""The history of the wire: the gates between all neighbouring versions of a store, and of second recordings."""

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
    """Two versions to compare. `baselines` are the sessions of the older one, and `candidate` may be a second recording
    of it.
    """

    baselines: tuple[str, ...]
    candidate: str

    @property
    def is_noise(self) -> bool:
        """Whether both are of one version, so that all differences are noise."""
        return self.candidate.removeprefix(AGAIN) in self.baselines


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryStep:
    """One pair, and the decision of its gate."""

    pair: VersionPair
    decision: Decision


def pairs(store: RecordingStore) -> list[VersionPair]:
    """Each version and the next, with all sessions of the older one; then each version and its second recording."""
    again = {name.removeprefix(AGAIN): name for name in store.second_sessions}
    versions = store.versions
    steps = [
        VersionPair(baselines=(old, again[old]) if old in again else (old,), candidate=new)
        for old, new in itertools.pairwise(versions)
    ]
    return steps + [VersionPair(baselines=(old,), candidate=second) for old, second in again.items()]


def step(store: RecordingStore, pair: VersionPair, results: tuple[Results, Results] | None = None) -> HistoryStep:
    """The gate of one pair. With the results of both, it also compares how the clients handle them."""
    baselines, candidate = [_version(store, name) for name in pair.baselines], _version(store, pair.candidate)
    return HistoryStep(pair=pair, decision=gate(baselines, candidate, results=results))


def when(claim: Claim, steps: Sequence[HistoryStep]) -> tuple[HistoryStep, Finding] | None:
    """The versions between which the recordings first show what a claim says, and the finding that shows it."""
    for one in steps:
        for finding in one.decision.findings:
            if claim.matches(finding):
                return one, finding
    return None


def in_time(claim: Claim, one: HistoryStep) -> bool:
    """Whether the step contains the version that the claim names."""
    since, before, after = map(order, (claim.since, one.decision.baseline, one.decision.candidate))
    return before < since <= after


def _version(store: RecordingStore, name: str) -> VersionShapes:
    return VersionShapes.of(store.of_version(name))
