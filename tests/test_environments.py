"""Environments: the table, what the settings ask, and journeys; the matrix of them all is `run --environments`."""

from __future__ import annotations

import dataclasses
import os
import sys
import urllib.request

import pytest
import requests
from builders import in_one_test
from hypothesis import given
from hypothesis import strategies as st

from ollama_harness.clients import Client, clients
from ollama_harness.clients.worker_process import ClientReport, WorkerProcess
from ollama_harness.errors import UnknownName
from ollama_harness.matrix.cells import Cell, cell, plan
from ollama_harness.matrix.routed_exchange import impossible
from ollama_harness.matrix.run import result
from ollama_harness.matrix.runner import CellRun, Runner
from ollama_harness.network import simulation
from ollama_harness.network.environments import ENVIRONMENTS, HOSTS, Environment, environment
from ollama_harness.network.required import required
from ollama_harness.network.route import Route
from ollama_harness.network.settings import Mac, Registry, Settings, System
from ollama_harness.network.windows_registry import changed, may_touch
from ollama_harness.oracle.verdict import Raised, Verdict
from ollama_harness.recordings.store import RecordingStore

EXCLUDES_ALL = "localhost,127.0.0.1,::1"


def windows(override: str | None, **variables: str) -> Settings:
    registry = Registry(enable=1, server="127.0.0.1:7890", override=override)
    return Settings(system=System.WINDOWS, registry=registry, variables=variables)


def posix(**variables: str) -> Settings:
    return Settings(system=System.POSIX, variables=variables)


def route(settings: Settings, host: str) -> Route | None:
    return required(settings, f"http://{host}:11434/").route


def test_the_table_tells_its_story_in_few() -> None:
    """Few enough for the grid of a run without --environments to hold them on a screen."""
    assert 8 <= sum(one.story for one in ENVIRONMENTS.values()) <= 12
    with pytest.raises(UnknownName, match="did you mean issue-9549"):
        environment("issue-954")


def test_no_two_environments_are_one() -> None:
    seen: list[Environment] = []
    assert ENVIRONMENTS
    for one in ENVIRONMENTS.values():
        bare = dataclasses.replace(one, name="", summary="", story=False, explains="", disputed="")
        if one.name != "registry-and-empty-http-proxy":  # on Windows that variable is none, which is the point
            assert bare not in seen, one.name
        seen.append(bare)


@pytest.mark.same_everywhere
@in_one_test("one", ENVIRONMENTS.values())
def test_every_place_in_its_texts_is_filled(one: Environment) -> None:
    settings = one.settings(proxy="127.0.0.1:7890", port=4711)
    text = str(settings.to_json())
    assert "{proxy}" not in text
    assert "{port}" not in text
    assert Settings.from_json(settings.to_json()) == settings


@given(st.lists(st.sampled_from(["localhost", "127.0.0.1", "::1", "example.com", " ", "10.0.0.0/8"])))
def test_an_entry_excludes_its_host_at_any_place_in_the_list(entries: list[str]) -> None:
    settings = posix(HTTP_PROXY="http://127.0.0.1:7890", NO_PROXY=", ".join(entries))
    for host, entry in (("localhost", "localhost"), ("127.0.0.1", "127.0.0.1"), ("[::1]", "::1")):
        assert route(settings, host) is (Route.DIRECT if entry in entries else None)


@given(st.text(max_size=30), st.text(max_size=30), st.sampled_from(HOSTS), st.sampled_from(System))
def test_with_any_settings_the_route_to_this_machine_is_direct_or_not_required(
    proxy: str, excluded: str, host: str, system: System
) -> None:
    settings = Settings(
        system=system,
        variables={"HTTP_PROXY": proxy, "NO_PROXY": excluded},
        registry=Registry(enable=1, server=proxy, override=excluded),
        mac=Mac(http=proxy, exceptions=(excluded,)),
    )
    assert route(settings, host) in (Route.DIRECT, None)


