"""gate.json: a decision on disk, for programs and for `--explain`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ollama_harness.errors import GateError
from ollama_harness.files.fields import Fields, is_count
from ollama_harness.files.reading import read_json
from ollama_harness.files.writing import make_directory, write_whole
from ollama_harness.gate.decision import Decision
from ollama_harness.gate.findings import Evidence, Finding
from ollama_harness.gate.rules import RULES, Level

__all__ = ["FILE", "explain", "load", "save"]

FILE = "gate.json"
SCHEMA = 1

#: The fix if the report cannot be written.
ELSEWHERE = "make room, or give another --out"
_AGAIN = "run the gate again with this version of ollama-harness"


def save(decision: Decision, directory: Path) -> Path:
    """Write a decision into a directory, in one move.

    Raises: GateError.
    """
    value = {
        "schema": SCHEMA,
        **asdict(decision),
        "fail_on": str(decision.fail_on),
        "findings": [_finding(one) for one in decision.findings],
        "unstable": [_finding(one) for one in decision.unstable],
        "exit_code": decision.exit_code,
        "last_line": decision.last_line,
    }
    path = directory / FILE
    make_directory(directory, GateError, fix=ELSEWHERE)
    write_whole(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n", GateError, fix=ELSEWHERE)
    return path


def load(directory: Path) -> tuple[Finding, ...]:
    """The findings of an earlier gate.

    Raises: GateError.
    """
    path = directory / FILE
    value = read_json(path, GateError, fix="run a gate first, or give its --out", repair=_AGAIN)
    if not isinstance(value, dict) or not is_count(value.get("schema")) or value["schema"] != SCHEMA:
        raise GateError.about(path, "", f"is not a report of schema {SCHEMA}", _AGAIN)
    fields = Fields(path, value, "", GateError, fix=_AGAIN)
    lists = {name: fields.take(name, lambda v: isinstance(v, list), "a list") for name in ("findings", "unstable")}
    return tuple(
        _read(Fields(path, one, f"{name}[{number}].", GateError, fix=_AGAIN))
        for name, found in lists.items()
        for number, one in enumerate(found)
    )


def explain(findings: tuple[Finding, ...], fingerprint: str) -> Finding:
    """The finding with this fingerprint, or the only one whose fingerprint begins with it.

    Raises: GateError.
    """
    found = {one.fingerprint: one for one in findings if fingerprint and one.fingerprint.startswith(fingerprint)}
    if len(found) != 1:
        many = "several findings begin with" if found else "no finding of the last gate has"
        raise GateError(f"{many} the fingerprint {fingerprint!r}; copy one from the report")
    return next(iter(found.values()))


def _finding(one: Finding) -> dict[str, Any]:
    return {"fingerprint": one.fingerprint, **asdict(one), "level": str(one.level)}


def _read(fields: Fields) -> Finding:
    fields.text("fingerprint")
    levels = {str(level): level for level in Level}
    found = Finding(
        rule=fields.take("rule", lambda v: isinstance(v, str) and v in RULES, "a rule of this version"),
        level=levels[fields.take("level", lambda v: isinstance(v, str) and v in levels, "a level")],
        subject=fields.text("subject"),
        where=fields.text("where"),
        was=fields.text("was"),
        now=fields.text("now"),
        evidence=tuple(map(_evidence, fields.objects("evidence"))),
        unstable=fields.take("unstable", lambda v: isinstance(v, bool), "true or false"),
    )
    fields.no_more()
    return found


def _evidence(fields: Fields) -> Evidence:
    found = Evidence(
        recording=fields.text("recording"),
        old_line=fields.take("old_line", is_count, "the number of a record"),
        new_line=fields.take("new_line", is_count, "the number of a record"),
        old=fields.text("old"),
        new=fields.text("new"),
    )
    fields.no_more()
    return found
