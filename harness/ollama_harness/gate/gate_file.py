"""gate.json: a decision on disk, for programs and for `--explain`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ollama_harness.errors import GateError
from ollama_harness.gate.decision import Decision
from ollama_harness.gate.findings import Evidence, Finding
from ollama_harness.gate.rules import RULES, Level

__all__ = ["FILE", "explain", "load", "save"]

FILE = "gate.json"
SCHEMA = 1


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
    temporary = path.with_name(FILE + ".tmp")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n")
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise GateError(f"{path} cannot be written: {error.strerror}; give another --out") from None
    return path


def load(directory: Path) -> tuple[Finding, ...]:
    """The findings of an earlier gate.

    Raises: GateError.
    """
    path = directory / FILE
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        return tuple(_read(one) for key in ("findings", "unstable") for one in value[key])
    except OSError as error:
        raise GateError(f"{path} cannot be read: {error.strerror}; gate first, or give its --out") from None
    except (ValueError, KeyError, TypeError):
        raise GateError(f"{path} is no report of this version's gate; gate again") from None


def explain(findings: tuple[Finding, ...], fingerprint: str) -> Finding:
    """The finding with a fingerprint, or with one that begins so.

    Raises: GateError.
    """
    found = {one.fingerprint: one for one in findings if fingerprint and one.fingerprint.startswith(fingerprint)}
    if len(found) != 1:
        many = "several findings begin with" if found else "no finding of the last gate has"
        raise GateError(f"{many} the fingerprint {fingerprint!r}; copy one from the report")
    return next(iter(found.values()))


def _finding(one: Finding) -> dict[str, Any]:
    return {"fingerprint": one.fingerprint, **asdict(one), "level": str(one.level)}


def _read(value: dict[str, Any]) -> Finding:
    fields = {key: part for key, part in value.items() if key != "fingerprint"}
    if fields["rule"] not in RULES:
        raise KeyError(fields["rule"])
    evidence = tuple(Evidence(**one) for one in fields.pop("evidence"))
    return Finding(**{**fields, "level": Level[value["level"].upper()]}, evidence=evidence)