@pytest.mark.parametrize(
    ("settings", "ways"),
    [
        (posix(), "DDD"),
        (posix(HTTPS_PROXY="http://p:1"), "DDD"),
        (posix(HTTP_PROXY="http://p:1"), "..."),
        (posix(HTTP_PROXY="http://p:1", NO_PROXY=EXCLUDES_ALL), "DDD"),
        (posix(HTTP_PROXY="http://p:1", NO_PROXY="LocalHost"), "D.."),
        (posix(HTTP_PROXY="http://p:1", NO_PROXY="127.0.0.0/8"), "..."),
        (posix(HTTP_PROXY="http://p:1", NO_PROXY="*"), "DDD"),
        (posix(HTTP_PROXY="http://p:1", REQUEST_METHOD="GET"), "DDD"),
        (posix(HTTP_PROXY="http://p:1", NO_PROXY="127.0.0.1", no_proxy="example.com"), "..."),
        (windows(None), "..."),
        (windows("<local>"), "D.."),
        (windows("localhost;127.*;<local>"), "DD."),
        (windows("127.*", HTTP_PROXY="http://p:1"), "..."),
        (windows("127.*", NO_PROXY="example.com"), ".D."),
        (Settings(system=System.WINDOWS, registry=Registry(enable=0, server="p:1")), "DDD"),
        (Settings(system=System.WINDOWS, registry=Registry(enable=1, server="https=p:1")), "DDD"),
        (Settings(system=System.MACOS, mac=Mac(http="p:1", exceptions=("127/8",))), ".D."),
        (Settings(system=System.MACOS, mac=Mac(http="p:1", exclude_simple=True)), "D.."),
    ],
)
def test_what_the_settings_ask_of_each_form_of_url(settings: Settings, ways: str) -> None:
    letters = {Route.DIRECT: "D", None: "."}
    assert "".join(letters.get(route(settings, host), "?") for host in HOSTS) == ways


def test_a_host_elsewhere_must_go_through_the_proxy_unless_it_is_excluded() -> None:
    assert route(posix(HTTP_PROXY="http://p:1"), "ollama.test") is Route.PROXIED
    assert route(posix(HTTP_PROXY="http://p:1", NO_PROXY=".test"), "ollama.test") is Route.DIRECT
    assert route(windows("*.example"), "ollama.test") is Route.PROXIED


def test_every_form_of_url_is_a_cell_of_its_own(store: RecordingStore) -> None:
    ids = {one.id for one in plan(store, client_names=["httpx"], scenario_names=["issue-9549"])}
    assert {f"httpx/issue-9549/{store.newest}/generate-cold@{host}" for host in HOSTS} <= ids
    assert cell(store, "httpx/issue-9549@[::1]").host == "[::1]"
    assert cell(store, "httpx/issue-9549").host == "localhost"
    with pytest.raises(UnknownName, match="host in issue-9549"):
        cell(store, "httpx/issue-9549@127.0.0.2")


def test_only_clients_that_read_ollama_host_are_asked_what_they_make_of_it(store: RecordingStore) -> None:
    chosen: dict[str, list[str]] = {
        "client_names": ["requests", "ollama", "ollama-async"],
        "scenario_names": ["ollama-host-empty", "nothing-set"],
    }
    cells = [one for one in plan(store, **chosen) if one.host]
    names = {one.client.name for one in cells}
    there = {one.client.name for one in cells if one.scenario.name == "ollama-host-empty"}
    assert there == {"ollama", "ollama-async"} < names


@pytest.fixture(scope="module")
def tried(store: RecordingStore) -> dict[str, dict[str, set[str]]]:
    """The environments in which clients are tried, with the recordings."""
    by_code_of_their_own = ("curl", "fetch", "ollama-js", "urllib3")
    names = (*by_code_of_their_own, "httpx", "langchain-ollama", "openai", "openai-responses", "anthropic")
    found: dict[str, dict[str, set[str]]] = {}
    for one in plan(store, client_names=names, environments=True):
        found.setdefault(one.client.name, {}).setdefault(one.scenario.name, set()).add(one.recording.name)
    return found


