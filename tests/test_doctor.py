"""The doctor: its reports on broken set-ups of every kind, and that it sends nothing that it must not send."""

from __future__ import annotations

import io
import json
import shlex
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from ollama_harness.cli import main
from ollama_harness.cli.reports.diagnosis import render, to_json
from ollama_harness.clients import client
from ollama_harness.clients.installed import brought
from ollama_harness.doctor import machine
from ollama_harness.doctor._server_check import ServerKind, ask
from ollama_harness.doctor.asking import Asker
from ollama_harness.doctor.demonstration import demonstrate
from ollama_harness.doctor.diagnosis import Diagnosis, diagnose
from ollama_harness.errors import HarnessError
from ollama_harness.network.environments import clean_environment, environment
from ollama_harness.network.settings import Registry, Settings, System
from ollama_harness.server.fake_ollama import FakeOllama
from ollama_harness.server.proxy import MODES, FakeProxy

pytestmark = pytest.mark.same_on_each_python

#: A process of urllib alone starts quickest. Where the libraries differ, all of them are asked.
QUICK = ("urllib",)
HOME = Path(__file__).parent / "no-such-folder"
USUAL = ("httpx", "httpx-async", "ollama", "ollama-async", "requests", "urllib")


@pytest.fixture(scope="module")
def ollama() -> Iterator[FakeOllama]:
    with FakeOllama() as server:
        server.load()  # the doctor waits for 3 s, and reading all recordings may take longer on a slow disk
        yield server


@pytest.fixture
def proxy() -> Iterator[FakeProxy]:
    with FakeProxy(does=MODES["refuses"]) as server:
        yield server


def examine(
    url: str | None, *, clients: tuple[str, ...] = QUICK, through_proxy: bool = False, **variables: str
) -> Diagnosis:
    return of_settings(Settings(system=System.POSIX, variables=variables), url, clients, through_proxy=through_proxy)


def of_settings(
    settings: Settings, url: str | None, clients: tuple[str, ...] = QUICK, *, through_proxy: bool = False, **more: Any
) -> Diagnosis:
    asker = Asker(clients=[client(name) for name in clients], variables=clean_environment(HOME, {}))
    return diagnose(settings, asker, url=url, through_proxy=through_proxy, **more)


def demonstrated(name: str, clients: tuple[str, ...] = USUAL) -> Diagnosis:
    return demonstrate(environment(name), [client(each) for each in clients])


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
    assert diagnosis.fixes == ()
    assert diagnosis.answers[0].says == "0.32.15"


def test_ollama_host_is_the_server_unless_a_host_is_given(ollama: FakeOllama) -> None:
    assert examine(None, OLLAMA_HOST=f"127.0.0.1:{ollama.port}").exit_code == 0
    assert examine(ollama.url, OLLAMA_HOST="127.0.0.1:9").exit_code == 0
    assert examine(None, OLLAMA_HOST=f"0.0.0.0:{ollama.port}").server_listens_on == f"0.0.0.0:{ollama.port}"


def test_an_invalid_url_is_one_sentence() -> None:
    for text in ("http://x:y", "ftp://h", "http://", " ", "http://a b", "http://user:s3cret@h:x"):
        with pytest.raises(HarnessError, match="which is not an address") as raised:
            examine(text)
        assert "s3cret" not in str(raised.value)


def test_an_ollama_host_that_python_cannot_read_is_found_and_fixed(ollama: FakeOllama) -> None:
    diagnosis = examine(ollama.url, clients=("ollama", "urllib"), OLLAMA_HOST='"127.0.0.1:11434"')
    assert "bad-ollama-host" in codes(diagnosis)
    assert diagnosis.exit_code == 1
    first = next(one for one in diagnosis.fixes if "OLLAMA_HOST=" in one.lines.get("sh", ""))
    assert first.lines["sh"] == f"export OLLAMA_HOST={ollama.url}"
    assert first.helps == ("ollama", "urllib")
    assert diagnosis.routes[0].causes == ("OLLAMA_HOST",)


@pytest.mark.parametrize(
    "proxy", ["http://127.0.0.1:99999", "http://127.0.0.1:9:9", "http://[::1", "http://bad..name:80"]
)
def test_a_proxy_that_is_no_address_is_no_traceback(ollama: FakeOllama, proxy: str) -> None:
    diagnosis = examine(ollama.url, clients=("urllib", "requests"), HTTP_PROXY=proxy, through_proxy=True)
    assert diagnosis.exit_code in (1, 3)


