"""Clients are asked for their route: each real one says what it does, and sends nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from ollama_harness import clients as clients_room
from ollama_harness.clients import Client, add_command, add_file, client
from ollama_harness.clients.installed import brought
from ollama_harness.doctor.asking import AskedRoute, Asker, Question
from ollama_harness.matrix.cells import cell
from ollama_harness.matrix.runner import CellRun, Runner
from ollama_harness.network.environments import clean_environment, environment
from ollama_harness.network.route import Route
from ollama_harness.network.settings import Settings, System
from ollama_harness.recordings.store import RecordingStore
from ollama_harness.server.fake_ollama import FakeOllama
from ollama_harness.server.proxy import MODES, FakeProxy

pytestmark = pytest.mark.same_on_each_python

TARGET = "http://127.0.0.1:11434"

#: Clients that no release of this package knows: one of Python's sockets, which asks for a list of its own first, and
#: one whose connections no patch of `socket` sees, as those of a library in C.
ADDED = """
import _socket, http.client, json, urllib.request
from contextlib import suppress
from urllib.parse import urlsplit
from ollama_harness.clients import Client, Contract

def listing(job, session):
    with suppress(OSError):
        http.client.HTTPConnection("list.example", 80).request("GET", "/models.json")
    with urllib.request.urlopen(job.target) as answer:
        yield json.load(answer)

def in_c(job, session):
    proxy = urlsplit(urllib.request.getproxies().get("http", job.url))
    sock = _socket.socket()
    sock.connect((proxy.hostname, proxy.port))
    sock.send(f"GET {job.target} HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n".encode())
    if not sock.recv(1).startswith(b"H"):
        raise OSError("no answer")
    yield {}

