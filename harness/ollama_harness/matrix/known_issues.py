"""The verdicts that a run is expected to show: passes, those of the canaries, and the known issues.

One entry of known_issues.toml is one defect. It expects one verdict of each client that it names, in each scenario that
it names. A better, worse or different verdict is red. On a full run, a pair that matches no cell is red as well. So the
list stays true. A review date in the past is red too, but only in a list that is named on the command line: a user's
own, or this project's in its CI. An installed copy must not become red because time passes.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import product
from pathlib import Path
from typing import Any

from ollama_harness.clients import clients, is_canary, known_issue_files
from ollama_harness.errors import ExpectationError, UnknownName
from ollama_harness.files.reading import parse_toml, read_text
from ollama_harness.matrix.results import Result
from ollama_harness.matrix.scenarios import SCENARIOS
from ollama_harness.oracle.verdict import Verdict
from ollama_harness.recordings.store import fixtures

__all__ = [
    "Assessment",
    "ExpectationReport",
    "KnownIssue",
    "assess",
    "covering",
    "expected_verdict",
    "load",
    "load_all",
]

FILE = "known_issues.toml"
_NEVER_EXPECTED = (Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.UNSUPPORTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownIssue:
    """One entry. `place` is its file and line.

    It holds in the twins of its scenarios as well, unless `twins` is false or another entry names the twin itself.
    In environments, `hosts` limits it to these forms of the URL. `since_python` holds the first release with the defect
    of each line of Python; later lines have it too.
    """

    clients: tuple[str, ...]
    scenarios: tuple[str, ...]
    verdict: Verdict
    reason: str
    link: str
    review: date
    place: str
    hosts: tuple[str, ...] = ()
    since_python: tuple[tuple[int, ...], ...] = ()
    twins: bool = True

    def applies_to(self, python: tuple[int, ...]) -> bool:
        """Whether this version of Python has the defect."""
        firsts = {first[:2]: first for first in self.since_python}
        return not firsts or python >= firsts.get(python[:2], max(firsts))

    def covers(self, client: str, scenario: str, host: str = "", *, gating: bool) -> bool:
        """Whether the entry covers such a cell. It never covers a cell that does not gate, or a canary."""
        named = client in self.clients and (scenario in self.scenarios or self.derives(scenario))
        return named and (not self.hosts or host in self.hosts) and gating and not is_canary(client)

    def derives(self, scenario: str) -> bool:
        """Whether the entry covers the scenario only because it is a twin."""
        return self.twins and scenario not in self.scenarios and SCENARIOS[scenario].twin_of in self.scenarios


@dataclass(frozen=True, slots=True)
class Assessment:
    """One cell compared with the expected verdict (None: any verdict). `advice` says what to change if they differ."""

    result: Result
    expected: Verdict | None
    issue: KnownIssue | None
    advice: str

    @property
    def met(self) -> bool:
        """Whether the verdict is as expected, and the route as the doctor predicts."""
        return self.expected in (None, self.result.verdict) and self.result.predicted in (None, self.result.route)


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


def load(path: Path, *, python: tuple[int, ...] = sys.version_info[:3]) -> tuple[KnownIssue, ...]:
    """Read the entries of a file that apply to this version of Python.

    Raises: ExpectationError, UnknownName.
    """
    text = read_text(path, ExpectationError, fix="give a file of known issues")
    top = parse_toml(text, path, ExpectationError)
    lines, entries = _header_lines(text), top.get("issue", [])
    if top.keys() - {"issue"} or not isinstance(entries, list) or len(entries) != len(lines):
        fix = "begin each with a line [[issue]]"
        raise ExpectationError.about(path, "", "holds something other than entries", fix)
    issues = (_issue(entry, f"{path}:{line}") for entry, line in zip(entries, lines, strict=True))
    return tuple(issue for issue in issues if issue.applies_to(python))


def load_all(path: Path | None = None, *, python: tuple[int, ...] = sys.version_info[:3]) -> tuple[KnownIssue, ...]:
    """The entries of a file, or without one of the package's list; and those of the lists beside files of clients.

    Raises: ExpectationError, UnknownName.
    """
    files = [path or fixtures() / FILE, *known_issue_files()]
    return tuple(issue for file in files for issue in load(file, python=python))


def _header_lines(text: str) -> list[int]:
    """The lines at which entries begin. Before an [[issue]] inside a string, the text is not valid TOML."""
    lines = text.split("\n")
    found = []
    for number, line in enumerate(lines, 1):
        if re.match(r"\s*\[\[\s*issue\s*\]\]", line):
            try:
                tomllib.loads("\n".join(lines[: number - 1]))
            except tomllib.TOMLDecodeError:
                continue
            found.append(number)
    return found


def expected_verdict(result: Result, issues: Iterable[KnownIssue]) -> tuple[Verdict | None, KnownIssue | None]:
    """The expected verdict of a cell, and the entry that expects it, if there is one."""
    earns = clients()[result.client].earns if is_canary(result.client) else None
    if result.verdict is Verdict.UNSUPPORTED:  # a canary supports everything, but this system may not
        return None, None
    if earns is not None:
        return earns.get(result.scenario, earns.get(None)), None
    if not result.gating and result.verdict is not Verdict.INCONCLUSIVE:
        return None, None
    issue = covering(issues, result.client, result.scenario, result.host, gating=result.gating)
    return (issue.verdict, issue) if issue else (Verdict.PASS, None)


def covering(
    issues: Iterable[KnownIssue], client: str, scenario: str, host: str = "", *, gating: bool
) -> KnownIssue | None:
    """The entry that covers such a cell, if there is one: rather one that names a twin than one that derives it."""
    found = [one for one in issues if one.covers(client, scenario, host, gating=gating)]
    return min(found, key=lambda one: one.derives(scenario), default=None)


def assess(
    results: Sequence[Result], issues: Sequence[KnownIssue], *, full: bool, today: date | None
) -> ExpectationReport:
    """Compare a run with what is expected. `today` is the day for review dates; None if they do not count.

    A `full` run has all clients that are installed, and all recordings. Then each pair of an entry whose client and
    scenario were run must match a cell.
    """
    ran, clients_run = {one.scenario for one in results}, {one.client for one in results}
    assessments, matched, untried = [], set[tuple[str, str, str]](), set[tuple[str, str]]()
    for one in results:
        expected, issue = expected_verdict(one, issues)
        if issue is not None:
            matched.add((issue.place, one.client, one.scenario))
        elif one.verdict is Verdict.UNSUPPORTED:  # it cannot be tried here
            untried.add((one.client, one.scenario))
        assessments.append(Assessment(one, expected, issue, _advice(one, expected, issue)))
    stale = [
        f"{one.place}: the review date {one.review} has passed; check the issue again"
        for one in issues
        if today is not None and one.review < today
    ]
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


def _advice(result: Result, expected: Verdict | None, issue: KnownIssue | None) -> str:
    if result.predicted not in (None, result.route):
        return (
            f"the route is {result.route}, the doctor predicts {result.predicted}: fix harness/ollama_harness/network/"
        )
    if expected in (None, result.verdict) or is_canary(result.client):
        return ""
    if result.verdict is Verdict.INCONCLUSIVE:
        return (
            "the harness failed, and not the client; no entry can expect that; run again on a machine that is less busy"
        )
    if issue is None:
        return (
            f'if this is a defect of the client, add to {FILE}: [[issue]] clients = ["{result.client}"], '
            f'scenarios = ["{result.scenario}"], verdict = "{result.verdict}", with reason, link and review date'
        )
    if result.verdict is Verdict.PASS and issue.derives(result.scenario):
        return f'{issue.place}: verdict = "{expected}" does not hold in {result.scenario}; give the entry twins = false'
    if result.verdict is Verdict.PASS:
        return f'{issue.place}: verdict = "{expected}" no longer holds; remove {result.scenario} from the entry'
    return f'{issue.place}: verdict = "{expected}" no longer holds; check the issue, it is now "{result.verdict}"'


def _issue(entry: Any, place: str) -> KnownIssue:
    if not isinstance(entry, dict):
        raise ExpectationError(f"{place}: is not an entry; begin it with a line [[issue]]")
    fields = {"clients": list, "scenarios": list, "verdict": str, "reason": str, "link": str, "review": date}
    for name, kind in fields.items():
        if type(entry.get(name)) is not kind or not entry[name]:
            raise ExpectationError(f"{place}: {name} is missing or not a {kind.__name__}")
    optional = ("hosts", "since_python", "twins")
    for name in entry.keys() - fields.keys() - set(optional):
        known_fields = ", ".join((*fields, *optional))
        raise ExpectationError(f"{place}: {name} is not a field of an entry; known are {known_fields}")
    for kind_name, known in (("client", clients()), ("scenario", SCENARIOS)):
        for name in entry[f"{kind_name}s"]:
            if not isinstance(name, str) or name not in known:
                raise UnknownName(f"{kind_name} (named in {place})", str(name), known)
    expectable = [verdict for verdict in Verdict if verdict not in _NEVER_EXPECTED]
    if entry["verdict"] not in expectable:
        raise ExpectationError(
            f"{place}: verdict {entry['verdict']!r} cannot be expected; one of {', '.join(expectable)}"
        )
    return KnownIssue(
        clients=tuple(entry["clients"]),
        scenarios=tuple(entry["scenarios"]),
        verdict=Verdict(entry["verdict"]),
        reason=entry["reason"],
        link=entry["link"],
        review=entry["review"],
        place=place,
        hosts=_hosts(entry, place),
        since_python=_versions(entry, place),
        twins=_twins(entry, place),
    )


def _twins(entry: dict[str, Any], place: str) -> bool:
    """Whether an entry holds in the twins of its scenarios.

    Raises: ExpectationError.
    """
    twins = entry.get("twins", True)
    if not isinstance(twins, bool):
        raise ExpectationError(f"{place}: twins is not true or false")
    return twins


def _versions(entry: dict[str, Any], place: str) -> tuple[tuple[int, ...], ...]:
    """The releases of Python that an entry names.

    Raises: ExpectationError.
    """
    named = entry.get("since_python", [])
    if not isinstance(named, list) or not all(
        isinstance(one, str) and re.fullmatch(r"3\.\d{1,3}\.\d{1,3}", one, re.ASCII) for one in named
    ):
        raise ExpectationError(f'{place}: since_python is not a list of releases; write ["3.11.9", "3.12.3"]')
    return tuple(tuple(map(int, one.split("."))) for one in named)


def _hosts(entry: dict[str, Any], place: str) -> tuple[str, ...]:
    """The forms of the URL that an entry names.

    Raises: ExpectationError.
    """
    hosts = entry.get("hosts", [])
    known = {host for name in entry["scenarios"] for host in _hosts_of(name)}
    if not isinstance(hosts, list) or not all(isinstance(one, str) and one in known for one in hosts):
        raise ExpectationError(f"{place}: hosts is not a list of hosts of these scenarios: {', '.join(sorted(known))}")
    return tuple(hosts)


def _hosts_of(name: str) -> tuple[str, ...]:
    environment = SCENARIOS[name].environment
    return () if environment is None else environment.hosts
