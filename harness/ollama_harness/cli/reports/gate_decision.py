"""The report of a gate: in the terminal, and as a page in Markdown for a pull request or a job's summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from ollama_harness.cli.reports.layout import Hanging
from ollama_harness.files.printable import one_line, toml_string
from ollama_harness.gate.decision import Decision
from ollama_harness.gate.findings import Evidence, Finding, place
from ollama_harness.gate.rules import RULES, Level

__all__ = ["explained", "markdown", "render"]

_STYLES = {Level.BREAKING: "bold red", Level.NOTABLE: "yellow", Level.NOISE: "dim"}

#: Aligns lines with the subject of a finding, which follows its fingerprint.
_INDENT = 14

#: How many findings that are noise are shown of two versions of a client.
_NOISE_SHOWN = 12

#: How many pieces of evidence `--explain` shows in full.
_SHOWN = 5


def render(decision: Decision) -> RenderableType:
    """The decision for a terminal, without its last line, which is printed as it is."""
    parts: list[RenderableType] = []
    for level, found in _listed(decision):
        parts.append(Text(f"\n{level}".upper(), _STYLES[level]))
        parts += [_entry(one, decision.accepted.get(one.fingerprint)) for one in found]
    for line in _quiet(decision):
        parts += [Text(), Hanging(Text(one_line(line), "dim"))]
    parts += [Hanging(Text(one_line(f"accepted.toml: {line}"), "bold red")) for line in decision.stale]
    parts += [Hanging(Text(one_line(f"cannot tell: {line}"), "bold red")) for line in decision.problems]
    return Group(*parts)


def _entry(one: Finding, reason: str | None) -> RenderableType:
    first = Text.assemble(
        (one.fingerprint, "cyan"),
        one_line(f"  {one.subject}  "),
        (one.rule, "bold"),
        (one_line(f"  in {_counted(one)}"), "dim"),
        (one_line(f"  accepted: {reason}") if reason else "", "green"),
    )
    what = Text(one_line(f"{one.where}: {one.was} -> {one.now}"))
    return Group(Hanging(first, by=_INDENT), Hanging(what, indent=_INDENT))


def _counted(one: Finding) -> str:
    if len(one.evidence) == 1:
        return one.evidence[0].recording
    return f"{len(one.evidence)} {'recordings' if RULES[one.rule].about == 'wire' else 'cells'}"


def _listed(decision: Decision) -> Iterator[tuple[Level, list[Finding]]]:
    """The findings that are listed one by one, by their level. Of a client's upgrade that is some of the noise, too:
    what matters to few programs is why somebody looks.
    """
    most = {Level.BREAKING: None, Level.NOTABLE: None, Level.NOISE: _NOISE_SHOWN if decision.library else 0}
    for level, count in most.items():
        if found := [one for one in decision.findings if one.level is level][:count]:
            yield level, found


def _quiet(decision: Decision) -> Iterator[str]:
    """The summaries that take one line each."""
    noise = Counter(one.rule for one in decision.findings if one.level is Level.NOISE)
    if noise:
        yield "noise: " + ", ".join(f"{rule} {count}" for rule, count in sorted(noise.items()))
    if decision.unstable:
        unstable = "; ".join(f"{one} ({one.rule})" for one in decision.unstable)
        yield f"differs between two sessions of {decision.baseline}, so no client can depend on it: {unstable}"
    if decision.only_new:
        yield f"recorded only with {decision.candidate}: {', '.join(decision.only_new)}"
    if decision.besides:
        yield f"also another in the place of the new version: {', '.join(decision.besides)}"


def explained(one: Finding) -> list[str]:
    """Everything about one finding, in lines."""
    rule = RULES[one.rule]
    lines = [
        f"{one.fingerprint}  {one.rule} ({one.level})"
        + ("  unstable: two sessions of the baseline differ as well" * one.unstable),
        f"{one.subject}: {one.where}",
        f"  was  {one.was}",
        f"  now  {one.now}",
        "",
        f"why it matters: {rule.why}",
        f"source: {rule.source}",
        "",
        f"seen in {len(one.evidence)}:",
    ]
    for evidence in one.evidence[:_SHOWN]:
        lines += [evidence.recording, f"  old{_line(evidence.old_line, evidence)}: {evidence.old}"]
        lines += [f"  new{_line(evidence.new_line, evidence)}: {evidence.new}"]
    lines += [f"… {', '.join(each.recording for each in one.evidence[_SHOWN:])}"] * (len(one.evidence) > _SHOWN)
    lines += ["", "to accept it:", "[[accepted]]", f'fingerprint = "{one.fingerprint}"', 'reason = "…"']
    lines.append(f"seen_in = {toml_string(place(one.evidence[0].recording))}")
    return [*lines, 'versions = ">=…,<…"', "expires = YYYY-MM-DD"]


def _line(number: int, evidence: Evidence) -> str:
    return f" record {number}" if evidence.old_line or evidence.new_line else ""


def markdown(decision: Decision) -> str:
    """The decision as a page."""
    lines = [f"# {decision.title}", "", f"`{decision.last_line}`", ""]
    lines += [f"- **cannot tell**: {line}" for line in decision.problems]
    lines += [f"- **accepted.toml**: {line}" for line in decision.stale]
    lines = list(map(one_line, lines))
    for level, found in _listed(decision):
        lines += ["", f"## {str(level).capitalize()}", "", *table(found, decision.accepted)]
    for line in _quiet(decision):
        lines += ["", one_line(line)]
    return "\n".join(lines).rstrip() + "\n"


def table(findings: Sequence[Finding], accepted: dict[str, str]) -> Iterator[str]:
    """Findings as the rows of a table in Markdown."""
    yield "| what | rule | was | now | seen in | fingerprint |"
    yield "|---|---|---|---|---|---|"
    for one in findings:
        note = f" accepted: {accepted[one.fingerprint]}" if one.fingerprint in accepted else ""
        cells = (f"{one.subject}: {one.where}", one.rule, one.was, one.now, _counted(one), f"`{one.fingerprint}`{note}")
        yield "| " + " | ".join(one_line(cell).replace("|", "\\|").replace("<", "&lt;") for cell in cells) + " |"