@pytest.mark.same_everywhere
def test_a_client_is_tried_where_it_reads_a_setting_by_code_of_its_own(tried: dict[str, dict[str, set[str]]]) -> None:
    for_all = {name for name, one in ENVIRONMENTS.items() if one.for_all and not one.switch}
    node = {name for name, one in ENVIRONMENTS.items() if one.switch == "NODE_USE_ENV_PROXY"}
    assert for_all < tried["curl"].keys() < ENVIRONMENTS.keys() - node
    assert tried["fetch"].keys() == for_all | node
    assert tried["ollama-js"].keys() == for_all | {"node-env-proxy"}
    assert tried["urllib3"].keys() == for_all


@pytest.mark.same_everywhere
def test_a_client_is_asked_once_in_an_environment_by_a_call_that_it_has(
    tried: dict[str, dict[str, set[str]]], store: RecordingStore
) -> None:
    recordings = {
        name: set().union(*tried[name].values())
        for name in ("httpx", "langchain-ollama", "openai", "openai-responses", "anthropic")
    }
    assert recordings == {
        "httpx": {"generate-cold"},
        "langchain-ollama": {"chat-france"},
        "openai": {"v1-chat-france-stream"},
        "openai-responses": {"v1-responses-france-stream"},
        "anthropic": {"v1-messages-france-stream"},
    }
    assert cell(store, "openai/no-proxy-lower@[::1]").recording.name == "v1-chat-france-stream"


@pytest.mark.parametrize("one", [one for one in clients().values() if one.contract.reads_through])
def test_a_client_that_reads_settings_through_another_says_the_same_variables(one: Client) -> None:
    other = clients()[one.contract.reads_through].contract
    assert (other.variables, other.reads_through) == (one.contract.variables, "")


def run(runner: Runner, *ids: str, store: RecordingStore) -> list[CellRun]:
    """Run cells, in this order; those of one environment share a process."""
    cells, runs = [cell(store, one) for one in ids], dict[str, CellRun]()
    runner.run(cells, lambda one: runs.update({one.cell.id: one}))
    return [runs[one.id] for one in cells]


def test_the_report_of_issue_9549_is_reproduced(runner: Runner, store: RecordingStore) -> None:
    names = ("requests", "httpx", "ollama")
    ids = [f"{name}/issue-9549@{host}" for name in names for host in ("localhost", "127.0.0.1")]
    *direct, _, _, _, _ = runs = run(runner, *ids, store=store)
    assert [(result(one).route, one.judgement.verdict) for one in direct] == [("direct", Verdict.PASS)] * 2
    for one in runs[2:]:
        assert (result(one).route, one.judgement.verdict) == ("proxied", Verdict.MISROUTED)
        assert isinstance(one.decisive.outcome.ending, Raised)
        assert "502" in one.decisive.outcome.ending.message


def test_the_route_to_a_missing_proxy_is_known_from_the_connection_attempt(
    runner: Runner, store: RecordingStore
) -> None:
    (one,) = run(runner, "httpx/proxy-gone@localhost", store=store)
    assert result(one).route == "proxied"
    assert not one.decisive.entries


def test_a_client_that_cannot_be_made_for_what_does_not_concern_it_has_crashed(
    runner: Runner, store: RecordingStore
) -> None:
    (one,) = run(runner, "ollama/socks-for-https@127.0.0.1", store=store)
    assert (result(one).route, one.judgement.verdict) == ("nowhere", Verdict.CRASH)


def test_a_proxy_that_forwards_hands_out_the_whole_answer(runner: Runner, store: RecordingStore) -> None:
    (one,) = run(runner, "requests/proxy-forwards@127.0.0.1", store=store)
    assert (result(one).route, one.judgement.verdict) == ("proxied", Verdict.PASS)
    assert len(one.decisive.outcome.yielded) == len(one.decisive.reference.records) > 1


