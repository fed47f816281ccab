"""docs/fidelity.md: how near the fake is to a real Ollama, by two measures, with all that differs and why."""

from __future__ import annotations

import re
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from ollama_harness.recordings.store import RecordingStore
from pages.fidelity import real_answers
from pages.fidelity.leave_one_out import LeftOut, leave_one_out
from pages.page import Page, Sources, table

REASONS = Path(__file__).with_name("reasons.toml")

_HEAD = """\
# How near the fake is to a real Ollama

Statuses, heads, fields, types, errors and the order of a stream are those of the version that is served. The words are
not: no model runs, so they come from recordings of a small model, and times and numbers of tokens are made to fit.

This page measures that in two ways. It is made by `python -m pages fidelity`, and the suite checks that it is current.

## Requests that real servers answered

`fixtures/requests/` has ordinary and odd requests with the answers of real servers of each version. The fake is asked
the same, in the same order, with the same four models. Two answers are the same if the status and the head agree, and
the body, too: in an error the whole text, in a good answer the key paths with their types, in the first record and in
the last. Times, ids, ports and digests are masked. Requests that two real servers of one version answer in different
ways are asked and not counted (`fixtures/requests/again.md`).
"""

_LEFT_OUT = """\
## Recordings left out one by one

Each recording is taken out, together with all recordings of an equal request. Its request is answered from the rest,
by rule or from the nearest recording, and the rules of the gate compare the answer with the recording. The two are the
same if these find nothing breaking and nothing notable. What a model needs to have been there for (a second pull, a
delete) is asked first, and a list is asked of a server with the models that it names. Recordings of faults and of a
state (`ps`, a cold start) are not counted: no request causes what they hold.
"""


@cache
def compared(version: str) -> real_answers.Compared:
    """The requests that real servers of a version answered, compared."""
    return real_answers.compare(version)


@cache
def left_out(version: str) -> tuple[list[LeftOut], list[str]]:
    """The recordings of a version, left out one by one, and the names of those that are not counted."""
    return leave_one_out(_store(), version)


@cache
def _store() -> RecordingStore:
    return RecordingStore()


def _make(_: Sources) -> str:
    lines = [_HEAD, *_real_answers(), _LEFT_OUT, *_left_out()]
    return "\n".join(lines).rstrip("\n") + "\n"


def _real_answers() -> Iterator[str]:
    every = [compared(version) for version in real_answers.versions()]
    rows = [(one.version, str(one.counted), str(one.same), _percent(one.same, one.counted)) for one in every]
    yield from table(("version", "requests", "same", "share"), rows)
    differing = [(each.id, one.version) for one in every for each in one.differences]
    yield from _differing("request", differing)


def _left_out() -> Iterator[str]:
    found = {version: left_out(version) for version in _store().versions}
    routes = sorted({one.route for outs, _ in found.values() for one in outs}, key=lambda route: route.split()[::-1])
    rows = [(f"`{route}`", *(_cell(outs, route) for outs, _ in found.values())) for route in routes]
    total = ("all", *(_cell(outs, "") for outs, _ in found.values()))
    share = ("share", *(_percent(sum(one.is_same for one in outs), len(outs)) for outs, _ in found.values()))
    yield from table(("route", *found), [*rows, total, share])
    differing = [(one.name, version) for version, (outs, _) in found.items() for one in outs if not one.is_same]
    yield from _differing("recording", differing)
    states = {name for _, names in found.values() for name in names}
    yield f"Not counted: {', '.join(f'`{name}`' for name in sorted(states))}."


def _cell(outs: Iterable[LeftOut], route: str) -> str:
    """`3 of 4` for a route; a blank where the version has recorded none."""
    here = [one for one in outs if route in ("", one.route)]
    return f"{sum(one.is_same for one in here)} of {len(here)}" if here else ""


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %"


def _differing(what: str, pairs: Iterable[tuple[str, str]]) -> Iterator[str]:
    by_name = defaultdict[tuple[str, str], list[str]](list)
    for name, version in pairs:
        by_name[name, reason(what, name, version)].append(version)
    if not by_name:
        yield "Nothing differs.\n"
        return
    rows = [(f"`{name}`", ", ".join(versions), why) for (name, why), versions in sorted(by_name.items())]
    yield "What differs, and why:\n"
    yield from table((what, "versions", "why"), rows)


def reason(what: str, name: str, version: str) -> str:
    """Why the answer to a request or a recording differs; "" if reasons.toml does not say."""
    return next((why for pattern, why in reasons()[what].items() if re.fullmatch(pattern, f"{version}/{name}")), "")


@cache
def reasons() -> dict[str, dict[str, str]]:
    """The reasons by what they are given for, a request or a recording, and by pattern."""
    return tomllib.loads(REASONS.read_text("utf-8"))


PAGE = Page(name="fidelity", make=_make)
