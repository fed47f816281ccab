"""The decision of a gate: one value, from which the exit code and every report are made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from ollama_harness.files.printable import one_line
from ollama_harness.gate import accepted
from ollama_harness.gate._client_comparison import ClientComparison
from ollama_harness.gate.accepted import Acceptance
from ollama_harness.gate.findings import Finding
from ollama_harness.gate.rules import Level
from ollama_harness.gate.wire_comparison import WireComparison

__all__ = ["Decision", "decide"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a gate has found, and what follows from it.

    `findings` are all findings, the gravest first. `accepted` gives the reason why some (by fingerprint) do not fail
    the gate, and `stale` what is wrong in that list. `unstable` is what differs between two sessions of the baseline.
    `problems` are the reasons why nothing can be concluded. `recordings` and `cells` count what was compared; `cells`
    is None if no client was run. `only_new` names the recordings that the candidate alone has. `library` is what the
    versions are of, if it is not Ollama, and `besides` names what else differs between their places.
    """

    baseline: str
    candidate: str
    fail_on: Level
    findings: tuple[Finding, ...]
    accepted: dict[str, str]
    stale: tuple[str, ...]
    unstable: tuple[Finding, ...]
    problems: tuple[str, ...]
    recordings: int
    only_new: tuple[str, ...]
    cells: int | None
    library: str = ""
    besides: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """What is compared."""
        return f"{self.library or 'Ollama'} {self.baseline} -> {self.candidate}"

    @property
    def red(self) -> tuple[Finding, ...]:
        """The findings that fail the gate."""
        return tuple(one for one in self.findings if one.level >= self.fail_on and one.fingerprint not in self.accepted)

    @property
    def exit_code(self) -> int:
        """0: nothing that matters has changed. 1: something has, or accepted.toml is out of date. 3: cannot tell."""
        if self.problems:
            return 3
        return 1 if self.red or self.stale else 0

    @property
    def last_line(self) -> str:
        """One line in a fixed form, for logs and for programs that read them."""
        counts = Counter(one.level for one in self.findings if one.fingerprint not in self.accepted)
        found = ", ".join(f"{counts[level]} {level}" for level in sorted(Level, reverse=True))
        result = {0: "pass", 1: "fail", 3: "cannot tell"}[self.exit_code]
        cells = "no clients" if self.cells is None else f"{self.cells} cells"
        compared = self.title.removeprefix("Ollama ")
        return one_line(
            f"gate: {result}: {compared}: {found}, {len(self.accepted)} accepted; "
            f"{self.recordings} recordings, {cells}; exit {self.exit_code}"
        )


def decide(
    *,
    baseline: str,
    candidate: str,
    wire: WireComparison | None,
    clients: ClientComparison | None,
    acceptances: Sequence[Acceptance] = (),
    fail_on: Level = Level.BREAKING,
    problems: Sequence[str] = (),
    recordings: int = 0,
    library: str = "",
    besides: Sequence[str] = (),
    today: date,
) -> Decision:
    """What follows from the differences. Without `wire`, only clients were compared, with so many `recordings`.

    Raises: GateError.
    """
    all_ = (*(wire.findings if wire else ()), *(clients.findings if clients else ()))
    findings = tuple(sorted(all_, key=lambda one: -one.level))
    fingerprints = frozenset(one.fingerprint for one in findings if one.level is not Level.NOISE)
    holding = [one for one in acceptances if one.holds_for(candidate)]
    problems = [*problems, *(clients.problems if clients else ())]
    if wire is not None:
        if not wire.compared:
            problems.append("nothing was compared: baseline and candidate have no recording of the same request")
        problems += [f"unequal conditions: {one}; record both again, with the same probes" for one in wire.incomparable]
    if clients is not None and not clients.compared:
        problems.append("no cell was compared")
    return Decision(
        baseline=baseline,
        candidate=candidate,
        fail_on=fail_on,
        findings=findings,
        accepted={
            one.fingerprint: one.reason for one in holding if one.fingerprint in fingerprints and one.expires >= today
        },
        stale=accepted.stale(
            holding,
            fingerprints,
            frozenset((*(wire.compared if wire else ()), *(clients.compared if clients else ()))),
            today=today,
        ),
        unstable=wire.unstable if wire else (),
        problems=tuple(problems),
        recordings=len(wire.compared) if wire else recordings,
        only_new=wire.only_new if wire else (),
        cells=len(clients.compared) if clients else None,
        library=library,
        besides=tuple(besides),
    )