def test_a_name_that_cannot_be_a_name_is_no_traceback() -> None:
    assert "no-such-host" in codes(examine(f"http://{'x' * 70}.test:1"))
    assert "no-such-host" in codes(examine("http://bad..name:1"))


def test_a_server_that_is_not_running() -> None:
    diagnosis = examine(f"http://127.0.0.1:{closed_port()}")
    assert diagnosis.exit_code == 1
    assert codes(diagnosis) == {"not-running"}


def test_a_server_that_listens_elsewhere_on_this_machine(ollama: FakeOllama) -> None:
    diagnosis = examine(f"http://[::1]:{ollama.port}")
    if diagnosis.answers[0].kind is ServerKind.UNREACHABLE:
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


def test_a_silent_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ollama_harness.doctor._server_check.PATIENCE_S", 0.05)
    with FakeProxy(does=MODES["hang"]) as other:
        diagnosis = examine(other.url)
    assert codes(diagnosis) == {"silent"}


def test_a_name_without_an_address() -> None:
    diagnosis = of_settings(Settings(system=System.POSIX), "http://nowhere.test", resolve=lambda _: ())
    assert codes(diagnosis) == {"no-such-host"}
    assert diagnosis.exit_code == 1


def test_a_proxy_here_is_asked_only_for_a_server_here(ollama: FakeOllama, proxy: FakeProxy) -> None:
    elsewhere = {"HTTP_PROXY": proxy.url}
    settings = Settings(system=System.POSIX, variables=elsewhere)
    diagnosis = of_settings(settings, "http://nowhere.test", resolve=lambda _: ())
    assert proxy.journal.entries == ()
    assert diagnosis.exit_code == 3, "nobody can tell"
    diagnosis = examine(ollama.url, **elsewhere)
    assert [entry.request_line for entry in proxy.journal.entries] == [f"GET {ollama.url}/api/version HTTP/1.1"]
    assert diagnosis.exit_code == 1
    assert "502 Bad Gateway" in diagnosis.routes[0].why


def test_clients_arrive_through_a_proxy_that_forwards(ollama: FakeOllama) -> None:
    with FakeProxy(does=MODES["forwards"]) as forwarding:
        assert examine(ollama.url, HTTP_PROXY=forwarding.url, through_proxy=True).exit_code == 0


def test_a_proxy_that_is_gone_is_known_without_sending_anything(ollama: FakeOllama) -> None:
    diagnosis = examine(ollama.url, HTTP_PROXY=f"http://127.0.0.1:{closed_port()}")
    assert "dead-proxy" in codes(diagnosis)
    assert diagnosis.exit_code == 1


def test_passwords_are_never_shown(ollama: FakeOllama, proxy: FakeProxy) -> None:
    settings = Settings(
        system=System.WINDOWS,
        variables={"HTTP_PROXY": f"http://me:s3cret@{proxy.address}", "OLLAMA_HOST": "http://me:s3cret@127.0.0.1:9"},
        registry=Registry(enable=1, server="http://me:s3cret@p:1", pac_url="http://me:s3cret@p/x.pac"),
    )
    for url in (ollama.url, None):
        diagnosis = of_settings(settings, url, through_proxy=True)
        assert "credentials" in codes(diagnosis)
        screen = Console(file=io.StringIO(), width=200)
        screen.print(render(diagnosis))
        assert "s3cret" not in screen.file.getvalue() + json.dumps(to_json(diagnosis))


def test_a_proxy_that_wants_its_password_may_let_others_through(ollama: FakeOllama) -> None:
    with FakeProxy(does=MODES["html-407"]) as asking:
        variables = {"HTTP_PROXY": f"http://me:s3cret@{asking.address}"}
        assert examine(ollama.url, through_proxy=True, **variables).exit_code == 3


def test_a_proxy_script_is_reported_as_unread() -> None:
    assert "pac" in codes(demonstrated("registry-pac", QUICK))


def test_another_program_on_the_first_address() -> None:
    diagnosis = demonstrated("other-program-on-ipv6", QUICK)
    if len(diagnosis.answers) < 2 or diagnosis.answers[0].kind is not ServerKind.OTHER:
        pytest.skip("this machine has no ::1")
    assert codes(diagnosis) == {"other-program"}


