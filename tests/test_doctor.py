"""The doctor: what it says of set-ups that are broken in every way it knows, and that it sends nothing it must not."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.cli import main
from harness.doctor import machine
from harness.doctor.asking import Kind, ask
from harness.doctor.demonstration import demonstrate
from harness.doctor.diagnosis import Diagnosis, diagnose
from harness.environments import ENVIRONMENTS, Environment, environment
from harness.errors import HarnessError
from harness.listener import has_ipv6
from harness.proxy import MODES, FakeProxy
from harness.report.doctor import to_json
from harness.report.doctor_page import page
from harness.routing.predicted import CLIENTS
from harness.routing.settings import Settings, System
from harness.server import FakeOllama

VERSIONS = dict.fromkeys(CLIENTS, "1")


@pytest.fixture(scope="module")
def ollama() -> Iterator[FakeOllama]:
    with FakeOllama() as server:
        yield server


@pytest.fixture
def proxy() -> Iterator[FakeProxy]:
    with FakeProxy(does=MODES["refuses"]) as server:
        yield server


def examine(url: str | None, *, through_proxy: bool = False, **variables: str) -> Diagnosis:
    settings = Settings(system=System.POSIX, variables=variables)
    return diagnose(settings, VERSIONS, url=url, extras=frozenset(), through_proxy=through_proxy)


def codes(diagnosis: Diagnosis) -> set[str]:
    return {one.code for one in diagnosis.findings}


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def test_where_all_is_well_all_clients_reach_it(ollama: FakeOllama) -> None:
    diagnosis = examine(ollama.url)
    assert diagnosis.exit_code == 0
    assert codes(diagnosis) == {"answers"}
    assert diagnosis.mends == ()
    assert diagnosis.answers[0].says == "0.32.15"


def test_ollama_host_says_where_the_server_is_unless_a_host_is_given(ollama: FakeOllama) -> None:
    assert examine(None, OLLAMA_HOST=f"127.0.0.1:{ollama.port}").exit_code == 0
    assert examine(ollama.url, OLLAMA_HOST="127.0.0.1:9").exit_code == 0
    assert examine(None, OLLAMA_HOST=f"0.0.0.0:{ollama.port}").server_listens_on == f"0.0.0.0:{ollama.port}"


def test_a_url_that_is_none_is_one_sentence() -> None:
    with pytest.raises(HarnessError, match="OLLAMA_HOST is '::1', which is no address"):
        examine(None, OLLAMA_HOST="::1")
    with pytest.raises(HarnessError, match="--host is 'http://x:y', which is no address"):
        examine("http://x:y")


def test_a_server_that_is_not_running() -> None:
    diagnosis = examine(f"http://127.0.0.1:{closed_port()}")
    assert diagnosis.exit_code == 1
    assert codes(diagnosis) == {"not-running"}


def test_a_server_that_listens_elsewhere_on_this_machine(ollama: FakeOllama) -> None:
    diagnosis = examine(f"http://[::1]:{ollama.port}")
    if diagnosis.answers[0].kind is Kind.UNREACHABLE:
        pytest.skip("this machine has no ::1")
    assert codes(diagnosis) == {"bound-elsewhere"}
    assert f"127.0.0.1:{ollama.port}" in diagnosis.findings[0].text


@pytest.mark.parametrize(
    ("mode", "code"),
    [
        ("refuses", "server-error"),
        ("html-403", "no-ollama"),
        ("captive-portal-200", "no-ollama"),
        ("empty", "no-ollama"),
    ],
)
def test_what_answers_in_the_servers_place(mode: str, code: str) -> None:
    with FakeProxy(does=MODES[mode]) as other:
        diagnosis = examine(other.url)
    assert diagnosis.exit_code == 1
    assert codes(diagnosis) == {code}


def test_a_server_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.doctor.asking.PATIENCE_S", 0.05)
    with FakeProxy(does=MODES["hang"]) as other:
        diagnosis = examine(other.url)
    assert codes(diagnosis) == {"silent"}


def test_a_name_that_nobody_has(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(system=System.POSIX)
    diagnosis = diagnose(
        settings, VERSIONS, url="http://nowhere.test", extras=frozenset(), through_proxy=False, resolve=lambda _: ()
    )
    assert codes(diagnosis) == {"no-such-host"}
    assert diagnosis.exit_code == 1


def test_a_proxy_is_sent_nothing_unless_that_is_asked_for(ollama: FakeOllama, proxy: FakeProxy) -> None:
    diagnosis = examine(ollama.url, HTTP_PROXY=proxy.url)
    assert proxy.journal.entries == ()
    assert diagnosis.exit_code == 3, "nobody can tell"
    diagnosis = examine(ollama.url, HTTP_PROXY=proxy.url, through_proxy=True)
    assert [entry.request_line for entry in proxy.journal.entries] == [f"GET {ollama.url}/api/version HTTP/1.1"]
    assert diagnosis.exit_code == 1
    assert "502 Bad Gateway" in diagnosis.prognoses[0].why


def test_a_proxy_that_forwards_is_a_way(ollama: FakeOllama) -> None:
    with FakeProxy(does=MODES["forwards"]) as forwarding:
        assert examine(ollama.url, HTTP_PROXY=forwarding.url, through_proxy=True).exit_code == 0


def test_a_proxy_that_is_gone_is_known_without_sending_anything(ollama: FakeOllama) -> None:
    diagnosis = examine(ollama.url, HTTP_PROXY=f"http://127.0.0.1:{closed_port()}")
    assert "dead-proxy" in codes(diagnosis)
    assert diagnosis.exit_code == 1


def test_passwords_are_never_shown(ollama: FakeOllama, proxy: FakeProxy) -> None:
    diagnosis = examine(ollama.url, HTTP_PROXY=f"http://me:s3cret@{proxy.address}", OLLAMA_HOST="http://me:t0psecret@h")
    assert "credentials" in codes(diagnosis)
    shown = json.dumps(to_json(diagnosis))
    assert "s3cret" not in shown
    assert "t0psecret" not in shown


def test_a_proxy_script_is_named_and_said_to_be_unread() -> None:
    assert "pac" in codes(demonstrate(environment("registry-pac")))


def test_another_program_on_the_first_address() -> None:
    diagnosis = demonstrate(environment("other-program-on-ipv6"))
    if len(diagnosis.answers) < 2 or diagnosis.answers[0].kind is not Kind.OTHER:
        pytest.skip("this machine has no ::1")
    assert codes(diagnosis) == {"other-program"}


@pytest.mark.parametrize("name", ["issue-9549", "gnome-desktop", "no-proxy-network", "mac-excluded"])
def test_what_is_offered_first_gets_every_client_there(name: str) -> None:
    diagnosis = demonstrate(environment(name))
    assert diagnosis.exit_code == 1 or name == "no-proxy-network"
    assert set(diagnosis.mends[0].helps) == {one.client for one in diagnosis.prognoses}


def test_a_line_that_is_offered_keeps_what_was_excluded_before(ollama: FakeOllama, proxy: FakeProxy) -> None:
    diagnosis = examine(ollama.url, HTTP_PROXY=proxy.url, NO_PROXY="intranet.example, 10.0.0.0/8")
    line = next(one.lines["sh"] for one in diagnosis.mends if "exclude" in one.title)
    assert line.startswith("export NO_PROXY=intranet.example,10.0.0.0/8,localhost,127.0.0.1,::1 no_proxy=")


@pytest.mark.parametrize("one", [one for one in ENVIRONMENTS.values() if one.story], ids=lambda one: one.name)
def test_every_environment_of_the_story_has_a_diagnosis_and_it_is_json(one: Environment) -> None:
    diagnosis = demonstrate(one)
    assert json.loads(json.dumps(to_json(diagnosis)))["exit_code"] == diagnosis.exit_code
    assert {prognosis.client for prognosis in diagnosis.prognoses} == set(CLIENTS)


def test_the_machines_own_settings_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("PATH_TO_PROXY", "no such thing")
    found = machine.settings()
    assert found.system is System.here()
    assert found.variable("HTTP_PROXY") == "http://127.0.0.1:1"
    assert found.variable("PATH_TO_PROXY") == "no such thing"  # Python takes it for the proxy of a scheme "path_to"
    assert set(machine.installed()) == set(CLIENTS)


def test_the_page_is_current() -> None:
    if not has_ipv6():
        pytest.skip("this machine has no ::1")
    message = "write it anew: python -m harness.report.doctor_page docs/doctor.md"
    assert (Path(__file__).parent.parent / "docs" / "doctor.md").read_text("utf-8") == page(), message


def test_an_ipv6_address_is_asked_in_brackets(ollama: FakeOllama) -> None:
    answer = ask(ollama.url, "127.0.0.1")
    assert answer.place == f"127.0.0.1:{ollama.port}"
    assert answer.kind is Kind.OLLAMA


def command(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        main(["doctor", *arguments])
    return int(ended.value.code or 0), capsys.readouterr().out


def test_the_command_says_the_mending_line(capsys: pytest.CaptureFixture[str]) -> None:
    code, text = command(capsys, "--environment", "issue-9549")
    assert code == 1
    assert "set NO_PROXY=localhost,127.0.0.1,::1" in text
    assert "never reads ProxyOverride" in text
    assert "requests" in text


def test_the_command_speaks_json(capsys: pytest.CaptureFixture[str], ollama: FakeOllama, clean: None) -> None:
    code, text = command(capsys, "--host", ollama.url, "--json")
    assert (code, json.loads(text)["exit_code"]) == (0, 0)


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy of the machine that the tests run on."""
    found: dict[str, Any] = dict(machine.settings().variables)
    for name in found:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NO_PROXY", "*")
