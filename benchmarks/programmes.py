"""What the rules of a programme cost a request that none of them is for.

Two servers in this process answer the same request with the same short stream, by the last rule of their programme.
Before it, one of them has rules that are all for the request's route, and not for the request. Rounds alternate, and
the least time of all rounds counts, because a busy machine makes a time longer and never shorter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from benchmarks import workload
from benchmarks.client_process import ClientProcess
from benchmarks.figures import Aim, Section
from ollama_harness import FakeOllama, RecordingStore, Script
from ollama_harness.server.programme import OwnError, Programme, ProgrammeRule, When

__all__ = ["AIM_US", "measure"]

AIM_US = 200.0
_RULES = 200
_REQUESTS = 200
_RECORDS = 2

Rule = Callable[[int], ProgrammeRule]


def _rule(**when: object) -> ProgrammeRule:
    return ProgrammeRule(when=When(method="POST", path=workload.PATH, **when), answer=OwnError.of(503, "busy"))  # type: ignore[arg-type]


#: What the rules look at -> the rule of a number.
_KINDS: dict[str, Rule] = {
    "another route": lambda number: ProgrammeRule(when=When(path=f"/{number}"), answer=OwnError.of(503, "busy")),
    "a header": lambda number: _rule(headers={"X-Try": str(number)}),
    "the model": lambda number: _rule(model=f"model-{number}"),
    "JSON": lambda number: _rule(json={"options": {"seed": 10_000 + number}}),
    "JSON in a list": lambda number: _rule(json={"messages": [{"role": "tool", "content": str(number)}]}),
    "an expression": lambda number: _rule(jmespath=f"messages[-1].content == 'x{number}'"),
    "equal expressions": lambda _: _rule(jmespath="messages[-1].role == 'tool'"),
    "an expression of two": lambda number: _rule(jmespath=f"stream && options.seed == `{10_000 + number}`"),
    "the second one of a JSON": lambda number: replace(_rule(json={"options": {"seed": 10_000 + number}}), nth=(2,)),
    "the n-th request": lambda number: replace(_rule(), nth=(10_000_000 + number,)),
}


def measure(client: ClientProcess, store: RecordingStore, *, rounds: int) -> Section:
    """So many rounds of requests to a server with rules, for each kind of rule, and to one without."""
    section = Section(
        "programmes",
        f"A programme of {_RULES} rules, in microseconds a request",
        f"The request is for the route of the rules, and for none of them. {_REQUESTS} requests in turn on one "
        f"connection; the least of {rounds} rounds.",
        ("the rules look at", "without", "with", "more"),
    )
    recording = workload.shortened(store)
    frames = (recording.frames[0], recording.frames[-1])
    answer = ProgrammeRule(
        when=When(path=workload.PATH), answer=Script.from_recording(replace(recording, frames=frames), speed=0)
    )
    request = workload.request(recording)

    def a_round(server: FakeOllama) -> float:
        seconds = client.streams(server.port, request, count=_REQUESTS, records=_RECORDS)
        return seconds * 1e6 / _REQUESTS

    most = 0.0
    for kind, rule in _KINDS.items():
        rules = (*map(rule, range(_RULES)), answer)
        with (
            FakeOllama(programme=Programme((answer,))) as without,
            FakeOllama(programme=Programme(rules)) as with_rules,
        ):
            a_round(without), a_round(with_rules)  # to warm up
            times = [(a_round(without), a_round(with_rules)) for _ in range(rounds)]
        low, high = (min(of_server) for of_server in zip(*times, strict=True))
        section.rows.append((kind, low, high, high - low))
        most = max(most, high - low)
    section.aims.append(Aim(f"the most that {_RULES} rules cost a request, µs", most, AIM_US))
    return section