@pytest.mark.parametrize("name", ["issue-9549", "no-proxy-ipv6-brackets"])
def test_the_first_fix_lets_every_client_arrive(name: str) -> None:
    diagnosis = demonstrated(name)
    assert diagnosis.exit_code == 1
    assert set(diagnosis.fixes[0].helps) == set(USUAL)
    assert json.loads(json.dumps(to_json(diagnosis)))["exit_code"] == diagnosis.exit_code


def test_a_line_that_is_offered_keeps_what_was_excluded_before(ollama: FakeOllama, proxy: FakeProxy) -> None:
    diagnosis = examine(ollama.url, HTTP_PROXY=proxy.url, NO_PROXY="intranet.example, 10.0.0.0/8")
    line = next(one.lines["sh"] for one in diagnosis.fixes if "exclude" in one.change.title)
    assert line.startswith("export NO_PROXY=intranet.example,10.0.0.0/8,localhost,127.0.0.1,::1 no_proxy=")


def test_a_line_can_be_typed_whatever_was_excluded_before(ollama: FakeOllama, proxy: FakeProxy) -> None:
    diagnosis = examine(ollama.url, HTTP_PROXY=proxy.url, NO_PROXY="<local>;127.*,[::1],o'brien.example,a b")
    lines = next(one.lines for one in diagnosis.fixes if "exclude" in one.change.title)
    new = "<local>,127.*,::1,a,b,localhost,127.0.0.1"
    assert shlex.split(lines["sh"])[1] == f"NO_PROXY={new}"
    assert lines["cmd"] == f'set "NO_PROXY={new}"'
    assert lines["PowerShell"] == f"$env:NO_PROXY = '{new}'"


def test_an_entry_that_no_client_reads_is_named_as_the_cause(ollama: FakeOllama, proxy: FakeProxy) -> None:
    url = ollama.url
    diagnosis = examine(url, HTTP_PROXY=proxy.url, NO_PROXY="localhost;127.0.0.1", no_proxy="127.0.0.*")
    causes = [one.text.split(",")[0] for one in diagnosis.findings if one.code == "unread-no-proxy"]
    assert causes == ["no_proxy holds 127.0.0.*", "NO_PROXY holds localhost;127.0.0.1"]
    assert "unread-no-proxy" not in codes(examine(url, HTTP_PROXY=proxy.url, NO_PROXY="127.0.0.1,localhost;a"))


def test_an_ollama_host_that_programs_read_differently_is_named_with_the_line_for_all(ollama: FakeOllama) -> None:
    diagnosis = examine(None, OLLAMA_HOST=f"0.0.0.0:{ollama.port}")
    said = {one.code: one.text for one in diagnosis.findings}
    assert "a place to listen" in said["ollama-host-everywhere"]
    assert f"ollama (Python): http://0.0.0.0:{ollama.port}; ollama (JavaScript)" in said["ollama-host-readings"]
    assert said["ollama-host-line"] == (
        f"OLLAMA_HOST=http://127.0.0.1:{ollama.port} is read alike by all clients, "
        f"and OLLAMA_HOST=0.0.0.0:{ollama.port} is for ollama serve alone"
    )
    meant = examine(None, clients=("urllib",), OLLAMA_HOST=f"'127.0.0.1:{ollama.port}'")
    assert (meant.url, codes(meant) >= {"answers", "ollama-host-quotes"}) == (ollama.url, True)


@pytest.mark.parametrize(
    ("mode", "no_proxy", "clients"),
    [
        ("refuses", "", USUAL),
        ("forwards", "", QUICK),
        ("hang", "localhost,127.0.0.1", QUICK),
        ("refuses", "127.*", QUICK),
    ],
)
def test_the_headline_the_list_the_exit_code_and_json_say_the_same(
    ollama: FakeOllama, mode: str, no_proxy: str, clients: tuple[str, ...]
) -> None:
    with FakeProxy(does=MODES[mode]) as between:
        diagnosis = examine(ollama.url, clients=clients, HTTP_PROXY=between.url, NO_PROXY=no_proxy)
    found = to_json(diagnosis)
    arrive = all(one["arrives"] for one in found["clients"])
    assert (found["schema"], found["version"]) == ("ollama-harness doctor", 1)
    assert arrive == (found["exit_code"] == 0) == (found["headline"] == "all clients reach it")
    assert any(one["bad"] for one in found["findings"]) == (found["exit_code"] == 1)
    assert arrive or between.url in found["headline"]
    screen = Console(file=io.StringIO(), width=60)
    screen.print(render(diagnosis), crop=False)
    assert isinstance(screen.file, io.StringIO)
    lines = screen.file.getvalue().splitlines()
    assert [line for line in lines if line != line.rstrip()] == []
    assert found["headline"] in " ".join(line.strip() for line in lines)


