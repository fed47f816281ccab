"""Ollama's own command line: the requests of each command, one after the other over one connection, as Go sends them.

The requests are those of fixtures/requests/cli.md, seen on the wire between 0.24.0's command line and server. What each
answer must have is what the command line reads of it.
"""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from ollama_harness.server.fake_ollama import FakeOllama

pytestmark = pytest.mark.same_everywhere

VERSIONS = ("0.5.7", "0.9.6", "0.12.11", "0.24.0", "0.32.15")
PLAIN, THINKING, EMBEDDING = "smollm2:135m", "smollm2-think:135m", "smollm2-embed:135m"
NDJSON = "application/x-ndjson"

#: What the command line reads of a model in a list, of one that is loaded, and of one that it shows.
LISTED = {"name", "model", "size", "digest", "modified_at", "details"}
LOADED = {"name", "model", "size", "size_vram", "digest", "details", "expires_at"}
SHOWN = {"modelfile", "parameters", "template", "details", "model_info"}

#: The whole of 0.24.0's requests: Go sends each field that is not `omitempty`.
EMPTY_GENERATE = {"prompt": "", "suffix": "", "system": "", "template": ""}
EMPTY_SHOW = {"model": "", "system": "", "template": "", "verbose": False, "options": None}
EMPTY_PULL = {"model": "", "username": "", "password": ""}


@dataclass(frozen=True)
class Answered:
    status: int
    body: bytes

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.body.splitlines()]

    @property
    def object(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found

    @property
    def errors(self) -> list[str]:
        return [record["error"] for record in self.records if "error" in record]


class CommandLine:
    """One command: a connection that is kept, begun with `HEAD /`."""

    def __init__(self, server: FakeOllama) -> None:
        self._host = f"127.0.0.1:{server.port}"
        self._socket = socket.create_connection(("127.0.0.1", server.port), timeout=20)

    def __enter__(self) -> CommandLine:
        assert self.ask("HEAD", "/") == Answered(200, b"")
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None, *, accept: str = "") -> Answered:
        data = b"" if body is None else json.dumps(body, separators=(",", ":")).encode()
        lines = [
            f"{method} {path} HTTP/1.1",
            f"Host: {self._host}",
            "User-Agent: ollama/0.24.0 (amd64 linux) Go/go1.26.0",
            *([f"Content-Length: {len(data)}"] if data else []),
            f"Accept: {accept or 'application/json'}",
            "Content-Type: application/json",
            "Accept-Encoding: gzip",
        ]
        self._socket.sendall("\r\n".join([*lines, "", ""]).encode() + data)
        response = http.client.HTTPResponse(self._socket, method=method)
        response.begin()
        answered = Answered(response.status, response.read())
        assert not response.will_close
        return answered

    def show(self, name: str) -> Answered:
        return self.ask("POST", "/api/show", {**EMPTY_SHOW, "name": name})

    def generate(self, name: str, prompt: str, **fields: Any) -> Answered:
        body = {"model": name, **EMPTY_GENERATE, "prompt": prompt, **fields}
        return self.ask("POST", "/api/generate", {**body, "options": {}}, accept=NDJSON)

    def unload(self, name: str) -> Answered:
        body = {"model": name, **EMPTY_GENERATE, "keep_alive": "0s", "options": None}
        return self.ask("POST", "/api/generate", body, accept=NDJSON)

    def delete(self, name: str) -> Answered:
        return self.ask("DELETE", "/api/delete", {"model": "", "name": name})

    def pull(self, name: str) -> Answered:
        return self.ask("POST", "/api/pull", {**EMPTY_PULL, "name": name}, accept=NDJSON)