CLIENTS = [Client(name=f.__name__.replace("_", "-"), contract=Contract(), exchange=f) for f in (listing, in_c)]
"""


def posix(**variables: str) -> Settings:
    return Settings(system=System.POSIX, variables=variables)


def asked(
    tmp_path: Path, clients: list[Client], *questions: Question, **variables: str
) -> list[Mapping[str, AskedRoute]]:
    return Asker(clients=clients, variables=clean_environment(tmp_path, variables)).ask(questions)


@pytest.fixture
def added(tmp_path: Path) -> Iterator[list[Client]]:
    before = dict(clients_room._own)
    file = tmp_path / "added_clients.py"
    file.write_text(ADDED, encoding="utf-8")
    adapter = Path(__file__).parent / "adapters" / "adapter.py"
    names = [*add_file(file), *add_command("added-command", [sys.executable, "-P", str(adapter)])]
    yield [client(name) for name in names]
    clients_room._own.clear()
    clients_room._own.update(before)
    clients_room.clients.cache_clear()


@pytest.mark.parametrize("name", ["mac-excluded", "no-proxy-network"])
def test_what_a_client_is_seen_to_do_is_what_it_does(
    name: str, runner: Runner, store: RecordingStore, tmp_path: Path
) -> None:
    runs = list[CellRun]()
    runner.run([cell(store, f"{one.name}/{name}@127.0.0.1") for one in brought()], runs.append)
    one = environment(name)
    asker = Asker(clients=brought(), variables=clean_environment(tmp_path, {}), names=one.names)
    (found,) = asker.ask([Question(settings=one.settings(), url=TARGET)])
    assert {name: each.route for name, each in found.items()} == {
        each.cell.client.name: each.decisive.route for each in runs
    }
    assert asker.versions.keys() == found.keys()


def test_a_client_that_is_asked_sends_nothing(tmp_path: Path) -> None:
    with FakeOllama() as server, FakeProxy(does=MODES["forwards"]) as proxy:
        questions = [
            Question(settings=posix(HTTP_PROXY=proxy.url), url=server.url),
            Question(settings=posix(HTTP_PROXY=proxy.url), url=server.url, trust_env=False),
            Question(settings=posix(), url="http://nowhere.invalid"),
        ]
        proxied, ignoring, named = asked(tmp_path, brought(), *questions)
        assert [server.journal.entries, proxy.journal.entries] == [(), ()]
    assert {(one.route, one.proxy and one.proxy.url, one.sent) for one in proxied.values()} == {
        (Route.PROXIED, proxy.url, "")
    }
    assert {one.route for one in (*ignoring.values(), *named.values())} == {Route.DIRECT}


def test_what_it_raises_names_the_proxy_of_the_user(tmp_path: Path) -> None:
    settings = posix(ALL_PROXY="socks://desktop.example:1080/")
    (found,) = asked(tmp_path, [client("httpx")], Question(settings=settings, url=TARGET))
    assert found["httpx"].route is Route.NOWHERE
    assert "socks://desktop.example:1080/" in found["httpx"].problem


def test_any_client_can_be_asked(added: list[Client], tmp_path: Path) -> None:
    with FakeOllama() as server:
        server.load()
        questions = [
            Question(settings=posix(http_proxy="http://proxy.example:8080"), url=server.url),
            Question(settings=posix(), url=server.url),
        ]
        proxied, direct = asked(tmp_path, added, *questions)
        heard = [entry.request_line for entry in server.journal.entries]
    assert {name: (one.route, one.proxy and one.proxy.setting) for name, one in proxied.items()} == dict.fromkeys(
        ("listing", "in-c", "added-command"), (Route.PROXIED, "http_proxy")
    )
    assert {name: (one.route, one.sent, one.answered) for name, one in direct.items()} == {
        "listing": (Route.DIRECT, "", None),
        "in-c": (Route.DIRECT, "GET /api/version", True),
        "added-command": (Route.DIRECT, "GET /api/version", True),
    }
    assert sorted(heard) == sorted([f"GET {server.url}/api/version HTTP/1.1", "GET /api/version HTTP/1.1"])


def test_a_client_with_sockets_of_its_own_is_direct_even_if_nothing_answers(
    added: list[Client], tmp_path: Path
) -> None:
    (found,) = asked(tmp_path, added, Question(settings=posix(), url="http://127.0.0.1:9"))
    assert {name: (one.route, one.answered) for name, one in found.items()} == {
        "listing": (Route.DIRECT, None),
        "in-c": (Route.DIRECT, False),
        "added-command": (Route.DIRECT, False),
    }


@pytest.mark.parametrize("name", ["curl", "net-http", "fetch"])
def test_a_command_meets_proxies_of_the_harness(name: str, tmp_path: Path) -> None:
    one = client(name)
    if one.missing is not None:
        pytest.skip(one.missing)
    settings = posix(http_proxy="http://proxy.example:8080")
    with FakeOllama() as server:
        server.load()
        questions = [Question(settings=settings, url=url) for url in (server.url, "http://ollama.invalid:11434")]
        here, elsewhere = asked(tmp_path, [one], *questions, PATH=os.environ["PATH"])
    expected = {"curl": ("proxied", "proxied"), "net-http": ("direct", "proxied"), "fetch": ("direct", "direct")}
    assert (here[name].route, elsewhere[name].route) == expected[name]


def test_each_client_trusts_certificates_by_its_own_rules(tmp_path: Path) -> None:
    pytest.importorskip("trustme")
    clients = [client("requests"), client("httpx")]
    with FakeOllama(tls="good") as server:
        server.load()
        assert server.certificate is not None
        file = tmp_path / "ca.pem"
        file.write_bytes(server.certificate.ca_pem)
        question = Question(settings=posix(), url=server.url, really=True)
        (plain,) = asked(tmp_path, clients, question)
        (told,) = asked(tmp_path, clients, question, REQUESTS_CA_BUNDLE=str(file))
    assert {name: (one.route, one.answered) for name, one in plain.items()} == {
        "requests": (Route.DIRECT, False),
        "httpx": (Route.DIRECT, False),
    }
    assert all("CERTIFICATE_VERIFY_FAILED" in one.problem for one in plain.values())
    assert {name: one.answered for name, one in told.items()} == {"requests": True, "httpx": False}