def test_a_long_line_is_printed_whole(capsys: pytest.CaptureFixture[str], ollama: FakeOllama, proxy: FakeProxy) -> None:
    hosts = ",".join(f"host{number}.intranet.example" for number in range(20))
    diagnosis = examine(ollama.url, HTTP_PROXY=proxy.url, NO_PROXY=hosts)
    screen = Console(file=io.StringIO(), width=80)
    screen.print(render(diagnosis), crop=False)
    assert f"export NO_PROXY={hosts},localhost,127.0.0.1,::1 no_proxy={hosts}," in screen.file.getvalue()


def test_trust_env_is_not_offered_where_the_import_fails(ollama: FakeOllama) -> None:
    diagnosis = examine(ollama.url, clients=("httpx", "ollama"), ALL_PROXY="socks://127.0.0.1:9")
    (one,) = [fix for fix in diagnosis.fixes if "ignore" in fix.change.title]
    assert one.helps == ("httpx",)
    assert one.lines["Python"] == "httpx.Client(trust_env=False)"


def test_no_fix_is_offered_if_all_arrive_or_the_proxy_is_required(ollama: FakeOllama) -> None:
    with FakeProxy(does=MODES["forwards"]) as forwarding:
        assert examine(ollama.url, HTTP_PROXY=forwarding.url, through_proxy=True).fixes == ()
    settings = Settings(system=System.POSIX, variables={"HTTP_PROXY": "http://127.0.0.1:9"})
    assert of_settings(settings, "http://elsewhere.test", resolve=lambda _: ()).fixes == ()


def test_an_environment_stays_on_this_machine() -> None:
    with pytest.raises(HarnessError, match="there is no form of URL"):
        demonstrate(environment("nothing-set"), [], host="some.invalid")
    with pytest.raises(HarnessError, match="Ollama's own port"):
        demonstrate(environment("ollama-host-unset"), [])
    with pytest.raises(HarnessError, match="depends on the code of a program"):
        demonstrate(environment("registry-ignored"), [])


def test_the_machines_own_settings_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("PATH_TO_PROXY", "no such thing")
    found = machine.settings()
    assert found.system is System.here()
    assert found.variable("HTTP_PROXY") == "http://127.0.0.1:1"
    assert found.variable("PATH_TO_PROXY") == "no such thing"  # Python takes it for the proxy of a scheme "path_to"
    assert "HTTP_PROXY" not in machine.other_variables()
    assert set(USUAL) <= {one.name for one in brought()}


def test_an_ipv6_address_is_asked_in_brackets(ollama: FakeOllama) -> None:
    answer = ask(ollama.url, "127.0.0.1")
    assert answer.place == f"127.0.0.1:{ollama.port}"
    assert answer.kind is ServerKind.OLLAMA


def command(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        main(["doctor", *arguments])
    return int(ended.value.code or 0), capsys.readouterr().out


def test_the_command_prints_the_line_that_fixes_it(capsys: pytest.CaptureFixture[str]) -> None:
    code, text = command(capsys, "--environment", "issue-9549")
    assert code == 1
    assert "set NO_PROXY=localhost,127.0.0.1,::1" in text
    assert "ProxyOverride of Windows and the exceptions of macOS are never read" in " ".join(text.split())
    assert "requests" in text


def test_the_command_speaks_json(capsys: pytest.CaptureFixture[str], ollama: FakeOllama, clean: None) -> None:
    code, text = command(capsys, "--host", ollama.url, "--client", "urllib", "--json")
    assert (code, json.loads(text)["exit_code"]) == (0, 0)


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy of the machine that the tests run on."""
    found: dict[str, Any] = dict(machine.settings().variables)
    for name in found:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NO_PROXY", "*")
