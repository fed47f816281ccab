"""The results in words: each sentence is made from what was measured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from pages.experiments.conclusions import (
    Effect,
    ExplanationGrade,
    FailurePattern,
    Measured,
    RemedyGrade,
    TrialResult,
    answer,
    effects,
    pattern,
)
from pages.experiments.experiment import ClaimKind, Experiment

__all__ = ["alike", "appears", "conclusion", "ends", "names", "not_fixed"]

_PATTERNS = {
    FailurePattern.REPORTED: "yes",
    FailurePattern.NO_CLIENT: "no",
    FailurePattern.ALL_CLIENTS: "no, all clients get one",
    FailurePattern.OTHER: "no, other clients get one",
}


def appears(seen: Sequence[TrialResult], *, given: bool) -> str:
    """The places where the 502 as reported occurs, with the claimed cause or without."""
    texts = []
    for where, group in groupby((one for one in seen if one.trial.given is given), key=lambda one: one.trial.where):
        patterns = {_PATTERNS[pattern(one)] for one in group}
        texts.append(f"{where}: {', '.join(sorted(patterns))}")
    return "; ".join(texts)


def not_fixed(seen: Sequence[TrialResult]) -> str:
    """The places where a remedy does not fix everything, with the results. Of several tries in a place, the weakest."""
    weakest: dict[str, Effect] = {}
    for one in effects(seen):
        if one.where not in weakest or _reach(one) < _reach(weakest[one.where]):
            weakest[one.where] = one
    return "; ".join(f"{one.where}: {_left(one)}" for one in weakest.values() if one.grade is not RemedyGrade.ALL)


def conclusion(one: Experiment, seen: Sequence[TrialResult]) -> str:
    """What follows from the trials."""
    return _of_explanation(seen) if one.kind is ClaimKind.EXPLANATION else _of_remedy(seen)


def _of_explanation(seen: Sequence[TrialResult]) -> str:
    found = answer(seen)
    absent = [each for each in seen if each.trial.given and pattern(each) is not FailurePattern.REPORTED]
    without = [each for each in seen if not each.trial.given and pattern(each) is FailurePattern.REPORTED]
    texts = [f"**{found[0].upper()}{found[1:]}.**"]
    if found in (ExplanationGrade.MAKES_IT, ExplanationGrade.MAKES_THE_DIFFERENCE):
        left = "no client gets one" if found is ExplanationGrade.MAKES_IT else "all clients get one"
        texts.append(f"Every trial with it has the 502 as reported. Without it, {left}.")
    if without:
        texts.append(f"The 502 as reported comes without it too ({_trials(without)}).")
    if absent:
        texts.append(f"It does not come with it ({_trials(absent)}).")
    if found is ExplanationGrade.ANOTHER:
        hit = {name for each in absent for name, got in each.last.items() if got.status == 502}
        texts.append(f"Instead {names(hit)} get a 502.")
    return " ".join(texts)


def _of_remedy(seen: Sequence[TrialResult]) -> str:
    words = {RemedyGrade.ALL: "fixes it", RemedyGrade.SOME: "fixes it in part", RemedyGrade.NONE: "does not fix it"}
    texts = []
    for one in effects(seen):
        whom = f", for {names(one.fixed)}" if one.grade is RemedyGrade.SOME else ""
        left = f" ({_left(one)})" if one.left else ""
        texts.append(f"**{one.where}, {one.what}:** {words[one.grade]}{whom}{left}.")
    return " ".join(texts)


def _reach(effect: Effect) -> int:
    return [RemedyGrade.NONE, RemedyGrade.SOME, RemedyGrade.ALL].index(effect.grade)


def _left(effect: Effect) -> str:
    """The clients that do not get the whole answer, and what they get."""
    return ", ".join(
        f"{names(name for name, other in effect.left.items() if other == end)}: {end}"
        for end in sorted(set(effect.left.values()))
    )


def _trials(seen: Iterable[TrialResult]) -> str:
    return "; ".join(f"{one.trial.where}, {one.trial.what}" for one in seen)


def alike(measured: Iterable[Measured]) -> Iterator[tuple[str, Measured]]:
    """The clients, grouped by route and end: their names, and the first of each group."""
    groups: dict[tuple[str, str], list[Measured]] = {}
    for one in measured:
        groups.setdefault((one.route, one.end), []).append(one)
    for group in groups.values():
        yield names(one.client for one in group), group[0]


def ends(seen: TrialResult, client: str) -> str:
    """How all the requests of a client ended, in order."""
    found = [one.end for one in seen.measured if one.client == client]
    if len(found) == 1:
        return found[0]
    return f"{found[0]}, {len(found)} times" if len(set(found)) == 1 else ", then ".join(found)


def names(clients: Iterable[str]) -> str:
    """The names of clients. A library whose both clients are there is named once."""
    found = set(clients)
    return ", ".join(sorted(name for name in found if name.removesuffix("-async") == name or name[:-6] not in found))
