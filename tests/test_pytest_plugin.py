"""The pytest plugin, in a project that is not this one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping

import pytest

from ollama_harness.pytest_plugin import _excluding_this_machine

pytestmark = pytest.mark.same_on_each_python

PROJECT = {
    "test_faults.py": """
import httpx, ollama, pytest
from ollama_harness.faults import after_record, close_at

def test_whole(fake_ollama):
    parts = list(ollama.Client().generate("smollm2:135m", "Why?", stream=True))
    assert parts[-1].done

def test_cut(fake_ollama):
    fake_ollama.play("generate-stream", close_at(after_record(3)))
    with pytest.raises(httpx.RemoteProtocolError):
        list(ollama.Client().generate("any", "Why?", stream=True))
    assert fake_ollama.journal.entries[0].answered_by == "0.32.15/generate-stream"
""",
    "test_arguments.py": """
import ollama, pytest

@pytest.mark.parametrize("fake_ollama", [{"version": "0.5.7"}], indirect=True)
def test_version(fake_ollama):
    assert ollama.Client().show("smollm2:135m").capabilities is None

def test_newest(fake_ollama):
    assert ollama.Client().show("smollm2:135m").capabilities == ["completion"]

@pytest.mark.parametrize("fake_ollama", [{"models": ["qwen3=tools"]}], indirect=True)
def test_models(fake_ollama):
    assert "tools" in ollama.Client().show("qwen3").capabilities

@pytest.mark.parametrize("fake_ollama", [{"version": "0.5.8"}], indirect=True)
def test_wrong(fake_ollama):
    pass
""",
    "my_app.py": """
import os, httpx, ollama, requests

def asks(trust_env):
    with httpx.Client(trust_env=trust_env) as client:
        return client.get(os.environ["OLLAMA_HOST"] + "/api/version").status_code
""",
    "test_my_app.py": """
import ollama, pytest, requests
import my_app

def test_protected(fake_ollama, fake_proxy):
    assert my_app.asks(trust_env=False) == 200
    assert not fake_proxy.journal.entries

def test_unprotected(fake_ollama, fake_proxy):
    my_app.asks(trust_env=True)
    assert not fake_proxy.journal.entries

def test_other_libraries_would_ask_it_too(fake_proxy, fake_ollama):
    with pytest.raises(ollama.ResponseError):
        ollama.Client().list()
    assert requests.get(fake_ollama.url + "/api/version").status_code == 502
    assert len(fake_proxy.journal.entries) == 2

@pytest.mark.parametrize("fake_proxy", ["forwards"], indirect=True)
def test_a_proxy_may_do_something_else(fake_proxy):
    assert my_app.asks(trust_env=True) == 200
    assert len(fake_proxy.journal.entries) == 1
""",
    "test_report.py": """
import httpx, pytest
from ollama_harness import FakeOllama

@pytest.fixture
def old():
    with FakeOllama(version="0.5.7") as server:
        yield server

def test_fails(fake_ollama, old):
    for server in (fake_ollama, old):
        assert httpx.post(server.url + "/api/chat", json={"model": "llama3"}).status_code == 404
    for _ in range(31):
        httpx.get(old.url + "/no")
    assert False

def test_is_broken_off(fake_ollama):
    fake_ollama.expect_ordered_request("/first").respond_with_data("1")
    httpx.get(fake_ollama.url + "/second")

def test_passes(fake_ollama):
    httpx.get(fake_ollama.url + "/passes")
""",
}


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What pytest prints about the project, in a process of its own: the plugin must work as installed, without this
    project's conftest, and whatever the machine excludes from its proxies.
    """
    project = tmp_path_factory.mktemp("project")
    for name, text in PROJECT.items():
        (project / name).write_text(text, "utf-8")
    settings = {"NO_PROXY": "127.0.0.1,localhost", "ALL_PROXY": "http://127.0.0.1:9"}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-rA", "-p", "no:cacheprovider"],
        cwd=project,
        env=kept | settings,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    return done.stdout + done.stderr


