"""Two versions of Ollama compared by how the clients handle their answers: two runs of the matrix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ollama_harness.clients import is_canary
from ollama_harness.gate.findings import Evidence, Finding, gathered, place
from ollama_harness.gate.rules import Rule, rules_about
from ollama_harness.matrix.expectations import expected_verdicts
from ollama_harness.matrix.results import Result, Results
from ollama_harness.oracle.verdict import Verdict
from ollama_harness.recordings.versions import order

__all__ = ["ClientComparison", "compare", "outcome", "unhealthy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientComparison:
    """The differences in the matrix. `compared` names cells, each CLIENT/SCENARIO/RECORDING without the version (see
    `findings.place`). `problems` are the reasons why the differences cannot be trusted.
    """

    findings: tuple[Finding, ...]
    compared: tuple[str, ...]
    problems: tuple[str, ...]


def compare(
    old: Results, new: Results, *, old_hashes: Mapping[str, str], new_hashes: Mapping[str, str]
) -> ClientComparison:
    """Compare the cells of the candidate's run with those of the baseline's: same client, scenario and recording.

    `old_hashes` and `new_hashes` are the hashes of the recordings that should have been played, by name.
    """
    problems = [*_unequal(old, new)]
    for which, results, hashes in (("baseline", old, old_hashes), ("candidate", new, new_hashes)):
        problems += [f"{which}: {problem}" for problem in (*unhealthy(results), *_others_played(results, hashes))]
    olds, news = _tried(old), _tried(new)
    findings: list[Finding] = []
    for key, was in olds.items():
        for rule in rules_about("clients"):
            findings += _findings(rule, was, news.get(key))
    compared = tuple(sorted(olds.keys() & news.keys()))
    return ClientComparison(findings=gathered(findings), compared=compared, problems=tuple(problems))


def _tried(results: Results) -> dict[str, Result]:
    """The cells of real clients by name, without the version. Of several runs of one cell, the first with the worst
    verdict counts.
    """
    runs = sorted(results.cells, key=lambda one: (one.verdict.severity, -one.run))
    return {place(one.cell): one for one in runs if not is_canary(one.client)}


def _findings(rule: Rule[Result | None], was: Result, now: Result | None) -> Iterator[Finding]:
    for change in rule(was, now):
        yield Finding(
            rule=rule.id,
            level=rule.level,
            subject=was.client,
            where=change.where,
            was=change.was,
            now=change.now,
            evidence=(Evidence(recording=was.cell, old=outcome(was), new="" if now is None else outcome(now)),),
        )


def outcome(one: Result) -> str:
    """The verdict on a cell, and why, in one line."""
    return f"{one.verdict}: {one.why}" + (f" ({one.raised}: {one.message})" if one.raised else "")


def _unequal(old: Results, new: Results) -> Iterator[str]:
    """Differences between the two runs besides the version of Ollama."""
    for name in ("harness", "os", "python"):
        was, now = getattr(old.header, name), getattr(new.header, name)
        if was != now:
            yield f"unequal conditions: the runs had {name} {was} and {now}; run both again, with the same one"
    for client in sorted(old.header.clients.keys() | new.header.clients.keys()):
        versions = [results.header.clients.get(client, "none") for results in (old, new)]
        if versions[0] != versions[1]:
            yield f"unequal conditions: {client} was {versions[0]} and {versions[1]}; run both again, with the same one"


def unhealthy(results: Results) -> Iterator[str]:
    """Why a run proves nothing: no cell was run, the harness failed in some, or canaries were not found out."""
    counts = Counter(one.verdict for one in results.cells)
    if counts[Verdict.INCONCLUSIVE]:
        yield f"{counts[Verdict.INCONCLUSIVE]} cells are inconclusive; run again on a machine that is less busy"
    missed = [
        one.cell
        for one in results.cells
        if is_canary(one.client) and one.verdict not in (expected_verdicts(one, ())[0] or (one.verdict,))
    ]
    if missed:
        yield f"{len(missed)} canaries were not found out (the first: {missed[0]}): the verdicts cannot be trusted"
    if not _tried(results):
        yield "no cell of a client was run"


def _others_played(results: Results, hashes: Mapping[str, str]) -> Iterator[str]:
    """Problems if a run played other recordings than those that are compared on the wire."""
    versions = sorted({id_.rpartition("/")[0] for id_ in results.header.recordings}, key=order)
    if len(versions) > 1:  # one recording would hide another of its name
        yield f"the results are of several versions ({', '.join(versions)}); run the matrix on one"
    played = {id_.rpartition("/")[2]: fingerprint for id_, fingerprint in results.header.recordings.items()}
    others = sorted(name for name, fingerprint in played.items() if hashes.get(name) != fingerprint)
    if others:
        yield f"the results are of other recordings ({others[0]} and {len(others) - 1} more); run the matrix again"
    if not played:
        yield "the results do not say which recordings were played; run the matrix again"
