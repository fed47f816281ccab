"""Two versions of Ollama compared by what they send: every rule, on every exchange that both have recorded.

The baseline may have several sessions, which are recordings of the same version. Each rule compares every session of
the baseline with the candidate. A change that it sees in every session counts. A change that it sees in only some of
them depends on the session and not on the version, so it becomes noise and is marked `unstable`. The sessions of the
baseline are also compared with each other: what differs there is listed, because no client should depend on it. Changes
with the same fingerprint are gathered into one finding, with the evidence of all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ollama_harness.gate.findings import Evidence, Finding, gathered
from ollama_harness.gate.rules import Change, Level, Rule, VersionExchange, rules_about
from ollama_harness.gate.shapes import Shape, VersionShapes
from ollama_harness.recordings.records import items_of

__all__ = ["WireComparison", "compare"]

#: How much of a record a line of evidence shows.
_SHOWN_BYTES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class WireComparison:
    """The differences on the wire. `compared` names recordings, and `only_new` those that the candidate alone has.
    `incomparable` says why others could not be compared.

    `unstable` is what differs between two sessions of the baseline, except noise: no client should depend on it.
    """

    findings: tuple[Finding, ...]
    unstable: tuple[Finding, ...]
    compared: tuple[str, ...]
    only_new: tuple[str, ...]
    incomparable: tuple[str, ...]


def compare(baselines: Sequence[VersionShapes], candidate: VersionShapes) -> WireComparison:
    """Compare a candidate with one or more sessions of the baseline.

    A change counts if it shows against every session. One that shows against only some is noise.
    """
    findings: list[Finding] = []
    incomparable, only_new, compared = list[str](), list[str](), list[str]()
    for name in sorted({name for one in baselines for name in one.shapes} | candidate.shapes.keys()):
        olds = [VersionExchange(one.shapes[name], one) for one in baselines if name in one.shapes]
        if name not in candidate.shapes:
            incomparable.append(f"{name} is missing from the candidate")
        elif not olds:
            only_new.append(name)
        elif any(old.shape.recording.request != candidate.shapes[name].recording.request for old in olds):
            incomparable.append(f"{name} is the answer to another request")
        else:
            compared.append(name)
            findings += _changes(olds, VersionExchange(candidate.shapes[name], candidate))
    unstable = () if len(baselines) < 2 else compare(baselines[:1], baselines[1]).findings
    return WireComparison(
        findings=gathered(findings),
        unstable=tuple(one for one in unstable if one.level is not Level.NOISE),
        compared=tuple(compared),
        only_new=tuple(only_new),
        incomparable=tuple(incomparable),
    )


def _changes(olds: Sequence[VersionExchange], new: VersionExchange) -> Iterator[Finding]:
    """The findings of one recording."""
    for rule in rules_about("wire"):
        seen: dict[str, list[tuple[VersionExchange, Change]]] = {}
        for old in olds:
            for change in rule(old, new):
                seen.setdefault(change.where, []).append((old, change))
        for found in seen.values():
            yield _finding(rule, *found[0], new, unstable=len(found) < len(olds))


def _finding(
    rule: Rule[VersionExchange], old: VersionExchange, change: Change, new: VersionExchange, *, unstable: bool
) -> Finding:
    evidence = Evidence(
        recording=new.shape.name,
        old_line=change.old_line,
        new_line=change.new_line,
        old=_line(old.shape, change.old_line),
        new=_line(new.shape, change.new_line),
    )
    return Finding(
        rule=rule.id,
        level=Level.NOISE if unstable else rule.level,
        subject=new.shape.route,
        where=change.where,
        was=change.was,
        now=change.now,
        evidence=(evidence,),
        unstable=unstable and rule.level is not Level.NOISE,
    )


def _line(shape: Shape, number: int) -> str:
    """The text of a record, or the head if the number is 0."""
    recording = shape.recording
    if number == 0:
        return f"{shape.status} {shape.reason}, " + ", ".join(f"{name}: {value}" for name, value in shape.headers)
    items = items_of(recording.response.media_type, recording.body)
    if number > len(items):
        return ""
    line = recording.body[items[number - 1].start : items[number - 1].end].strip()
    return line[:_SHOWN_BYTES].decode("utf-8", "replace") + ("…" if len(line) > _SHOWN_BYTES else "")