def test_a_library_reads_settings_for_each_request_or_when_it_is_made(runner: Runner, store: RecordingStore) -> None:
    ids = [f"{name}/excluded-later@127.0.0.1" for name in ("requests", "httpx")]
    lines = [result(one) for one in run(runner, *ids, store=store)]
    assert [line.route for line in lines] == ["direct", "proxied"]


def test_settings_of_this_machine_decide_nothing(
    runner: Runner, store: RecordingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "NO_PROXY", "no_proxy", "OLLAMA_HOST", "REQUEST_METHOD"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    (one,) = run(runner, "ollama/nothing-set@127.0.0.1", store=store)
    assert (result(one).route, one.judgement.verdict) == ("direct", Verdict.PASS)


def test_a_client_that_ends_without_having_asked_anybody_is_inconclusive(
    runner: Runner, store: RecordingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ollama_harness.oracle.verdict import Finished

    monkeypatch.setattr(WorkerProcess, "exchange", lambda *_, **__: ClientReport((), Finished()))
    (one,) = run(runner, "requests/nothing-set", store=store)
    assert one.judgement.verdict is Verdict.INCONCLUSIVE


def test_a_machine_without_ipv6_is_reported(store: RecordingStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ollama_harness.matrix.routed_exchange.has_ipv6", lambda: False)
    one = cell(store, "requests/nothing-set/0.32.15/generate-cold")
    assert impossible(dataclasses.replace(one, host="[::1]")) == "this machine has no ::1"
    assert impossible(dataclasses.replace(one, host="127.0.0.1")) is None


real_registry = pytest.mark.skipif(
    sys.platform != "win32" or not may_touch(asked=False), reason="no registry here that may be touched"
)


def ways(cells: list[Cell], runner: Runner) -> dict[str, tuple[str | None, str]]:
    runs: list[CellRun] = []
    runner.run(cells, runs.append)
    return {one.cell: (one.route, one.verdict) for one in map(result, runs)}


def read_by_the_libraries() -> dict[str, object]:
    """What the libraries' own code makes of the registry, for each form of URL."""
    found: dict[str, object] = {"proxies": urllib.request.getproxies()}
    for host in HOSTS:
        url = f"http://{host}:11434/"
        found[f"urllib {host}"] = bool(urllib.request.proxy_bypass(f"{host}:11434"))
        found[f"requests {host}"] = requests.utils.get_environ_proxies(url)
    return found


@real_registry
@pytest.mark.parametrize("name", [name for name, one in ENVIRONMENTS.items() if one.system is System.WINDOWS])
def test_libraries_read_the_same_from_the_simulated_and_the_real_registry(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in [each for each in os.environ if each.upper().endswith("_PROXY")]:
        monkeypatch.delenv(variable)
    registry = environment(name).settings().registry
    assert registry is not None
    with changed(registry):
        really = read_by_the_libraries()
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, "winreg", simulation.winreg(registry))
        assert read_by_the_libraries() == really


@real_registry
@pytest.mark.parametrize("name", ["issue-9549", "registry-local", "registry-no-override", "registry-and-no-proxy"])
def test_the_simulated_and_the_real_registry_give_the_same_cells(name: str, store: RecordingStore) -> None:
    cells = plan(store, client_names=["httpx", "requests", "urllib"], scenario_names=[name])
    with Runner(jobs=1) as standing_in, Runner(jobs=1, touch_registry=True) as touching:
        assert ways(cells, standing_in) == ways(cells, touching)


@real_registry
def test_a_registry_full_of_proxies_has_no_effect_outside_its_environments(store: RecordingStore) -> None:
    cells = plan(store, client_names=["requests"], scenario_names=["nothing-set"])
    with Runner(jobs=4) as runner:
        before = ways(cells, runner)
        with changed(Registry(enable=1, server="127.0.0.1:9", override=None)):
            assert ways(cells, runner) == before
