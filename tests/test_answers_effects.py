"""What a good answer changes: models are pulled and made, loaded, kept and unloaded; and /api/ps shows it."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from builders import A_FEW
from hypothesis import given
from hypothesis import strategies as st

from ollama_harness.answers import Asked, World, after, answer, world_of
from ollama_harness.faults import drop_terminal_record
from ollama_harness.recordings.store import packaged_store
from ollama_harness.script.script import Script
from ollama_harness.server import _serving
from ollama_harness.server.fake_ollama import FakeOllama

pytestmark = pytest.mark.same_everywhere

VERSIONS = ("0.5.7", "0.9.6", "0.12.11", "0.24.0", "0.32.15")
STORE = packaged_store()
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
MODEL, OTHER, EMBEDDING = "smollm2:135m", "smollm2-tools:135m", "smollm2-embed:135m"
FOREVER = timedelta(days=365 * 290)


@cache
def first(version: str = "0.24.0", *, any_model: bool = False) -> World:
    return world_of(STORE.of_version(version), version, any_model=any_model)


def played(name: str, version: str = "0.24.0") -> Script:
    return Script.from_recording(STORE.get(f"{version}/{name}"), speed=0)


def post(path: str, *, at: datetime = NOON, **fields: Any) -> Asked:
    return Asked(method="POST", target=path, body=json.dumps(fields).encode(), at=at)


def ran(world: World, path: str = "/api/chat", *, at: datetime = NOON, **fields: Any) -> World:
    """The world after a good answer to this request, which took no time."""
    if path in ("/api/chat", "/v1/chat/completions"):
        fields = {"messages": [{"role": "user", "content": "hi"}], **fields}
    return after(post(path, at=at, **{"model": MODEL, **fields}), world, played("chat-nonstream"))


def ps(world: World, *, at: datetime = NOON) -> list[dict[str, Any]]:
    given_ = answer(Asked(method="GET", target="/api/ps", at=at), world)
    assert given_ is not None
    assert given_.rule.id == "ps"
    found: list[dict[str, Any]] = json.loads(given_.reply.body)["models"]
    return found


def names(world: World, *, at: datetime = NOON) -> list[str]:
    return [one["name"] for one in ps(world, at=at)]


def stays(world: World) -> timedelta:
    """How long the one model that is loaded stays, seen at noon."""
    [one] = ps(world)
    return datetime.fromisoformat(one["expires_at"].replace("Z", "+00:00")) - NOON


# --- /api/ps ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
def test_a_loaded_model_is_shown_as_it_was_recorded(version: str) -> None:
    recorded = re.sub(rb"\.\d+Z", b"Z", STORE.get(f"{version}/ps-loaded").body)
    expires_at = datetime.fromisoformat(json.loads(recorded)["models"][0]["expires_at"].replace("Z", "+00:00"))
    world = ran(first(version), at=expires_at - timedelta(minutes=5))
    shown = answer(Asked(method="GET", target="/api/ps", at=expires_at - timedelta(minutes=1)), world)
    assert shown is not None
    assert (shown.reply.status, shown.reply.body) == (200, recorded)


@pytest.mark.parametrize("version", VERSIONS)
def test_at_the_start_no_model_is_loaded(version: str) -> None:
    given_ = answer(Asked(method="GET", target="/api/ps", at=NOON), first(version))
    assert given_ is not None
    recorded = STORE.get(f"{version}/ps-empty")
    assert (given_.reply.status, given_.reply.body) == (200, recorded.body)


def test_the_model_that_stays_the_longest_is_shown_first() -> None:
    world = ran(ran(ran(first(), keep_alive=60), model=OTHER, keep_alive=-1), model="smollm2-think:135m")
    assert names(world) == [OTHER, "smollm2-think:135m", MODEL]
    assert names(world, at=NOON + timedelta(minutes=2)) == [OTHER, "smollm2-think:135m"]
    assert names(world, at=NOON + timedelta(minutes=6)) == [OTHER]
    assert names(world, at=NOON + FOREVER) == [OTHER]


@pytest.mark.parametrize(
    ("options", "length"), [({}, 4096), ({"num_ctx": 512}, 512), ({"num_ctx": 10**12}, 8192), ({"num_ctx": 0}, 4)]
)
def test_the_context_length_is_the_one_that_was_asked_for(options: dict[str, int], length: int) -> None:
    assert [one["context_length"] for one in ps(ran(first(), options=options))] == [length]


def test_a_model_that_was_made_with_a_context_length_has_it() -> None:
    made = answer(post("/api/create", model="m", parameters={"num_ctx": 1024}, **{"from": MODEL}), first())
    assert made is not None
    assert made.reply.world is not None
    assert [one["context_length"] for one in ps(ran(made.reply.world, model="m"))] == [1024]


# --- what loads a model, and for how long -----------------------------------------------------------------------------

RUNS: list[tuple[str, dict[str, Any]]] = [
    ("/api/chat", {}),
    ("/api/chat", {"messages": []}),
    ("/api/generate", {"prompt": "hi"}),
    ("/api/generate", {}),
    ("/api/embed", {"input": "hi", "model": EMBEDDING}),
    ("/api/embeddings", {"prompt": "hi", "model": EMBEDDING}),
    ("/v1/chat/completions", {}),
    ("/v1/completions", {"prompt": "hi"}),
    ("/v1/embeddings", {"input": "hi", "model": EMBEDDING}),
    ("/v1/responses", {"input": "hi"}),
    ("/v1/messages", {"max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}),
]


@pytest.mark.parametrize(("path", "fields"), RUNS)
def test_a_request_that_runs_a_model_loads_it_for_five_minutes(path: str, fields: dict[str, Any]) -> None:
    world = ran(first(), path, **fields)
    assert names(world) == [fields.get("model", MODEL)]
    assert stays(world) == timedelta(minutes=5)


@pytest.mark.parametrize(("keep_alive", "minutes"), [("10m", 10), (60, 1), (1.5, 0.025), ("1h30m", 90), (None, 5)])
def test_keep_alive_says_how_long_a_model_stays(keep_alive: Any, minutes: float) -> None:
    assert stays(ran(first(), keep_alive=keep_alive)) == timedelta(minutes=minutes)


@pytest.mark.parametrize("keep_alive", [-1, "-5m", 10**12, "2000000h"])
def test_a_model_stays_for_ever_where_that_is_asked(keep_alive: Any) -> None:
    assert stays(ran(first(), keep_alive=keep_alive)) > timedelta(days=365 * 228)


@pytest.mark.parametrize("keep_alive", [0, "0", "0s", "-0s"])
@pytest.mark.parametrize("path", ["/api/chat", "/api/generate"])
@pytest.mark.parametrize("fields", [{}, {"messages": [], "prompt": ""}])
def test_keep_alive_of_zero_unloads(keep_alive: Any, path: str, fields: dict[str, Any]) -> None:
    if not fields and path == "/api/generate":
        fields = {"prompt": "hi"}
    world = ran(ran(ran(first()), model=OTHER), path, keep_alive=keep_alive, **fields)
    assert names(world) == [OTHER]


def test_another_request_keeps_the_model_as_long_as_the_last_one_asked() -> None:
    forever = ran(first(), keep_alive=-1)
    assert stays(ran(forever)) > FOREVER
    assert stays(ran(forever, "/v1/chat/completions")) > FOREVER
    assert stays(ran(forever, keep_alive="1m")) == timedelta(minutes=1)


def test_a_model_that_is_loaded_again_stays_for_the_default() -> None:
    forever = ran(first(), keep_alive=-1)
    assert stays(ran(forever, options={"num_ctx": 512})) == timedelta(minutes=5)
    expired = ran(first(), keep_alive="1m", at=NOON - timedelta(hours=1))
    assert names(expired) == []
    assert stays(ran(expired)) == timedelta(minutes=5)


def test_the_time_counts_from_the_end_of_the_answer() -> None:
    script = Script.from_recording(STORE.get("0.24.0/chat-nonstream"), gap_s=30)
    world = after(post("/api/chat", model=MODEL, messages=[{"role": "user"}]), first(), script)
    assert stays(world) == timedelta(minutes=5, seconds=script.ending.at_s)
    assert script.ending.at_s > 0


def test_a_model_that_is_not_to_be_kept_is_never_seen_after_its_answer() -> None:
    """However coarse the clock is: it is gone from the beginning of the answer."""
    script = Script.from_recording(STORE.get("0.24.0/chat-nonstream"), gap_s=30)
    world = after(post("/api/chat", model=MODEL, messages=[{"role": "user"}], keep_alive=0), ran(first()), script)
    assert names(world) == []


@pytest.mark.parametrize("name", ["smollm2:135m", "SmolLM2:135M", "library/smollm2:135m"])
def test_a_model_is_loaded_once_whatever_its_name_is_written_like(name: str) -> None:
    assert names(ran(ran(first()), model=name)) == [MODEL]


def test_any_model_can_be_loaded_and_unloaded() -> None:
    world = ran(first(any_model=True), model="llama3.2")
    assert names(world) == ["llama3.2:latest"]
    assert names(ran(world, "/api/generate", model="llama3.2", keep_alive=0)) == []
    assert names(ran(first(any_model=True), model="no such")) == []


def test_a_deleted_model_stays_loaded_as_it_does_in_ollama() -> None:
    deleted = answer(Asked(method="DELETE", target="/api/delete", body=b'{"model":"smollm2:135m"}'), ran(first()))
    assert deleted is not None
    assert deleted.reply.world is not None
    assert names(deleted.reply.world) == [MODEL]
    assert MODEL not in deleted.reply.world.models


@pytest.mark.parametrize("version", ["0.9.6", "0.24.0"])
def test_less_than_a_second_once_meant_zero(version: str) -> None:
    """Before 0.11.8, of a request without a prompt."""
    world = ran(ran(first(version)), "/api/generate", keep_alive="900ms")
    assert names(world) == ([] if version == "0.9.6" else [MODEL])


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        (post("/api/chat", model="nosuch", messages=[]), "chat-nonstream"),
        (post("/api/chat", model=MODEL, messages=[{"role": "user"}]), "error-chat-bad-keep-alive"),
        (post("/api/show", model=MODEL), "show"),
        (post("/v1/chat/completions", model=7), "chat-nonstream"),
        (Asked(method="POST", target="/api/chat", body=b"{", at=NOON), "chat-nonstream"),
        (Asked(method="GET", target="/api/tags", at=NOON), "tags"),
        (post("/api/pull", model=MODEL, insecure=True), "pull-stream"),
        (post("/api/pull", model="127.0.0.1:5000/library/tiny", insecure=True), "pull-missing"),
        (post("/api/pull", model="no such"), "pull-stream"),
    ],
)
def test_other_requests_and_errors_change_nothing(asked: Asked, name: str) -> None:
    assert after(asked, first(), played(name)) is first()


# --- models that come -------------------------------------------------------------------------------------------------


def tags(world: World) -> list[str]:
    given_ = answer(Asked(method="GET", target="/api/tags"), world)
    assert given_ is not None
    return [one["name"] for one in json.loads(given_.reply.body)["models"]]


@pytest.mark.parametrize("name", ["pull-stream", "pull-nonstream"])
@pytest.mark.parametrize("version", VERSIONS)
def test_a_pulled_model_is_there_afterwards(version: str, name: str) -> None:
    asked = post("/api/pull", model="http://127.0.0.1:5000/library/tiny", insecure=True)
    pulled = after(asked, first(version), played(name, version))
    assert tags(pulled)[0] == "127.0.0.1:5000/library/tiny:latest"
    assert after(asked, pulled, played(name, version)) is pulled


def test_a_pull_that_was_cut_brings_nothing() -> None:
    asked = post("/api/pull", model="http://127.0.0.1:5000/library/tiny", insecure=True)
    assert after(asked, first(), drop_terminal_record()(played("pull-stream"))) is first()


def test_a_model_that_is_made_of_files_is_there_afterwards() -> None:
    name = next(one.name for one in STORE.of_version("0.24.0") if "success" in str(one.body) and "create" in one.name)
    asked = post("/api/create", model="mine", files={"m.gguf": "sha256:" + "0" * 64})
    assert tags(after(asked, first(), played(name)))[0] == "mine:latest"


def test_without_a_recorded_list_there_is_one_of_what_was_used() -> None:
    world = world_of([STORE.get("0.24.0/chat-nonstream")], "0.24.0")
    given_ = answer(Asked(method="GET", target="/api/tags"), world)
    assert given_ is not None
    [listed] = json.loads(given_.reply.body)["models"]
    [recorded, *_] = json.loads(STORE.get("0.24.0/tags").body)["models"]
    assert (listed["name"], list(listed), list(listed["details"])) == (MODEL, list(recorded), list(recorded["details"]))
    [shown] = ps(ran(world))
    assert (shown["name"], shown["digest"]) == (MODEL, listed["digest"])


# --- over the wire ----------------------------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """The time of all servers: the last entry."""
    times = [NOON]
    monkeypatch.setattr(_serving, "_now", lambda: times[-1])
    return times


@pytest.fixture
def server(clock: list[datetime]) -> Iterator[FakeOllama]:
    with FakeOllama(version="0.24.0", speed=0) as started:
        yield started


def ask(server: FakeOllama, method: str, path: str, body: Any = None) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    try:
        connection.request(method, path, None if body is None else json.dumps(body))
        return connection.getresponse().read()
    finally:
        connection.close()


def loaded(server: FakeOllama) -> list[str]:
    return [one["name"] for one in json.loads(ask(server, "GET", "/api/ps"))["models"]]


def test_the_server_loads_keeps_and_forgets_models(server: FakeOllama, clock: list[datetime]) -> None:
    assert loaded(server) == []
    ask(server, "POST", "/api/generate", {"model": MODEL, "keep_alive": "5m"})
    assert loaded(server) == [MODEL]
    clock.append(NOON + timedelta(minutes=4))
    assert loaded(server) == [MODEL]
    clock.append(NOON + timedelta(minutes=5))
    assert loaded(server) == []
    ask(server, "POST", "/api/generate", {"model": MODEL, "keep_alive": -1})
    clock.append(NOON + timedelta(days=1))
    assert loaded(server) == [MODEL]
    ask(server, "POST", "/api/generate", {"model": MODEL, "keep_alive": 0})
    assert loaded(server) == []


def test_an_answer_that_a_user_has_arranged_loads_the_model_too(server: FakeOllama) -> None:
    server.play("chat-nonstream", path="/api/chat")
    ask(server, "POST", "/api/chat", {"model": OTHER, "messages": [{"role": "user", "content": "x"}]})
    assert loaded(server) == [OTHER]
    server.clear()
    assert loaded(server) == []


def test_a_play_of_a_recorded_list_comes_before_what_is_loaded(server: FakeOllama) -> None:
    server.play("ps-loaded")
    assert ask(server, "GET", "/api/ps") == STORE.get("0.24.0/ps-loaded").body


# --- anything ---------------------------------------------------------------------------------------------------------

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)
FIELDS = st.sampled_from(["name", "keep_alive", "options", "prompt", "messages", "input", "files", "from", "stream"])
BODIES = st.binary(max_size=40) | st.dictionaries(FIELDS, ANY_JSON, max_size=4).map(
    lambda one: json.dumps({"model": MODEL, **one}).encode()
)
PATHS = (*(path for path, _ in RUNS), "/api/pull", "/api/create")


@A_FEW
@given(path=st.sampled_from(PATHS), body=BODIES, version=st.sampled_from(VERSIONS))
def test_any_bytes_give_a_next_world(path: str, body: bytes, version: str) -> None:
    asked = Asked(method="POST", target=path, body=body, at=NOON)
    world = after(asked, first(version), played("chat-nonstream", version))
    assert set(names(world)) <= set(world.models)
    assert vars(after(asked, first(version), played("chat-nonstream", version))) == vars(world)
