"""What a run is expected to show: passes, the verdicts of the canaries, and the known issues.

A better, worse or different verdict than an entry of known_issues.toml expects is red. On a full run, a pair that
matches no cell is red as well. So the list stays true. A review date in the past is red too, but only in a list that is
named on the command line: a user's own, or this project's in its CI. An installed copy must not become red because time
passes. An entry of a client that flaps is proven by runs that are repeated: it is red if they do not show its rate.

If the machine decides which version of a client it has, the client says in which versions its issues were seen. Another
version may have other defects, so nothing is expected of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import product

from ollama_harness.clients import clients, is_canary
from ollama_harness.matrix.known_issues import FILE, Flapping, KnownIssue, covering
from ollama_harness.matrix.results import Result
from ollama_harness.oracle.verdict import Verdict

__all__ = ["Assessment", "ExpectationReport", "assess", "expected_verdicts", "unknown_versions"]

#: A rate does not hold if what repeated runs have shown is less likely with it.
_TOO_UNLIKELY = 0.001

_ANY_VERSION: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Assessment:
    """One cell compared with the expected verdicts (none: any verdict). `advice` says what to change if they differ."""

    result: Result
    expected: tuple[Verdict, ...]
    issue: KnownIssue | None
    advice: str

    @property
    def met(self) -> bool:
        """Whether the verdict is as expected."""
        return not self.expected or self.result.verdict in self.expected


@dataclass(frozen=True, slots=True)
class ExpectationReport:
    """All cells assessed, and what is wrong with the entries."""

    assessments: tuple[Assessment, ...]
    stale: tuple[str, ...]

    @property
    def unexpected(self) -> list[Assessment]:
        return [one for one in self.assessments if not one.met]

    @property
    def exit_code(self) -> int:
        """0: all as expected. 1: something is not. 3: cannot tell, because nothing ran, a canary failed, or a cell is
        inconclusive.
        """
        tried = [one.result for one in self.assessments if not is_canary(one.result.client)]
        none_tried = all(one.verdict is Verdict.UNSUPPORTED for one in tried) and bool(tried or not self.assessments)
        if none_tried or any(is_canary(one.result.client) for one in self.unexpected):
            return 3
        verdicts = {one.result.verdict for one in self.unexpected}
        if self.stale or verdicts - {Verdict.INCONCLUSIVE}:
            return 1
        return 3 if verdicts else 0


def unknown_versions(versions: Mapping[str, str]) -> dict[str, str]:
    """Those of these versions, by client, in which its known issues were not seen."""
    return {name: version for name, version in versions.items() if not _is_known(name, versions)}


def _is_known(name: str, versions: Mapping[str, str]) -> bool:
    one = clients().get(name)
    return one is None or name not in versions or one.is_known(versions[name])


def expected_verdicts(
    result: Result, issues: Iterable[KnownIssue], versions: Mapping[str, str] = _ANY_VERSION
) -> tuple[tuple[Verdict, ...], KnownIssue | None]:
    """The verdicts that are expected of a cell (none: any), and the entry that expects them, if there is one.
    `versions` are those of the clients that ran.
    """
    earns = clients()[result.client].earns if is_canary(result.client) else None
    if result.verdict is Verdict.UNSUPPORTED:  # a canary supports everything, but this system may not
        return (), None
    if earns is not None:
        earned = earns.get(result.scenario, earns.get(None))
        return () if earned is None else (earned,), None
    anything_goes = not result.gating or not _is_known(result.client, versions)
    if anything_goes and result.verdict is not Verdict.INCONCLUSIVE:
        return (), None
    recording = result.recording.rpartition("/")[2]
    issue = covering(issues, result.client, result.scenario, recording, result.host, gating=result.gating)
    return (issue.expects(result.client), issue) if issue else ((Verdict.PASS,), None)


def assess(
    results: Sequence[Result],
    issues: Sequence[KnownIssue],
    *,
    full: bool,
    today: date | None,
    versions: Mapping[str, str] = _ANY_VERSION,
) -> ExpectationReport:
    """Compare a run with what is expected. `today` is the day for review dates; None if they do not count. `versions`
    are those of the clients that ran.

    A `full` run has all clients that are installed, and all recordings. Then each pair of an entry whose client and
    scenario were run must match a cell.
    """
    by_cell: dict[str, list[Result]] = {}
    for one in results:
        by_cell.setdefault(one.cell, []).append(one)
    seen = {cell: Flapping.seen(one.verdict for one in runs) for cell, runs in by_cell.items()}
    ran, clients_run = {one.scenario for one in results}, {one.client for one in results}
    assessments, matched, untried = [], set[tuple[str, str, str]](), set[tuple[str, str]]()
    for one in results:
        expected, issue = expected_verdicts(one, issues, versions)
        if issue is not None:
            matched.add((issue.place, one.client, one.scenario))
        elif one.verdict is Verdict.UNSUPPORTED or not _is_known(one.client, versions):  # it cannot be tried here
            untried.add((one.client, one.scenario))
        assessments.append(Assessment(one, expected, issue, _advice(one, expected, issue, seen[one.cell])))
    stale = [
        f"{one.place}: the review date {one.review} has passed; check the issue again"
        for one in issues
        if today is not None and one.review < today
    ]
    stale += _wrong_rates(by_cell, issues, versions)
    if full:
        stale += [
            f"{one.place}: {client} in {scenario} matches no cell; remove it"
            for one in issues
            for client, scenario in product(one.clients, one.scenarios)
            if scenario in ran
            and client in clients_run
            and (one.place, client, scenario) not in matched
            and (client, scenario) not in untried
        ]
    return ExpectationReport(tuple(assessments), tuple(stale))


def _wrong_rates(
    by_cell: Mapping[str, Sequence[Result]], issues: Sequence[KnownIssue], versions: Mapping[str, str]
) -> Iterator[str]:
    """A line for each cell of a client that flaps which always, or never, shows the worst of its verdicts."""
    for cell, runs in by_cell.items():
        _, issue = expected_verdicts(runs[0], issues, versions)
        if issue is None or issue.flapping is None:
            continue
        worst = sum(one.verdict is issue.verdict for one in runs)
        if issue.flapping.chance_of(worst, len(runs)) < _TOO_UNLIKELY:
            often = f"{worst} of {len(runs)} runs"
            yield f"{issue.place}: {issue.toml} does not hold: {cell} was {issue.verdict} in {often}"


def _advice(result: Result, expected: tuple[Verdict, ...], issue: KnownIssue | None, seen: Flapping | None) -> str:
    if not expected or result.verdict in expected or is_canary(result.client):
        return ""
    if result.verdict is Verdict.INCONCLUSIVE:
        return (
            "the harness failed, and not the client; no entry can expect that; run again on a machine that is less busy"
        )
    if issue is None:
        fields = seen.toml if seen else f'verdict = "{result.verdict}"'
        return (
            f'if this is a defect of the client, add to {FILE}: [[issue]] clients = ["{result.client}"], '
            f'scenarios = ["{result.scenario}"], {fields}, with reason, link and review date'
        )
    if result.verdict is Verdict.PASS and issue.derives(result.scenario):
        return f"{issue.place}: {issue.toml} does not hold in {result.scenario}; give the entry twins = false"
    if result.verdict is Verdict.PASS:
        return f"{issue.place}: {issue.toml} no longer holds; remove {result.scenario} from the entry"
    return f'{issue.place}: {issue.toml} no longer holds; check the issue, it is now "{result.verdict}"'
