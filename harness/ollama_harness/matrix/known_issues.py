"""The known issues: what is expected of clients with defects.

One entry of known_issues.toml is one defect. It expects one verdict of each client that it names, in each scenario that
it names. A client flaps if the same cell shows now one verdict and now another: then the entry has several `verdicts`
and a `rate`, in how many of how many runs the worst of them was seen. `matrix.expectations` compares a run with the
list.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from ollama_harness.clients import clients, is_canary, known_issue_files, without_version
from ollama_harness.errors import ExpectationError, UnknownName
from ollama_harness.files.reading import parse_toml, read_text
from ollama_harness.matrix.scenarios import SCENARIOS
from ollama_harness.oracle.verdict import Verdict
from ollama_harness.recordings.store import fixtures

__all__ = ["FILE", "Flapping", "KnownIssue", "covering", "load", "load_all"]

FILE = "known_issues.toml"
_NOT_JUDGED = (Verdict.INCONCLUSIVE, Verdict.UNSUPPORTED)


@dataclass(frozen=True, slots=True)
class Flapping:
    """The verdicts of a client that flaps, the worst first, and in how many of how many runs the worst was seen."""

    verdicts: tuple[Verdict, ...]
    worst: int
    runs: int

    @classmethod
    def seen(cls, verdicts: Iterable[Verdict]) -> Flapping | None:
        """What several runs of one cell have shown; None if it was always the same."""
        counts = Counter(one for one in verdicts if one not in _NOT_JUDGED)
        if len(counts) < 2:
            return None
        worst_first = _worst_first(counts)
        return cls(worst_first, counts[worst_first[0]], counts.total())

    @property
    def toml(self) -> str:
        """The fields of an entry."""
        names = ", ".join(f'"{one}"' for one in self.verdicts)
        return f'verdicts = [{names}], rate = "{self.worst}/{self.runs}"'

    def chance_of(self, worst: int, runs: int) -> float:
        """How likely it is that so many runs show the worst verdict always, or never (0 to 1); 1 for what lies between.

        The rate itself was measured, so a number between says little against it.
        """
        share = self.worst / self.runs
        return {0: (1 - share) ** runs, runs: share**runs}.get(worst, 1.0)

    def __str__(self) -> str:
        first, *others = self.verdicts
        return f"{' or '.join(others)}, and in {self.worst} of {self.runs} runs {first}"


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownIssue:
    """One entry. `place` is its file and line. `verdict` is the worst that it expects; if the client flaps, `flapping`
    has all of them.

    It holds in the twins of its scenarios as well, unless `twins` is false or another entry names the twin itself. An
    entry of a client holds for other versions of it (NAME==VERSION) as well, but they may be better. `recordings`
    limits it to these recordings, and in environments `hosts` to these forms of the URL. `since_python` holds the first
    release with the defect of each line of Python; later lines have it too.
    """

    clients: tuple[str, ...]
    scenarios: tuple[str, ...]
    verdict: Verdict
    reason: str
    link: str
    review: date
    place: str
    recordings: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    since_python: tuple[tuple[int, ...], ...] = ()
    twins: bool = True
    flapping: Flapping | None = None

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """The verdicts that are expected: one, or several of a client that flaps."""
        return self.flapping.verdicts if self.flapping else (self.verdict,)

    @property
    def toml(self) -> str:
        """The fields of the entry that say so."""
        return self.flapping.toml if self.flapping else f'verdict = "{self.verdict}"'

    def applies_to(self, python: tuple[int, ...]) -> bool:
        """Whether this version of Python has the defect."""
        firsts = {first[:2]: first for first in self.since_python}
        return not firsts or python >= firsts.get(python[:2], max(firsts))

    def covers(self, client: str, scenario: str, recording: str, host: str, *, gating: bool) -> bool:
        """Whether the entry covers such a cell. It never covers a cell that does not gate, or a canary."""
        named = {client, without_version(client)} & {*self.clients} and (
            scenario in self.scenarios or self.derives(scenario)
        )
        narrowed = (not self.recordings or recording in self.recordings) and (not self.hosts or host in self.hosts)
        return bool(named) and narrowed and gating and not is_canary(client)

    def expects(self, client: str) -> tuple[Verdict, ...]:
        """The verdicts that are expected of a client that the entry covers."""
        return self.verdicts if client in self.clients else tuple(dict.fromkeys((*self.verdicts, Verdict.PASS)))

    def derives(self, scenario: str) -> bool:
        """Whether the entry covers the scenario only because it is a twin."""
        return self.twins and scenario not in self.scenarios and SCENARIOS[scenario].twin_of in self.scenarios


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
    """The lines at which entries begin. From one of them to an [[issue]] in a string, the text is not valid TOML."""
    lines = text.split("\n")
    found: list[int] = []
    for number, line in enumerate(lines, 1):
        if re.match(r"\s*\[\[\s*issue\s*\]\]", line):
            try:
                tomllib.loads("\n".join(lines[found[-1] - 1 if found else 0 : number - 1]))
            except tomllib.TOMLDecodeError:
                continue
            found.append(number)
    return found


def covering(
    issues: Iterable[KnownIssue], client: str, scenario: str, recording: str, host: str = "", *, gating: bool
) -> KnownIssue | None:
    """The entry that covers such a cell, if there is one: rather one that names a twin than one that derives it.
    `recording` is its name without a version.
    """
    found = [one for one in issues if one.covers(client, scenario, recording, host, gating=gating)]
    return min(found, key=lambda one: one.derives(scenario), default=None)


def _issue(entry: Any, place: str) -> KnownIssue:
    if not isinstance(entry, dict):
        raise ExpectationError(f"{place}: is not an entry; begin it with a line [[issue]]")
    fields = {"clients": list, "scenarios": list, "reason": str, "link": str, "review": date}
    for name, kind in fields.items():
        if type(entry.get(name)) is not kind or not entry[name]:
            raise ExpectationError(f"{place}: {name} is missing or not a {kind.__name__}")
    optional = ("verdict", "verdicts", "rate", "recordings", "hosts", "since_python", "twins")
    for name in entry.keys() - fields.keys() - set(optional):
        known_fields = ", ".join((*fields, *optional))
        raise ExpectationError(f"{place}: {name} is not a field of an entry; known are {known_fields}")
    for kind_name, known in (("client", clients()), ("scenario", SCENARIOS)):
        for name in entry[f"{kind_name}s"]:
            if not isinstance(name, str) or without_version(name) not in known:
                raise UnknownName(f"{kind_name} (named in {place})", str(name), known)
    flapping = _flapping(entry, place)
    return KnownIssue(
        clients=tuple(entry["clients"]),
        scenarios=tuple(entry["scenarios"]),
        verdict=flapping.verdicts[0] if flapping else _verdict(entry.get("verdict"), place),
        reason=entry["reason"],
        link=entry["link"],
        review=entry["review"],
        place=place,
        recordings=_recordings(entry, place),
        hosts=_hosts(entry, place),
        since_python=_versions(entry, place),
        twins=_twins(entry, place),
        flapping=flapping,
    )


def _verdict(name: Any, place: str, *, never: tuple[Verdict, ...] = (Verdict.PASS, *_NOT_JUDGED)) -> Verdict:
    """The verdict of this name.

    Raises: ExpectationError.
    """
    expectable = [verdict for verdict in Verdict if verdict not in never]
    if name not in expectable:
        raise ExpectationError(f"{place}: verdict {name!r} cannot be expected; one of {', '.join(expectable)}")
    return Verdict(name)


def _worst_first(verdicts: Iterable[Verdict]) -> tuple[Verdict, ...]:
    return tuple(sorted(verdicts, key=lambda one: (-one.severity, one)))


def _flapping(entry: dict[str, Any], place: str) -> Flapping | None:
    """The several verdicts of an entry; None if it has one. A client that flaps may pass, too.

    Raises: ExpectationError.
    """
    if "verdict" in entry or not entry.keys() & {"verdicts", "rate"}:
        if entry.keys() & {"verdicts", "rate"}:
            raise ExpectationError(f"{place}: give either verdict, or verdicts and rate")
        return None
    names = entry.get("verdicts")
    if not isinstance(names, list) or len(names) < 2 or len(set(map(str, names))) < len(names):
        raise ExpectationError(f'{place}: verdicts is not a list of two or more; write ["hang", "pass"]')
    verdicts = [_verdict(name, place, never=_NOT_JUDGED) for name in names]
    rate = re.fullmatch(r"(\d{1,6})/(\d{1,6})", entry["rate"]) if isinstance(entry.get("rate"), str) else None
    worst, runs = map(int, rate.groups()) if rate else (0, 0)
    if not 0 < worst < runs:
        raise ExpectationError(
            f'{place}: rate is not how often the worst of its verdicts was seen, and in how many runs; write "7/30"'
        )
    return Flapping(_worst_first(verdicts), worst, runs)


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


def _recordings(entry: dict[str, Any], place: str) -> tuple[str, ...]:
    """The recordings that an entry names.

    Raises: ExpectationError.
    """
    names = entry.get("recordings", [])
    played = [pattern for name in entry["scenarios"] for pattern in SCENARIOS[name].recordings]
    if not isinstance(names, list) or not all(
        isinstance(one, str) and any(fnmatchcase(one, pattern) for pattern in played) for one in names
    ):
        raise ExpectationError(f"{place}: recordings is not a list of recordings that these scenarios play")
    return tuple(names)


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
