"""Models that nobody recorded: what is said of them, and with --any-model of every name there is."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterable
from functools import cache
from typing import Any

import pytest

from ollama_harness import FakeOllama
from ollama_harness.answers import Answer, Asked, World, after, answer, world_of
from ollama_harness.answers.completions import wanted_of
from ollama_harness.answers.model_name import parse_name
from ollama_harness.recordings.store import packaged_store

pytestmark = pytest.mark.same_everywhere

VERSIONS = ("0.5.7", "0.9.6", "0.12.11", "0.24.0", "0.32.15")
#: Those in which /api/show lists what a model is able to do.
TELLING = VERSIONS[1:]
STORE = packaged_store()
LISTS = ("/api/tags", "/v1/models")


@cache
def world(version: str, *, any_model: bool = False, without: tuple[str, ...] = ()) -> World:
    recordings = [one for one in STORE.of_version(version) if not one.request.path.startswith(without or ("-",))]
    return world_of(recordings, version, any_model=any_model)


def recorded(name: str, version: str) -> Any:
    return json.loads(STORE.get(f"{version}/{name}").body)


def post(path: str, method: str = "POST", **fields: Any) -> Asked:
    return Asked(method=method, target=path, body=json.dumps(fields).encode())


def get(path: str, method: str = "GET") -> Asked:
    return Asked(method=method, target=path)


def given(asked: Asked, world: World) -> Answer:
    found = answer(asked, world)
    assert found is not None
    return found


def records(asked: Asked, world: World) -> list[Any]:
    return [json.loads(line) for line in given(asked, world).reply.body.splitlines()]


def then(asked: Asked, world: World) -> World:
    """The world after a request."""
    found = given(asked, world)
    return found.reply.world or after(asked, world, found.script)


def facts(show: Any) -> set[str]:
    return {name.rpartition(".")[2] for name in show["model_info"]}


# --- in the likeness of the nearest -----------------------------------------------------------------------------------


@pytest.mark.parametrize("version", TELLING)
@pytest.mark.parametrize("name", ["show-by-name", "show-tools", "show-think", "show-embed"])
def test_a_new_model_is_like_the_one_that_is_able_to_do_the_same(name: str, version: str) -> None:
    like = recorded(name, version)
    made = world(version).model("new", *like["capabilities"])
    differing = {key for key, value in like.items() if made.show[key] != value}
    assert (list(made.show), differing) == (list(like), {"modelfile"})
    assert made.show["modelfile"] == re.sub("# FROM .*", "# FROM new:latest", like["modelfile"])


def able_by(words: Iterable[str]) -> dict[str, bool]:
    parts = {"tools": ".Tools", "thinking": ".Thinking", "insert": ".Suffix"}
    return {part: word in words for word, part in parts.items()}


@pytest.mark.parametrize("version", TELLING)
@pytest.mark.parametrize("words", [(), ("tools",), ("thinking",), ("insert",), ("tools", "thinking"), ("vision",)])
def test_a_template_gives_what_a_model_is_said_to_be_able_to_do(words: tuple[str, ...], version: str) -> None:
    show = world(version, without=("/api/show",)).model("new", *words).show
    assert show == {}, "nothing is said where nothing was recorded"
    show = world(version).model("new", "completion", *words).show
    assert show["capabilities"] == ["completion", *words]
    assert {part: part in show["template"] for part in able_by(words)} == able_by(words)
    assert show["template"] in show["modelfile"]
    assert not facts(show) & {"pooling_type", "note"}


@pytest.mark.parametrize("version", TELLING)
def test_only_a_model_for_embeddings_pools(version: str) -> None:
    plain = [one for one in STORE.of_version(version) if one.name != "show-embed"]
    embeds = world_of(plain, version).find("smollm2-embed:135m")
    assert embeds is not None
    assert embeds.show["capabilities"] == ["embedding"]
    assert facts(recorded("show-embed", version)) - facts(embeds.show) == {"note"}
    assert list(embeds.show["model_info"]) == sorted(embeds.show["model_info"])


def test_of_two_models_for_text_neither_is_like_the_one_for_embeddings_that_comes_first() -> None:
    first = world("0.5.7")
    assert next(iter(first.models)) == "smollm2-embed:135m"
    assert "pooling_type" not in facts(first.model("new").show)


# --- lists ------------------------------------------------------------------------------------------------------------


def kinds(value: Any) -> Any:
    """The keys in their order with the types of their values."""
    return {key: kinds(each) for key, each in value.items()} if isinstance(value, dict) else type(value)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_list_that_was_not_recorded_is_made_of_what_was_shown(version: str) -> None:
    listed = {one["name"]: one for one in recorded("tags", version)["models"]}
    made = {one["name"]: one for one in records(get("/api/tags"), world(version, without=LISTS))[0]["models"]}
    assert set(listed) <= set(made)
    assert {name: kinds(made[name]) for name in listed} == {name: kinds(one) for name, one in listed.items()}
    assert [name for name, one in listed.items() if made[name].get("capabilities") != one.get("capabilities")] == []
    assert len({one["digest"] for one in made.values()}) == len(made)
    sizes = [made[name]["size"] / one["size"] for name, one in listed.items()]
    assert (min(sizes) > 0.5, max(sizes) < 2) == (True, True)


# --- what the server says of itself -----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_version_that_nobody_recorded_says_that_it_runs_and_which_it_is(method: str) -> None:
    nothing = World(version="0.13.5")
    root, version = given(get("/", method), nothing), given(get("/api/version", method), nothing)
    assert (root.reply.body, version.reply.body) == (b"Ollama is running", b'{"version":"0.13.5"}')
    heads = [one.script.head.headers for one in (root, version) if one.script.head is not None]
    assert heads == [
        (("Content-Type", "text/plain; charset=utf-8"), ("Date", ""), ("Content-Length", "17")),
        (("Content-Type", "application/json; charset=utf-8"), ("Date", ""), ("Content-Length", "20")),
    ]
    assert (root.script.body == b"") == (method == "HEAD")
    assert given(post("/api/version"), nothing).reply.status == 405


def test_a_picture_of_a_model_for_text_is_an_empty_stream() -> None:
    asked = post("/v1/images/generations", model="smollm2:135m", prompt="a cat")
    script = given(asked, world("0.24.0")).script
    assert (script.body, script.head is not None and script.head.chunked) == (b"", True)
    assert given(post("/v1/images/generations", model="nosuch", prompt="a cat"), world("0.24.0")).reply.status == 404
    assert given(asked, world("0.32.15")).rule.id == "route-not-found"


# --- pulls ------------------------------------------------------------------------------------------------------------

PULL = post("/api/pull", model="llama3.2")


def shape(record: dict[str, Any]) -> tuple[str, ...]:
    return (record["status"][:8], *list(record)[1:])


@pytest.mark.parametrize("version", VERSIONS)
def test_a_made_pull_has_the_records_of_a_recorded_one(version: str) -> None:
    lines = STORE.get(f"{version}/pull-stream").body.splitlines()
    made = records(PULL, world(version, any_model=True))
    assert {shape(one) for one in made} == {shape(json.loads(line)) for line in lines}
    assert [made[0], *made[-3:]] == [json.loads(line) for line in (lines[0], *lines[-3:])]
    counts = [one["completed"] for one in made if one.get("digest") == made[1]["digest"]]
    assert counts == sorted(set(counts)) != []
    assert all(one.get("completed", 0) <= one["total"] for one in made[1:-3])


@pytest.mark.parametrize("version", VERSIONS)
def test_what_was_pulled_is_there_afterwards_and_a_second_pull_finds_all_layers(version: str) -> None:
    before = world(version, any_model=True)
    pulled = then(PULL, before)
    assert "llama3.2:latest" not in before.models
    assert pulled.listed[0].name == "llama3.2:latest"
    show = records(post("/api/show", model="llama3.2"), pulled)[0]
    assert "# FROM llama3.2:latest" in show["modelfile"]
    assert pulled.models["llama3.2:latest"].weights in records(PULL, before)[1]["digest"]
    again = [json.loads(line) for line in STORE.get(f"{version}/pull-again").body.splitlines()]
    layers = [one for one in records(PULL, pulled) if "digest" in one]
    assert {shape(one) for one in records(PULL, pulled)} == {shape(one) for one in again}
    assert [one["completed"] for one in layers] == [one["total"] for one in layers]
    assert len({one["digest"] for one in layers}) == len(pulled.models["llama3.2:latest"].layers) + 1
    assert then(PULL, pulled) is pulled


def test_a_pull_in_one_piece_says_that_it_was_done() -> None:
    asked = post("/api/pull", model="llama3.2", stream=False)
    assert records(asked, world("0.24.0", any_model=True)) == [{"status": "success"}]
    assert then(asked, world("0.24.0", any_model=True)).find("llama3.2") is not None


def test_without_any_model_a_name_that_no_registry_has_cannot_be_pulled() -> None:
    *_, last = records(PULL, world("0.24.0"))
    assert list(last) == ["error"]
    assert then(PULL, world("0.24.0")) is world("0.24.0")


@pytest.mark.parametrize("version", VERSIONS)
def test_what_was_pulled_with_any_model_can_do_everything_and_thinks_only_when_asked(version: str) -> None:
    pulled = then(PULL, world(version, any_model=True))
    tool = {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}
    messages = [{"role": "user", "content": "x"}]
    asked = {
        "plain": post("/api/chat", model="llama3.2", messages=messages),
        "tools": post("/api/chat", model="llama3.2", messages=messages, tools=[tool]),
        "think": post("/api/chat", model="llama3.2", messages=messages, think=True),
        "insert": post("/api/generate", model="llama3.2", prompt="x", suffix="y"),
        "embed": post("/api/embed", model="llama3.2", input="x"),
    }
    assert {name: answer(one, pulled) for name, one in asked.items()} == dict.fromkeys(asked)
    thinks = [wanted_of(asked[name], pulled) for name in ("plain", "think")]
    assert [one is not None and one.thinks for one in thinks] == [False, version != "0.5.7"]


# --- with --any-model -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", TELLING)
def test_with_any_model_every_name_can_be_shown_copied_made_into_another_and_deleted(version: str) -> None:
    anything = world(version, any_model=True)
    show = records(post("/api/show", name="llama3.2:1b"), anything)[0]
    assert "# FROM llama3.2:1b" in show["modelfile"]
    assert show["capabilities"] == ["completion", "tools", "thinking", "vision", "insert"]
    assert given(get("/v1/models/llama3.2"), anything).reply.status == 200
    copied = then(post("/api/copy", source="llama3.2", destination="me/mine"), anything)
    made = then(post("/api/create", model="mario", system="You are Mario.", **{"from": "llama3.2"}), copied)
    assert [one.name for one in made.listed[:2]] == ["mario:latest", "me/mine:latest"]
    assert made.models["mario:latest"].show["system"] == "You are Mario."
    assert then(post("/api/delete", "DELETE", model="mario"), made).find("mario") is None
    assert given(post("/api/delete", "DELETE", model="llama3.2"), anything).reply.status == 200


def test_with_any_model_what_is_no_name_has_no_model() -> None:
    anything = world("0.24.0", any_model=True)
    assert anything.there(parse_name("a b")) is None
    assert given(post("/api/copy", source="a b", destination="c"), anything).reply.status == 400
    assert world("0.24.0").there(parse_name("llama3.2")) is None


def test_a_server_with_any_model_pulls_lists_and_shows() -> None:
    with FakeOllama(version="0.24.0", speed=0, any_model=True) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)

        def ask(method: str, path: str, **fields: Any) -> list[Any]:
            connection.request(method, path, json.dumps(fields) if fields else None)
            return [json.loads(line) for line in connection.getresponse().read().splitlines()]

        try:
            *_, last = ask("POST", "/api/pull", model="llama3.2")
            [listed] = ask("GET", "/api/tags")
            [shown] = ask("POST", "/api/show", model="llama3.2")
            [said] = ask(
                "POST", "/api/chat", model="llama3.2", messages=[{"role": "user", "content": "hi"}], stream=False
            )
        finally:
            connection.close()
    assert (last, listed["models"][0]["name"]) == ({"status": "success"}, "llama3.2:latest")
    assert (shown["capabilities"][0], said["model"], said["done"]) == ("completion", "llama3.2", True)


# --- too long to embed ------------------------------------------------------------------------------------------------

TOO_LONG = {
    "0.5.7": "input length exceeds maximum context length",
    "0.9.6": "input length exceeds maximum context length",
    "0.12.11": "input exceeds maximum context length",
    "0.24.0": "the input length exceeds the context length",
    "0.32.15": "the input length exceeds the context length",
}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_text_that_is_too_long_to_embed_is_refused_where_it_is_not_to_be_cut(version: str) -> None:
    asked = {"model": "smollm2-embed:135m", "truncate": False, "options": {"num_ctx": 16}}
    refused = given(post("/api/embed", **asked, input=["a word", "word " * 20]), world(version)).reply
    assert (refused.status, json.loads(refused.body)) == (400, {"error": TOO_LONG[version]})
    assert answer(post("/api/embed", **asked, input="word " * 12), world(version)) is None
    assert answer(post("/api/embed", **{**asked, "truncate": True}, input="word " * 20), world(version)) is None
    longer = {**asked, "options": {}}
    assert answer(post("/api/embed", **longer, input="word " * 20), world(version)) is None
    assert answer(post("/api/embed", **longer, input="word " * 9000), world(version)) is not None
