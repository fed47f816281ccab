"""The pytest plugin: two fixtures for the tests of any program that uses Ollama.

The report of a failing test shows what the servers of its fixtures were asked, what answered, and why.

def test_my_program_notices_a_cut(fake_ollama):
    fake_ollama.play("chat-stream", close_at(after_record(3)))
    ...

def test_my_program_does_not_ask_the_proxy_for_this_machine(fake_ollama, fake_proxy):
    ...
    assert not fake_proxy.journal.entries
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ollama_harness.server.fake_ollama import FakeOllama
    from ollama_harness.server.proxy import FakeProxy

__all__ = ["fake_ollama", "fake_proxy", "pytest_addoption"]

# Both spellings, because programs differ in which one they read first. On Windows the two are one variable.
_PROXIES = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy")
_ALL_PROXIES = ("ALL_PROXY", "all_proxy")
_EXCLUSIONS = ("NO_PROXY", "no_proxy")

#: How many lines of a journal a failing test shows.
_MOST_LINES = 30


_RECORDINGS = "ollama_recordings"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini(
        _RECORDINGS,
        "a folder with recordings or bytes of your own, which fake_ollama answers with before all others",
        default="",
    )


@pytest.fixture
def fake_ollama(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeOllama]:
    """A running FakeOllama of the newest recorded version, at full speed. `OLLAMA_HOST` points to it.

    The setting `ollama_recordings` of pytest names a folder of recordings that come before those of the package. It is
    relative to the file that has the setting.

    A test gives it other arguments of FakeOllama, such as `version` or `any_model`:
    `@pytest.mark.parametrize("fake_ollama", [{"version": "0.5.7"}], indirect=True)`.

    This machine is added to `NO_PROXY`, so that no system proxy comes between the test and the server.
    """
    # imported late, so that a user's coverage does not start after these imports
    from ollama_harness.matrix.served_scenario import ServedScenarios
    from ollama_harness.server.fake_ollama import FakeOllama

    setting: str = request.config.getini(_RECORDINGS)
    base = request.config.rootpath if request.config.inipath is None else request.config.inipath.parent
    own = base / setting if setting else None
    given = getattr(request, "param", {})
    arguments: dict[str, Any] = {"speed": 0, "recordings": own, "scenarios": ServedScenarios, **given}
    with FakeOllama(**arguments) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        for name, value in _excluding_this_machine(os.environ).items():
            monkeypatch.setenv(name, value)
        yield server
        server.check()


@pytest.fixture
def fake_proxy(
    request: pytest.FixtureRequest, fake_ollama: FakeOllama, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FakeProxy]:
    """A running FakeProxy between the test and `fake_ollama`, as on a machine with a system proxy.

    The proxy variables point to it, and `NO_PROXY` is removed. So a program goes through the proxy unless it excludes
    this machine itself. The proxy answers 502 Bad Gateway. To choose another of `ollama_harness.server.proxy.MODES`:
    `@pytest.mark.parametrize("fake_proxy", ["forwards"], indirect=True)`.
    """
    from ollama_harness.server.proxy import MODES, FakeProxy

    mode = getattr(request, "param", "refuses")
    with FakeProxy(does=MODES[mode], upstream=(fake_ollama.host, fake_ollama.port)) as proxy:
        for name in _PROXIES:
            monkeypatch.setenv(name, proxy.url)
        for name in (*_ALL_PROXIES, *_EXCLUSIONS):
            monkeypatch.delenv(name, raising=False)
        yield proxy


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add to the report of a failing test what the servers of its fixtures wrote in their journals."""
    report = yield
    if report.failed:
        for name, value in getattr(item, "funcargs", {}).items():
            if lines := _journal_lines(value):
                report.sections.append((f"requests to {name}", "\n".join(lines)))
    return report


def _journal_lines(fixture: object) -> list[str]:
    """The last lines of the journal, if this is a server of ours (then its module was imported)."""
    module = sys.modules.get("ollama_harness.server.journal")
    journal = getattr(fixture, "journal", None)
    if module is None or not isinstance(journal, module.Journal):
        return []
    entries = journal.entries
    left_out = [f"({len(entries) - _MOST_LINES} more before)"] if len(entries) > _MOST_LINES else []
    return [*left_out, *(entry.line for entry in entries[-_MOST_LINES:])]


def _excluding_this_machine(variables: Mapping[str, str]) -> dict[str, str]:
    """NO_PROXY in both spellings: each keeps what it excludes and excludes this machine as well."""
    values = {}
    for name in _EXCLUSIONS:
        value = variables.get(name) or next((variables[one] for one in _EXCLUSIONS if variables.get(one)), "")
        excluded = [entry.strip() for entry in value.split(",") if entry.strip()]
        if excluded != ["*"]:  # `*` means everything, but only where it stands alone: so nothing is added to it
            excluded += [one for one in ("127.0.0.1", "localhost") if one not in excluded]
        values[name] = ",".join(excluded)
    return values