def outcomes(reported: str, file: str) -> dict[str, str]:
    """The outcome of each test of a file."""
    return {name: word for word, name in re.findall(rf"^([A-Z]+) {file}\.py::([\w\[\]-]+)", reported, re.MULTILINE)}


def test_the_fixture_plays_faults_to_the_users_own_program(reported: str) -> None:
    assert outcomes(reported, "test_faults") == {"test_whole": "PASSED", "test_cut": "PASSED"}


def test_a_test_gives_the_fixture_its_arguments(reported: str) -> None:
    assert outcomes(reported, "test_arguments") == {
        "test_version[fake_ollama0]": "PASSED",
        "test_newest": "PASSED",
        "test_models[fake_ollama0]": "PASSED",
        "test_wrong[fake_ollama0]": "ERROR",
    }
    assert "there is no recorded Ollama version called '0.5.8'" in reported


def test_the_proxy_finds_out_a_program_that_asks_it_and_no_other(reported: str) -> None:
    """Whatever the machine excludes, in whichever order the fixtures are named."""
    assert outcomes(reported, "test_my_app") == {
        "test_protected": "PASSED",
        "test_unprotected": "FAILED",
        "test_other_libraries_would_ask_it_too": "PASSED",
        "test_a_proxy_may_do_something_else[forwards]": "PASSED",
    }


def test_the_report_of_a_failing_test_shows_what_was_asked_and_what_answered(reported: str) -> None:
    assert outcomes(reported, "test_report") == {
        "test_fails": "FAILED",
        "test_is_broken_off": "ERROR",
        "test_passes": "PASSED",
    }
    pytest.LineMatcher(reported.splitlines()).fnmatch_lines(
        [
            "*_ ERROR at teardown of test_is_broken_off _*",
            "*- requests to fake_ollama -*",
            "??:??:??  500  GET /second  expectation",
            "*_ test_fails _*",
            "*- requests to fake_ollama -*",
            "??:??:??  404  POST /api/chat  rule model-missing: model 'llama3' not found; there are *",
            "*- requests to old -*",
            "(2 more before)",
            "??:??:??  404  GET /no  rule route-not-found: there is no such route",
        ]
    )
    assert "GET /passes" not in reported


ADDED, KEPT = "127.0.0.1,localhost", "localhost,127.0.0.1"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"NO_PROXY": ADDED, "no_proxy": ADDED}),
        ({"NO_PROXY": "corp"}, {"NO_PROXY": f"corp,{ADDED}", "no_proxy": f"corp,{ADDED}"}),
        ({"no_proxy": "corp"}, {"NO_PROXY": f"corp,{ADDED}", "no_proxy": f"corp,{ADDED}"}),
        ({"NO_PROXY": "a", "no_proxy": "b"}, {"NO_PROXY": f"a,{ADDED}", "no_proxy": f"b,{ADDED}"}),
        (
            {"NO_PROXY": "", "no_proxy": "localhost, 127.0.0.1"},
            {"NO_PROXY": KEPT, "no_proxy": KEPT},
        ),
        ({"NO_PROXY": "*"}, {"NO_PROXY": "*", "no_proxy": "*"}),
    ],
)
def test_this_machine_is_added_to_what_is_excluded_already(before: Mapping[str, str], after: dict[str, str]) -> None:
    assert _excluding_this_machine(before) == after


def test_what_the_user_excludes_stays_excluded(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("NO_PROXY", "corp.example")
    request.getfixturevalue("fake_ollama")
    assert (os.environ["NO_PROXY"], os.environ["no_proxy"]) == (f"corp.example,{ADDED}", f"corp.example,{ADDED}")


def test_the_fixture_answers_with_recordings_of_the_project(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nollama_recordings = bytes")
    folder = pytester.mkdir("bytes")
    (folder / "generate-mine.ndjson").write_bytes(b'{"model":"m","response":"Mine.","done":true}\n')
    pytester.makepyfile(
        """
        import ollama

        def test_mine(fake_ollama):
            assert ollama.Client().generate("any", "Why?", stream=True).__next__().response == "Mine."
        """
    )
    outcome = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    outcome.assert_outcomes(passed=1)
