"""The gate for clients: two versions of a library, compared by how they handle the same cells.

Both versions run in one run, so that the machine and its load are the same for both. A cell whose outcome differs runs
again, and a difference counts only if it shows between each run of the old version and each of the new one. So a client
that flaps, and a machine that is busy for a moment, are noise.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product
from typing import Any

from packaging.version import InvalidVersion, Version

from ollama_harness.clients import Client, named, without_version
from ollama_harness.clients.adapter import version_here
from ollama_harness.errors import GateError
from ollama_harness.gate._client_comparison import ClientComparison, outcome, unhealthy
from ollama_harness.gate.accepted import Acceptance
from ollama_harness.gate.decision import Decision, decide
from ollama_harness.gate.findings import Evidence, Finding, gathered
from ollama_harness.gate.handled import Handled
from ollama_harness.gate.rules import Change, Level, Rule, rules_about
from ollama_harness.matrix.cells import Cell
from ollama_harness.matrix.results import Results

__all__ = ["AGAIN", "LibraryUpgrade"]

#: How often a cell runs again whose outcome differs.
AGAIN = 2

#: How one version handled each cell, in each of its runs.
_Side = dict[str, list[Handled]]

#: How much of what was handed out or sent is shown as evidence.
_SHOWN_CHARACTERS = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class LibraryUpgrade:
    """The clients of two versions of a library, as a user names them: `httpx==0.27.2`, `npm:ollama@0.5.0`. A name
    without a version is what is installed.
    """

    library: str
    old: tuple[Client, ...]
    new: tuple[Client, ...]

    @classmethod
    def of(cls, old: str, new: str) -> LibraryUpgrade:
        """Two versions of one client, or of all clients of one package.

        Raises: UnknownName, ClientError, GateError (they are not two versions of the same).
        """
        olds, news = named(old), named(new)
        names = [without_version(one.name) for one in olds]
        if names != [without_version(one.name) for one in news]:
            fix = "name two of one client or package: httpx==0.27.2 httpx==0.28.1"
            raise GateError(f"{old} and {new} are not versions of the same; {fix}")
        if olds[0].version == news[0].version:
            raise GateError(f"{old} and {new} are the same version; name another one")
        if any(one.is_canary or one.option for one in olds):
            raise GateError(f"{old} has no versions; name a client of the package: ollama-harness list clients")
        library = names[0] if len(names) == 1 else old.rpartition("@")[0].removeprefix("pypi:")
        return cls(library=library, old=tuple(olds), new=tuple(news))

    @property
    def names(self) -> list[str]:
        """The clients to run."""
        return [one.name for one in (*self.old, *self.new)]

    @property
    def candidate(self) -> str:
        """The new version; "" if only its process knows it."""
        library = self.new[0].library
        return self.new[0].version or (library and version_here(library.name)) or ""

    def unsettled(self, handled: Sequence[Handled]) -> list[Cell]:
        """The cells of both versions whose outcome differs."""
        olds, news = self._sides(handled)
        differ = {key for key in olds.keys() & news.keys() if _outcomes_differ(olds[key], news[key])}
        return [one.ran for one in handled if one.cell in differ]

    def decision(
        self,
        results: Results,
        handled: Sequence[Handled],
        *,
        acceptances: Sequence[Acceptance] = (),
        fail_on: Level = Level.BREAKING,
    ) -> Decision:
        """Compare the versions, by the results of the run of all cells, and by that run and those of `unsettled` cells.

        Raises: GateError.
        """
        olds, news = self._sides(handled)
        findings = [
            finding
            for key, was in olds.items()
            for about in ("clients", "libraries")
            for rule in rules_about(about)
            for finding in _findings(rule, was, news.get(key, ()))
        ]
        versions = [self._version(side, results) for side in (self.old, self.new)]
        return decide(
            baseline=versions[0],
            candidate=versions[1],
            wire=None,
            clients=ClientComparison(
                findings=gathered(findings),
                compared=tuple(sorted(olds.keys() & news.keys())),
                problems=(*unhealthy(results), *self._others_ran(results)),
            ),
            acceptances=acceptances,
            fail_on=fail_on,
            recordings=len(results.header.recordings),
            library=self.library,
            besides=list(self._besides()),
            today=datetime.now(UTC).date(),
        )

    def _sides(self, handled: Iterable[Handled]) -> tuple[_Side, _Side]:
        """How both versions handled each cell, in all of its runs."""
        olds, news = _Side(), _Side()
        old_names = {one.name for one in self.old}
        for one in handled:
            if not one.ran.client.is_canary:
                (olds if one.ran.client.name in old_names else news).setdefault(one.cell, []).append(one)
        return olds, news

    def _version(self, side: Sequence[Client], results: Results) -> str:
        """The version that really ran."""
        return results.header.clients.get(side[0].name) or side[0].version or "unknown"

    def _others_ran(self, results: Results) -> Iterator[str]:
        """Problems if a version ran that is not the one that was wanted."""
        for one in (*self.old, *self.new):
            ran = results.header.clients.get(one.name)
            if ran is None:
                yield f"{one.name} did not start"
            elif one.version and not _same(ran, one.version):
                yield f"{one.name} says that it is {ran}"

    def _besides(self) -> Iterator[str]:
        """What else differs between the places of both versions."""
        was, now = (one.place.packages() if one.place else {} for one in (self.old[0], self.new[0]))
        library = self.old[0].library.name if self.old[0].library else ""
        if was and now:
            for name in sorted((was.keys() | now.keys()) - {library}):
                if was.get(name) != now.get(name):
                    yield f"{name} {was.get(name, 'none')} -> {now.get(name, 'none')}"


def _same(version: str, other: str) -> bool:
    try:
        return Version(version) == Version(other)
    except InvalidVersion:
        return version == other


def _changes(rule: Rule[Any], old: Handled, new: Handled | None) -> Iterable[Change]:
    """The changes from one run of a cell to another, each place once."""
    if rule.about == "clients":
        found = rule(old.result, new and new.result)
    else:
        found = rule(old, new) if new is not None else iter(())
    return {one.where: one for one in found}.values()


def _outcomes_differ(was: Sequence[Handled], now: Sequence[Handled]) -> bool:
    return any(_changes(rule, old, new) for rule in rules_about("clients") for old, new in product(was, now))


def _findings(rule: Rule[Any], was: Sequence[Handled], now: Sequence[Handled]) -> Iterator[Finding]:
    """The findings of one cell. A change that does not show between all runs is noise."""
    pairs, seen = list(product(was, now or (None,))), dict[str, list[Change]]()
    for old, new in pairs:
        for change in _changes(rule, old, new):
            seen.setdefault(change.where, []).append(change)
    for changes in seen.values():
        change, unstable = changes[0], len(changes) < len(pairs)
        yield Finding(
            rule=rule.id,
            level=Level.NOISE if unstable else rule.level,
            subject=was[0].result.client,
            where=change.where,
            was=change.was,
            now=change.now,
            evidence=(_evidence(rule, change, was[0], now[0] if now else None),),
            unstable=unstable and rule.level is not Level.NOISE,
        )


def _evidence(rule: Rule[Any], change: Change, old: Handled, new: Handled | None) -> Evidence:
    return Evidence(
        recording=old.cell,
        old_line=change.old_line,
        new_line=change.new_line,
        old=_text(rule, old, change.old_line),
        new="" if new is None else _text(rule, new, change.new_line),
    )


def _text(rule: Rule[Any], one: Handled, line: int) -> str:
    """The outcome, the record with that number, or the first request."""
    if rule.about == "clients":
        text = outcome(one.result)
    elif line and one.records is not None:
        text = json.dumps(one.records[line - 1], ensure_ascii=False)
    else:
        text = str(one.requests[0]) if one.requests else "no request"
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"
