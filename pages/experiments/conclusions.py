"""The conclusions of an experiment, computed from what was measured.

An explanation holds if the 502 *as reported* (all clients built on httpx get it, and no other client does) occurs in
every trial with the claimed cause, and in none without. A remedy fixes a place if every request that failed there
without it gets the whole answer with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ollama_harness.network.route import Route
from pages.experiments.experiment import BUILT_ON_HTTPX, Trial

__all__ = [
    "Effect",
    "ExplanationGrade",
    "FailurePattern",
    "Measured",
    "RemedyGrade",
    "TrialResult",
    "answer",
    "effects",
    "grade",
    "pattern",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One request. `status` is what the client saw (None: no answer), and `end` how it ended, in a few words.

    `asked` is the request line as the server or the proxy received it, with PORT for the port; "" if neither did.
    """

    client: str
    route: Route
    status: int | None
    whole: bool
    end: str
    asked: str = ""


@dataclass(frozen=True, slots=True)
class TrialResult:
    """A trial and its measurements, in the order of the requests."""

    trial: Trial
    measured: tuple[Measured, ...]

    @property
    def last(self) -> dict[str, Measured]:
        """Each client's last request."""
        return {one.client: one for one in self.measured}

    @property
    def failing(self) -> frozenset[str]:
        """The clients that did not get the whole answer in their last request."""
        return frozenset(name for name, one in self.last.items() if not one.whole)


class FailurePattern(StrEnum):
    """Which clients got a 502."""

    REPORTED = "as reported"  # all clients built on httpx, and no other
    ALL_CLIENTS = "all clients"
    NO_CLIENT = "no client"
    OTHER = "other clients"


def pattern(seen: TrialResult) -> FailurePattern:
    hit = {name for name, one in seen.last.items() if one.status == 502}
    if not hit:
        return FailurePattern.NO_CLIENT
    if hit == set(seen.last):
        return FailurePattern.ALL_CLIENTS
    return FailurePattern.REPORTED if hit == set(seen.last) & set(BUILT_ON_HTTPX) else FailurePattern.OTHER


class ExplanationGrade(StrEnum):
    """The result for an explanation."""

    MAKES_IT = "the cause"  # without it, no client gets a 502
    MAKES_THE_DIFFERENCE = "the cause of the difference"  # without it, all clients do
    ANOTHER = "not the cause: it makes another 502"  # requests gets it too
    NO = "not the cause"


def answer(seen: Sequence[TrialResult]) -> ExplanationGrade:
    """The result of the trials of an explanation."""
    with_it = [(one.trial.where, pattern(one)) for one in seen if one.trial.given]
    without = [(one.trial.where, pattern(one)) for one in seen if not one.trial.given]
    reported_with = [each is FailurePattern.REPORTED for _, each in with_it]
    if all(reported_with) and not any(each is FailurePattern.REPORTED for _, each in without):
        all_get_one = all(each is FailurePattern.ALL_CLIENTS for _, each in without)
        return ExplanationGrade.MAKES_THE_DIFFERENCE if all_get_one else ExplanationGrade.MAKES_IT
    quiet = {where for where, each in without if each is FailurePattern.NO_CLIENT}
    if any(where in quiet and each in (FailurePattern.ALL_CLIENTS, FailurePattern.OTHER) for where, each in with_it):
        return ExplanationGrade.ANOTHER
    return ExplanationGrade.NO


class RemedyGrade(StrEnum):
    """The result for a remedy."""

    ALL = "yes"
    SOME = "in part"
    NONE = "no"


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """The effect of a remedy in one place: the clients that get the whole answer with it, and how the others end.

    `of_502` is whether the failure there before was a 502.
    """

    where: str
    what: str
    whole: frozenset[str]
    left: dict[str, str]
    failed_before: frozenset[str]
    of_502: bool

    @property
    def fixed(self) -> frozenset[str]:
        """The clients that the remedy fixes. A client that replaces others counts if it gets the whole answer."""
        replaced = not self.failed_before & (self.whole | self.left.keys())
        return self.whole if replaced else self.whole & self.failed_before

    @property
    def grade(self) -> RemedyGrade:
        if not self.left:
            return RemedyGrade.ALL
        return RemedyGrade.SOME if self.fixed else RemedyGrade.NONE


def effects(seen: Sequence[TrialResult]) -> Iterator[Effect]:
    """The effect of a remedy in each place where a request failed without it."""
    for one in seen:
        before = [each for each in seen if each.trial.where == one.trial.where and not each.trial.given]
        if one.trial.given and before and before[0].failing:
            yield Effect(
                where=one.trial.where,
                what=one.trial.what,
                whole=frozenset(one.last) - one.failing,
                left={name: one.last[name].end for name in one.last if name in one.failing},
                failed_before=before[0].failing,
                of_502=any(one.status == 502 for one in before[0].measured),
            )


def grade(seen: Sequence[TrialResult]) -> RemedyGrade:
    """The result of a remedy for the 502, over all places that have it."""
    grades = {one.grade for one in effects(seen) if one.of_502}
    if len(grades) == 1:
        return grades.pop()
    return RemedyGrade.SOME if grades else RemedyGrade.NONE
