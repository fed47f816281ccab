"""What a refusal by rule costs: the time from a request that has been read to the script that refuses it.

The requests of `fixtures/requests/` are put to the newest version, in rounds. “first time” is a request that the server
has not seen: each round has a world of its own, for which nothing is kept. “again” is the same request in the same
world. The least time of all rounds counts, because a busy machine makes a time longer and never shorter.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.figures import Aim, Section, percentile
from benchmarks.machine import this_machine
from ollama_harness import RecordingStore
from ollama_harness.answers import Asked, World, answer, world_of

__all__ = ["AIM_US", "measure"]

AIM_US = 20.0
_REQUESTS = Path(__file__).resolve().parent.parent / "fixtures" / "requests"


def measure(store: RecordingStore, *, rounds: int) -> Section:
    """Each refused request in so many rounds, a first time and again."""
    world = world_of(store.of_version(store.newest), store.newest)
    different = {_asked(one): one for one in _requests(store.newest)}
    requests = [one for asked, one in different.items() if _is_refused(asked, world)]
    section = Section(
        "refusals",
        "A refusal by rule, in microseconds",
        f"{len(requests)} different requests that a rule of {store.newest} refuses or redirects, from the request to "
        f"the script; the least of {rounds} rounds for each.",
        ("the request comes", "min", "median", "p95", "max"),
    )
    first, again = zip(*(_round(requests, _unseen(world)) for _ in range(rounds)), strict=True)
    for what, times in (("first time", first), ("again", again)):
        least = [min(of_request) for of_request in zip(*times, strict=True)]
        figures = [percentile(least, percent) for percent in (0, 50, 95, 100)]
        section.rows.append((what, *figures))
    section.aims.append(Aim("p95 of a refusal, again, µs", figures[2], AIM_US))
    return section


def _round(requests: Sequence[dict[str, Any]], world: World) -> tuple[list[float], list[float]]:
    """The time of each request in µs, the first time and again."""
    times: tuple[list[float], list[float]] = ([], [])
    for request in requests:
        for kept in times:
            asked = _asked(request)
            begin = time.perf_counter()
            answered = answer(asked, world)
            assert answered is not None
            _ = answered.script
            kept.append((time.perf_counter() - begin) * 1e6)
    return times


def _unseen(world: World) -> World:
    """The same world, which no rule has seen: worlds with another mapping of models are not equal."""
    return replace(world, models=dict(world.models))


def _is_refused(asked: Asked, world: World) -> bool:
    answered = answer(asked, world)
    return answered is not None and answered.reply.status >= 300


def _requests(version: str) -> list[dict[str, Any]]:
    lines = (_REQUESTS / f"{version}.jsonl").read_text(encoding="utf-8").splitlines()
    return [one["request"] for one in map(json.loads, lines) if not one["request"].get("raw")]


def _asked(request: dict[str, Any]) -> Asked:
    """The request as it comes from the wire, every time in new objects."""
    headers = {"Host": "127.0.0.1:11434", **request["headers"], "Content-Type": "application/json"}
    body = (request["body"] or "").encode()
    return Asked(method=request["method"], target=request["target"], headers=tuple(headers.items()), body=body)


if __name__ == "__main__":
    report.show(this_machine(), [measure(RecordingStore(), rounds=30)])