@pytest.fixture(scope="module", params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def started(version: str) -> Iterator[FakeOllama]:
    with FakeOllama(version=version, speed=0) as server:
        yield server


@pytest.fixture
def server(started: FakeOllama) -> FakeOllama:
    """A server that knows nothing of other tests."""
    started.clear()
    return started


def list_of(server: FakeOllama) -> list[str]:
    """`list`: the names of the models."""
    with CommandLine(server) as ollama:
        answered = ollama.ask("GET", "/api/tags")
    assert answered.status == 200
    models = answered.object["models"]
    assert [LISTED - set(one) for one in models] == [set()] * len(models)
    return [one["name"] for one in models]


def ps(server: FakeOllama) -> list[str]:
    """`ps`: the names of the models that are loaded."""
    with CommandLine(server) as ollama:
        answered = ollama.ask("GET", "/api/ps")
    assert answered.status == 200
    models = answered.object["models"]
    assert [LOADED - set(one) for one in models] == [set()] * len(models)
    return [one["name"] for one in models]


def show(server: FakeOllama, name: str) -> Answered:
    with CommandLine(server) as ollama:
        return ollama.show(name)


def run(server: FakeOllama, name: str, prompt: str = "hi", **fields: Any) -> list[dict[str, Any]]:
    """`run NAME PROMPT`: the records of the answer, which must be whole."""
    with CommandLine(server) as ollama:
        assert ollama.show(name).status == 200
        answered = ollama.generate(name, prompt, **fields)
    assert answered.status == 200
    assert [record.get("done") for record in answered.records] == [False] * (len(answered.records) - 1) + [True]
    return answered.records


def stop(server: FakeOllama, name: str) -> None:
    """`stop NAME`."""
    with CommandLine(server) as ollama:
        assert ollama.ask("POST", "/api/show", {**EMPTY_SHOW, "model": name, "name": ""}).status == 200
        assert_unloaded(ollama.unload(name))


def remove(server: FakeOllama, name: str) -> None:
    """`rm NAME`."""
    with CommandLine(server) as ollama:
        assert ollama.show(name).status == 200
        assert_unloaded(ollama.unload(name))
        assert ollama.delete(name) == Answered(200, b"")


def assert_unloaded(answered: Answered) -> None:
    assert (answered.status, answered.errors) == (200, [])
    assert [(one["response"], one["done"], one["done_reason"]) for one in answered.records] == [("", True, "unload")]


def copy(server: FakeOllama, source: str, destination: str) -> None:
    """`cp SOURCE DESTINATION`."""
    with CommandLine(server) as ollama:
        body = {"source": source, "destination": destination}
        assert ollama.ask("POST", "/api/copy", body) == Answered(200, b"")


# --- commands that change nothing -------------------------------------------------------------------------------------


def test_version(server: FakeOllama, version: str) -> None:
    with CommandLine(server) as ollama:
        assert ollama.ask("GET", "/api/version").object == {"version": version}


def test_list(server: FakeOllama) -> None:
    assert {PLAIN, THINKING, EMBEDDING} <= set(list_of(server))


def test_ps_of_nothing(server: FakeOllama) -> None:
    assert ps(server) == []


@pytest.mark.parametrize("name", [PLAIN, THINKING, EMBEDDING])
def test_show(server: FakeOllama, version: str, name: str) -> None:
    answered = show(server, name)
    assert answered.status == 200
    assert SHOWN - set(answered.object) == set()
    if version not in ("0.5.7",):  # its answers have no capabilities
        assert ("embedding" in answered.object["capabilities"]) == (name == EMBEDDING)


def test_show_of_a_model_that_is_not_there(server: FakeOllama, version: str) -> None:
    answered = show(server, "nosuch")
    name = "nosuch:latest" if version == "0.32.15" else "nosuch"
    assert (answered.status, answered.errors) == (404, [f"model '{name}' not found"])


# --- run and stop -----------------------------------------------------------------------------------------------------


def test_run_and_stop(server: FakeOllama) -> None:
    records = run(server, PLAIN)
    assert "".join(record["response"] for record in records)
    assert records[-1]["done_reason"] in ("stop", "length")
    assert ps(server) == [PLAIN]
    stop(server, PLAIN)
    assert ps(server) == []


def test_run_with_a_format(server: FakeOllama) -> None:
    records = run(server, PLAIN, format="json")
    assert isinstance(json.loads("".join(record["response"] for record in records)), dict)
    assert ps(server) == [PLAIN]


def test_run_of_a_model_that_thinks(server: FakeOllama, version: str) -> None:
    records = run(server, THINKING, think=True)
    thinks = any(record.get("thinking") for record in records)
    assert thinks == (version != "0.5.7")  # which does not know of it
    assert ps(server) == [THINKING]


def test_run_with_thinking_of_a_model_that_cannot(server: FakeOllama, version: str) -> None:
    with CommandLine(server) as ollama:
        answered = ollama.generate(PLAIN, "hi", think=True)
    if version == "0.5.7":  # it does not know the field
        assert answered.status != 400
        return
    full = f"registry.ollama.ai/library/{PLAIN}" if version == "0.9.6" else f'"{PLAIN}"'
    assert (answered.status, answered.errors) == (400, [f"{full} does not support thinking"])
    assert ps(server) == []


def embed(server: FakeOllama, text: str) -> list[list[float]]:
    """`run` of an embedding model: the vectors of the text."""
    with CommandLine(server) as ollama:
        assert ollama.show(EMBEDDING).status == 200
        answered = ollama.ask("POST", "/api/embed", {"model": EMBEDDING, "input": text, "options": None})
    assert answered.status == 200
    found: list[list[float]] = answered.object["embeddings"]
    return found


def test_run_of_an_embedding_model(server: FakeOllama) -> None:
    assert {type(number) for number in embed(server, "sky")[0]} == {float}
    assert ps(server) == [EMBEDDING]


def test_an_embedding_model_gives_one_vector_for_a_text(server: FakeOllama) -> None:
    assert len(embed(server, "sky")) == 1


def test_run_of_a_model_that_is_not_there(server: FakeOllama) -> None:
    with CommandLine(server) as ollama:
        assert ollama.show("nosuch").status == 404
        pulled = ollama.pull("nosuch")
    assert pulled.status == 200
    assert pulled.records[0] == {"status": "pulling manifest"}
    assert [error.startswith("pull model manifest: ") for error in pulled.errors] == [True]
    assert "nosuch:latest" not in list_of(server)
    assert ps(server) == []


def test_stop_of_another_model(server: FakeOllama) -> None:
    run(server, THINKING, think=True)
    stop(server, THINKING)
    assert ps(server) == []


# --- models copied, made, pulled and removed --------------------------------------------------------------------------


def test_cp(server: FakeOllama) -> None:
    before = list_of(server)
    copy(server, PLAIN, "mine")
    assert sorted(set(list_of(server)) - set(before)) == ["mine:latest"]
    assert "# FROM mine:latest" in show(server, "mine").object["modelfile"]


def test_cp_of_a_model_that_is_not_there(server: FakeOllama) -> None:
    with CommandLine(server) as ollama:
        answered = ollama.ask("POST", "/api/copy", {"source": "nosuch", "destination": "mine"})
    assert (answered.status, answered.errors) == (404, ['model "nosuch" not found'])


def test_run_of_a_copy(server: FakeOllama) -> None:
    copy(server, PLAIN, "mine")
    assert {record["model"] for record in run(server, "mine")} == {"mine"}
    assert ps(server) == ["mine:latest"]


@pytest.mark.parametrize("name", [PLAIN, pytest.param("mine")])
def test_rm(server: FakeOllama, name: str) -> None:
    copy(server, PLAIN, "mine")
    server.play("generate-nonstream", path="/api/generate", times=1)
    run(server, name)
    assert len(ps(server)) == 1
    remove(server, name)
    assert ps(server) == []
    assert (name if ":" in name else f"{name}:latest") not in list_of(server)
    assert show(server, name).status == 404


def test_rm_of_a_model_that_is_not_there(server: FakeOllama) -> None:
    with CommandLine(server) as ollama:
        assert ollama.show("nosuch").status == 404
        deleted = ollama.delete("nosuch")
    assert (deleted.status, deleted.errors) == (404, ["model 'nosuch' not found"])


def test_pull_of_a_model_that_no_registry_has(server: FakeOllama) -> None:
    with CommandLine(server) as ollama:
        pulled = ollama.pull("nosuch")
    assert (pulled.status, len(pulled.errors)) == (200, 1)


def test_push_asks_for_the_account_first(server: FakeOllama, version: str) -> None:
    with CommandLine(server) as ollama:
        answered = ollama.ask("POST", "/api/me")
    if version in ("0.5.7", "0.9.6"):  # they have no accounts
        assert answered == Answered(404, b"404 page not found")
    elif version == "0.12.11":  # it asks nobody
        assert answered == Answered(200, b"null")
    else:
        assert (answered.status, answered.errors) == (503, ["account unavailable"])


def create(server: FakeOllama) -> Answered:
    """`create made -f Modelfile`, with FROM and SYSTEM in the file."""
    with CommandLine(server) as ollama:
        body = {"model": "made", "from": PLAIN, "system": "You are terse.", "name": ""}
        return ollama.ask("POST", "/api/create", body, accept=NDJSON)


def test_create(server: FakeOllama) -> None:
    created = create(server)
    assert (created.status, created.errors) == (200, [])
    assert created.records[-1] == {"status": "success"}
    assert "made:latest" in list_of(server)
    assert show(server, "made").object["system"] == "You are terse."


def test_run_of_a_model_that_was_made(server: FakeOllama) -> None:
    assert create(server).status == 200
    assert run(server, "made")[-1]["done"]
    assert ps(server) == ["made:latest"]
