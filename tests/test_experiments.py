"""docs/issue-9549.md rests on experiments that vary one thing each, and on conclusions that can come out either way."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ollama_harness.errors import HarnessError
from ollama_harness.matrix.exchange import untried
from ollama_harness.network.route import Route
from ollama_harness.recordings.store import RecordingStore
from pages.experiments import EXPERIMENTS, ClaimKind, Experiment
from pages.experiments.conclusions import (
    ExplanationGrade,
    FailurePattern,
    Measured,
    RemedyGrade,
    TrialResult,
    answer,
    effects,
    grade,
    pattern,
)
from pages.experiments.experiment import BUILT_ON_HTTPX, CLIENTS
from pages.experiments.trials import cells, measured, run
from pages.experiments.wording import conclusion, names, not_fixed

pytestmark = pytest.mark.same_everywhere

EXPLANATIONS = {
    "streaming",
    "chunked",
    "keep-alive",
    "timeouts",
    "buffering",
    "request-heads",
    "ollama-0.5.7",
    "ipv6",
    "middleware",
    "system-proxy",
    "proxy-override",
}
REMEDIES = {
    "clear-variables",
    "requests-instead",
    "another-ollama",
    "trust-env",
    "no-proxy",
    "another-host",
    "retrying",
    "fresh-venv",
    "close-the-program",
}


def seen(one: Experiment, *failing: tuple[str, ...], status: int = 502) -> tuple[TrialResult, ...]:
    """Made-up measurements: in trial n, these clients get this status, and the others the whole answer."""
    return tuple(
        TrialResult(
            trial,
            tuple(
                Measured(
                    client=name,
                    route=Route.PROXIED if name in hit else Route.DIRECT,
                    status=status if name in hit else 200,
                    whole=name not in hit,
                    end=f"{status} Bad" if name in hit else "whole answer",
                )
                for name in trial.conditions.clients
            ),
        )
        for trial, hit in zip(one.trials, failing, strict=True)
    )


def test_every_explanation_and_every_remedy_has_an_experiment() -> None:
    assert {one.name for one in EXPERIMENTS.values() if one.kind is ClaimKind.EXPLANATION} == EXPLANATIONS
    assert {one.name for one in EXPERIMENTS.values() if one.kind is ClaimKind.REMEDY} == REMEDIES
    assert {one.name for one in EXPERIMENTS.values() if one.source is None} == {"buffering", "request-heads"}


@pytest.mark.parametrize("one", EXPERIMENTS.values(), ids=lambda one: one.name)
def test_an_experiment_varies_one_thing(one: Experiment) -> None:
    assert len(one.varies) == 1, one.varies
    for where in {trial.where for trial in one.trials}:
        here = [trial for trial in one.trials if trial.where == where]
        assert {trial.given for trial in here} == {True, False}
        assert len({trial.what for trial in here}) == len(here)


@pytest.mark.parametrize("one", EXPERIMENTS.values(), ids=lambda one: one.name)
def test_the_cells_of_an_experiment_can_be_played(one: Experiment, store: RecordingStore) -> None:
    assert one.trials
    for trial in one.trials:
        planned = cells(trial.conditions, store, name="x")
        assert len(planned) == len(trial.conditions.clients) * trial.conditions.times
        assert planned[0].scripts


def test_streaming_and_not_streaming_differ_in_that_alone(store: RecordingStore) -> None:
    trial, other, *_ = EXPERIMENTS["streaming"].trials
    streamed, plain = (store.get(one.conditions.recording).request for one in (trial, other))
    assert plain.json == {**streamed.json, "stream": False}


def test_the_clients_with_a_502_make_the_pattern() -> None:
    one = EXPERIMENTS["streaming"]
    found = seen(one, BUILT_ON_HTTPX, CLIENTS, (), ("requests",))
    assert [pattern(each) for each in found] == [
        FailurePattern.REPORTED,
        FailurePattern.ALL_CLIENTS,
        FailurePattern.NO_CLIENT,
        FailurePattern.OTHER,
    ]


def test_what_is_there_with_it_and_without_it_is_no_cause() -> None:
    one = EXPERIMENTS["streaming"]
    found = seen(one, BUILT_ON_HTTPX, BUILT_ON_HTTPX, (), ())
    assert answer(found) is ExplanationGrade.NO
    assert "comes without it too (Windows system proxy, not streamed)" in conclusion(one, found)
    assert "does not come with it (no proxy, streamed)" in conclusion(one, found)


def test_what_is_there_with_it_only_is_the_cause() -> None:
    one = EXPERIMENTS["streaming"]
    found = seen(one, BUILT_ON_HTTPX, (), BUILT_ON_HTTPX, ())
    assert answer(found) is ExplanationGrade.MAKES_IT
    assert "Without it, no client" in conclusion(one, found)


def test_a_cause_that_changes_the_route_of_the_others_is_the_cause_of_the_difference() -> None:
    one = EXPERIMENTS["proxy-override"]
    assert answer(seen(one, BUILT_ON_HTTPX, CLIENTS)) is ExplanationGrade.MAKES_THE_DIFFERENCE
    assert answer(seen(one, BUILT_ON_HTTPX, BUILT_ON_HTTPX)) is ExplanationGrade.NO


def test_a_502_that_requests_gets_too_is_another_one() -> None:
    one = EXPERIMENTS["middleware"]
    found = seen(one, CLIENTS, BUILT_ON_HTTPX, CLIENTS, ())
    assert answer(found) is ExplanationGrade.ANOTHER
    assert "Instead httpx, ollama, requests, urllib get a 502" in conclusion(one, found)


def test_a_remedy_that_gets_all_through_fixes_it() -> None:
    one = EXPERIMENTS["retrying"]
    found = seen(one, BUILT_ON_HTTPX, (), CLIENTS, ())
    assert grade(found) is RemedyGrade.ALL
    assert not_fixed(found) == ""


def test_a_remedy_that_changes_nothing_does_not_fix_it() -> None:
    one = EXPERIMENTS["retrying"]
    found = seen(one, BUILT_ON_HTTPX, BUILT_ON_HTTPX, CLIENTS, CLIENTS)
    assert grade(found) is RemedyGrade.NONE
    assert not_fixed(found).startswith("Windows system proxy: httpx, ollama: 502 Bad; HTTP_PROXY variable: ")


def test_another_error_in_place_of_the_502_is_no_fix() -> None:
    one = EXPERIMENTS["retrying"]
    gone = seen(one, (), BUILT_ON_HTTPX, (), (), status=0)[1]
    found = (seen(one, BUILT_ON_HTTPX, (), (), ())[0], gone)
    assert [each.grade for each in effects(found)] == [RemedyGrade.NONE]


def test_requests_in_the_place_of_httpx_helps_only_where_requests_gets_through() -> None:
    one = EXPERIMENTS["requests-instead"]
    found = seen(one, BUILT_ON_HTTPX, (), BUILT_ON_HTTPX, ("requests",))
    assert [each.grade for each in effects(found)] == [RemedyGrade.ALL, RemedyGrade.NONE]
    assert grade(found) is RemedyGrade.SOME
    assert not_fixed(found) == "HTTP_PROXY variable: requests: 502 Bad"


def test_what_fails_otherwise_than_with_a_502_is_shown_and_does_not_count() -> None:
    one = EXPERIMENTS["no-proxy"]
    fine = seen(one, BUILT_ON_HTTPX, (), CLIENTS, (), (), ())
    socks = seen(one, (), (), (), (), BUILT_ON_HTTPX, BUILT_ON_HTTPX, status=0)
    found = (*fine[:4], *socks[4:])
    assert grade(found) is RemedyGrade.ALL
    assert not_fixed(found) == "ALL_PROXY=socks://…: httpx, ollama: 0 Bad"


def test_the_last_of_several_tries_counts() -> None:
    one = EXPERIMENTS["retrying"]
    before, after = seen(one, BUILT_ON_HTTPX, (), (), ())[:2]
    assert grade((before, replace(after, measured=(*before.measured, *after.measured)))) is RemedyGrade.ALL
    assert grade((before, replace(after, measured=(*after.measured, *before.measured)))) is RemedyGrade.NONE


def test_both_halves_of_a_library_are_named_once() -> None:
    assert names(["httpx", "httpx-async", "ollama-async", "requests"]) == "httpx, ollama-async, requests"


def test_a_measurement_that_failed_concludes_nothing(store: RecordingStore) -> None:
    cell = cells(EXPERIMENTS["streaming"].trials[0].conditions, store, name="x")[0]
    with pytest.raises(HarnessError, match="could not be measured here: it is not there"):
        measured(cell, untried(cell, cell.plain, "it is not there"))


def test_the_proxy_makes_the_502_when_it_is_really_run() -> None:
    one = EXPERIMENTS["system-proxy"]
    few = tuple(
        replace(trial, conditions=replace(trial.conditions, clients=("httpx", "requests"))) for trial in one.trials
    )
    found = run([replace(one, trials=few)], jobs=2)[one.name]
    assert answer(found) is ExplanationGrade.MAKES_IT
    asked = {each.client: (each.route, each.status, each.asked) for each in found[0].measured}
    assert asked == {
        "httpx": (Route.PROXIED, 502, "POST http://127.0.0.1:PORT/api/generate HTTP/1.1"),
        "requests": (Route.DIRECT, 200, "POST /api/generate HTTP/1.1"),
    }
