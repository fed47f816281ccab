"""docs/wire-history.md: the changes on Ollama's wire, with versions and evidence, made from recordings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from ollama_harness.errors import GateError
from ollama_harness.gate.findings import Finding
from ollama_harness.gate.gate_run import planned
from ollama_harness.gate.rules import Level
from ollama_harness.matrix.results import Results
from ollama_harness.matrix.run import run_cells
from ollama_harness.recordings.store import RecordingStore
from ollama_harness.recordings.versions import order
from pages.page import Page, Sources
from pages.wire_claims import CLAIMS
from pages.wire_history import HistoryStep, in_time, pairs, step, when

#: The markers around the part that needs a run of the whole matrix.
CLIENTS = ("<!-- clients -->", "<!-- /clients -->")


def page(sources: Sources) -> str:
    """The whole page. The part about clients does not change unless the clients run again.

    Raises: GateError.
    """
    store = RecordingStore()
    steps = [step(store, pair) for pair in pairs(store)]
    clients = _with_clients(store, steps, sources.scratch) if sources.with_clients else _clients_of(sources.there)
    return render(steps, clients)


def _with_clients(store: RecordingStore, steps: Sequence[HistoryStep], out: Path) -> list[str]:
    """The last lines of the gates with all clients. The matrix is run once for each version."""
    results: dict[str, Results] = {}
    lines = []
    for one in steps:
        old, new = one.pair.baselines[0], one.pair.candidate
        for name in (old, new):
            if name not in results:
                results[name] = run_cells(planned(store.root / name), out / name)
        lines.append(step(store, one.pair, (results[old], results[new])).decision.last_line)
    return lines


def _clients_of(there: str) -> list[str]:
    """The part of the page about clients."""
    lines = there.split("\n")
    try:
        return lines[lines.index(CLIENTS[0]) + 2 : lines.index(CLIENTS[1]) - 1]
    except ValueError:
        raise GateError("docs/wire-history.md has no part about clients yet; give --with-clients once") from None


def render(steps: Sequence[HistoryStep], clients: Sequence[str]) -> str:
    """The page: the differences of each step on the wire, and `clients`, the last lines of gates with all clients."""
    upgrades = [one for one in steps if not one.pair.is_noise]
    lines = [
        "# What changed on Ollama's wire",
        "",
        "`python -m pages wire-history` makes this page from `fixtures/recordings/`. Several versions of Ollama got",
        "the same requests on the same machine, and each is compared with the next. Every row names the rule that",
        "finds the change (`ollama-harness list rules` gives the reason) and where to look: the recording, and the",
        "number of the record in the old and the new version (no number: the head). The change may have come with any",
        "version between the two.",
        "",
        "## The gates",
        "",
        "On the wire alone:",
        "",
        "```text",
        *(one.decision.last_line for one in steps),
        "```",
        "",
        "A second session with the same version differs only in noise. So the rules do not report too much.",
        "With all clients in all scenarios:",
        "",
        CLIENTS[0],
        "```text",
        *clients,
        "```",
        CLIENTS[1],
        "",
        "## By endpoint",
        "",
        *_routes(upgrades),
    ]
    for one in upgrades:
        lines += ["", f"## {one.decision.baseline} -> {one.decision.candidate}", "", *_changes(one)]
    lines += ["", "## Compared with Ollama's source", "", *_claims(upgrades)]
    return "\n".join(lines) + "\n"


def _routes(steps: Sequence[HistoryStep]) -> Iterator[str]:
    """The number of changes by endpoint and version."""
    yield "Breaking and notable changes:"
    yield ""
    yield "| endpoint | " + " | ".join(f"{one.decision.baseline} -> {one.decision.candidate}" for one in steps) + " |"
    yield "|---|" + "---|" * len(steps)
    counts = [
        Counter((finding.subject, finding.level) for finding in one.decision.findings if finding.level) for one in steps
    ]
    for route in sorted({subject for each in counts for subject, _ in each}):
        cells = (_count(each[route, Level.BREAKING], each[route, Level.NOTABLE]) for each in counts)
        yield f"| {route} | " + " | ".join(cells) + " |"


def _count(breaking: int, notable: int) -> str:
    counts = [f"**{breaking} breaking**"] * bool(breaking) + [f"{notable} notable"] * bool(notable)
    return ", ".join(counts)


def _changes(one: HistoryStep) -> Iterator[str]:
    """All changes of one step by endpoint, and the noise in one line."""
    yield "| endpoint | what | was | now | rule | level | seen in |"
    yield "|---|---|---|---|---|---|---|"
    findings = [each for each in one.decision.findings if each.level]
    for each in sorted(findings, key=lambda each: (each.subject.split()[::-1], -each.level, each.rule, each.where)):
        cells = (each.subject, each.where, each.was, each.now, each.rule, str(each.level), _evidence(each))
        yield "| " + " | ".join(map(_cell, cells)) + " |"
    noise = Counter(each.rule for each in one.decision.findings if not each.level)
    yield ""
    yield "Noise: " + ", ".join(f"{rule} {count}" for rule, count in sorted(noise.items())) + "."
    if one.decision.only_new:
        yield ""
        yield f"Recorded with {one.decision.candidate} only: {', '.join(one.decision.only_new)}."


def _evidence(finding: Finding) -> str:
    first = finding.evidence[0]
    lines = f":{first.old_line}/{first.new_line}" if first.old_line or first.new_line else ""
    more = f" and {len(finding.evidence) - 1} more" if len(finding.evidence) > 1 else ""
    return f"{first.recording}{lines}{more}"


def _claims(steps: Sequence[HistoryStep]) -> Iterator[str]:
    """The changes in Ollama's source, and what recordings show of them; then those that only recordings show."""
    yield "Section 6 of [ollama-wire.md](ollama-wire.md) lists changes with the first tag that has them."
    yield "The recordings show them between these versions:"
    yield ""
    yield "| since | change | recordings |"
    yield "|---|---|---|"
    matched = set[str]()
    for claim in sorted(CLAIMS, key=lambda claim: order(claim.since)):
        found = when(claim, steps)
        if found is None:
            shown = f"cannot show it: {claim.unseen}" if claim.unseen else "**do not show it**"
        else:
            shown_by, finding = found
            matched.add(finding.fingerprint)
            shown = (
                f"{shown_by.decision.baseline} -> {shown_by.decision.candidate}: {finding.rule}, {_evidence(finding)}"
            )
            shown += "" if in_time(claim, shown_by) else f". **Not as listed**: {claim.unlike}"
        yield f"| {claim.since} | {_cell(claim.says)} | {_cell(shown)} |"
    yield ""
    yield "Breaking changes that the recordings show and the list does not have:"
    yield ""
    for one in steps:
        for each in one.decision.findings:
            if each.level is Level.BREAKING and not any(_kin(each, other, matched) for other in one.decision.findings):
                yield f"- {one.decision.candidate}: {_cell(str(each))} ({_evidence(each)})"


def _kin(one: Finding, other: Finding, matched: set[str]) -> bool:
    """Whether another finding, which the list names, is the same change elsewhere: same rule and same text."""
    return other.fingerprint in matched and (other.rule, other.now) == (one.rule, one.now)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


PAGE = Page(name="wire-history", make=page)
