"""What each client sends is measured, and docs/clients.md changes with it."""

from __future__ import annotations

import inspect
import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from ollama_harness import FakeOllama
from ollama_harness.cli import listing
from ollama_harness.clients import clients
from ollama_harness.errors import HarnessError
from ollama_harness.faults import after_head, stall_at
from ollama_harness.matrix.request_profiles import RequestProfile, SentRequest, measure
from ollama_harness.script.http1 import RequestHead
from pages.clients_page import MEASURED, _promises, normal, page

pytestmark = pytest.mark.same_on_each_python

PAGE = Path(__file__).parent.parent / "docs" / "clients.md"
NAMES = ["canary-perfect", "httpx", "httpx-async", "ollama", "ollama-async", "requests", "urllib"]


@pytest.fixture(scope="module")
def profiles() -> dict[str, RequestProfile]:
    return {one.client: one for one in measure(NAMES)}


@pytest.fixture
def libraries(profiles: dict[str, RequestProfile]) -> list[RequestProfile]:
    return [one for name, one in profiles.items() if name != "canary-perfect"]


def body(text: str) -> list[str]:
    """A page without the line that is another on each machine."""
    return [line for line in text.splitlines() if not line.startswith(MEASURED)]


def sent(*headers: tuple[str, str]) -> SentRequest:
    return SentRequest(head=RequestHead("POST", "/", "HTTP/1.1", headers, 0), writes=("head",))


def changed(one: RequestProfile, name: str, value: str) -> RequestProfile:
    """The same with another value of a header, wherever it stands."""

    def other(each: SentRequest) -> SentRequest:
        headers = tuple((key, value if key.lower() == name else text) for key, text in each.head.headers)
        return replace(each, head=replace(each.head, headers=headers))

    return replace(one, plain=other(one.plain), again=other(one.again), stream=other(one.stream), get=other(one.get))


def test_the_page_is_current(libraries: list[RequestProfile]) -> None:
    message = "write it again: python -m pages clients"
    assert body(PAGE.read_text("utf-8")) == body(page(libraries)), message
    assert len(body(page(libraries))) == len(page(libraries).splitlines()) - 1


def test_what_was_asked_for_is_what_was_sent(profiles: dict[str, RequestProfile]) -> None:
    assert list(profiles) == NAMES
    for one in profiles.values():
        heads = [each.head for each in (one.plain, one.again, one.stream, one.get)]
        assert [(head.method, head.target) for head in heads] == [("POST", "/api/chat")] * 3 + [("GET", "/api/tags")]
        assert one.plain.head.headers[1:] != one.get.head.headers[1:]


def test_writes_are_counted_where_they_are_made(profiles: dict[str, RequestProfile]) -> None:
    """The perfect client hands over head and body at once, so it can be told from those that do not."""
    perfect = profiles["canary-perfect"]
    assert (perfect.plain.writes, perfect.stream.writes, perfect.get.writes) == (("head and body",),) * 2 + (("head",),)
    for name in ("httpx-async", "requests", "urllib"):
        assert profiles[name].stream.writes == ("head", "body")


def test_a_reused_connection_differs_from_a_new_one(profiles: dict[str, RequestProfile]) -> None:
    assert [name for name in NAMES if not profiles[name].reuses] == ["canary-perfect", "urllib"]


def test_versions_ports_and_systems_make_no_other_page(libraries: list[RequestProfile]) -> None:
    first, *rest = libraries
    agent = first.stream.value("User-Agent")
    newer = changed(changed(first, "host", "[::1]:1"), "user-agent", f"{agent.partition('/')[0]}/99.1rc2")
    newer = changed(newer, "accept-encoding", "gzip, deflate, br, zstd")
    assert body(page([replace(newer, version="99.1rc2"), *rest])) == body(page(libraries))
    ollama = normal(sent(("user-agent", "ollama-python/0.6.3 (x86_64 linux) Python/3.11.7"), ("Content-Length", "5")))
    assert ollama.head.headers == (
        ("user-agent", "ollama-python/VERSION (PLATFORM) Python/VERSION"),
        ("Content-Length", "N"),
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [("accept", "text/html"), ("connection", "close"), ("user-agent", "other/1.0"), ("accept-encoding", "gzip")],
)
def test_another_head_makes_another_page(name: str, value: str, libraries: list[RequestProfile]) -> None:
    first, *rest = libraries
    assert body(page([changed(first, name, value), *rest])) != body(page(libraries))


def test_a_change_with_a_stream_is_named(profiles: dict[str, RequestProfile]) -> None:
    one = replace(
        profiles["requests"],
        plain=sent(("Host", "h"), ("Accept", "*/*"), ("Content-Length", "1")),
        stream=sent(("Host", "h"), ("accept", "text/event-stream"), ("Content-Length", "22")),
    )
    assert one.changes == ("+accept: text/event-stream", "-Accept: */*")
    other_order = replace(one, stream=sent(("Accept", "*/*"), ("Host", "h")))
    assert other_order.changes == ("order",)
    assert profiles["requests"].changes == ()


def test_framing_is_read_from_the_head() -> None:
    assert sent(("transfer-encoding", "chunked")).framing == "Transfer-Encoding"
    assert sent(("content-length", "3")).framing == "Content-Length"
    assert sent(("Host", "h")).framing == "none"


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_the_command_line_prints_the_same(
    arguments: list[str], libraries: list[RequestProfile], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ollama_harness.matrix.request_profiles.measure", lambda: libraries)
    done = CliRunner().invoke(listing.list_, ["clients", "--wire", *arguments])
    assert done.exit_code == 0
    if not arguments:
        assert "same connection" in done.output
        return
    rows = {row["client"]: row for row in json.loads(done.output)}
    stream = rows["ollama"]["requests"]["stream"]
    assert (stream["request_line"], stream["writes"]) == ("POST /api/chat HTTP/1.1", ["head", "body"])
    assert ["content-type", "application/json"] in stream["headers"]
    assert rows["urllib"]["reuses_connection"] is False


def test_a_process_that_does_not_start_is_an_error_and_no_empty_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "queue.py").write_text("raise ImportError('not today')")
    monkeypatch.setattr(
        "ollama_harness.matrix.request_profiles.clean_environment",
        lambda _: {**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    with pytest.raises(HarnessError, match="did not start: ImportError: not today"):
        measure(["urllib"])


def test_the_table_of_promises_has_all_clients_whatever_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    promised = list(_promises())
    monkeypatch.setenv("PATH", "")
    assert list(_promises()) == promised
    rows = [line for text in promised for line in text.splitlines() if line.startswith("| ")]
    named = {name for row in rows for name in row.split(" | ")[0].removeprefix("| ").split(", ")}
    assert named >= {name for name, one in clients().items() if not one.is_canary}


def test_every_contract_says_how_long_the_client_waits_by_default() -> None:
    real = {name for name, one in clients().items() if not one.is_canary}
    assert real == {name for name in real if clients()[name].contract.default_timeout}


DEFAULTS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "requests": ("none", lambda requests: inspect.signature(requests.get).parameters.get("timeout")),
    "httpx": ("5 s", lambda httpx: httpx.Client().timeout.read),
    "httpx2": ("5 s", lambda httpx2: httpx2.Client().timeout.read),
    "ollama": ("none", lambda ollama: ollama.Client()._client.timeout.read),
    "openai": ("600 s", lambda openai: openai.OpenAI(api_key="k").timeout.read),
    "aiohttp": ("300 s for the whole exchange", lambda aiohttp: aiohttp.client.DEFAULT_TIMEOUT.total),
    "urllib3": ("none", lambda urllib3: urllib3.HTTPConnectionPool("localhost").timeout.read_timeout),
    "anthropic": ("600 s", lambda anthropic: anthropic.Anthropic(api_key="k").timeout.read),
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_the_library_has_the_default_that_the_contract_names(name: str) -> None:
    default, read = DEFAULTS[name]
    seconds = read(pytest.importorskip(name))
    assert clients()[name].contract.default_timeout == default
    assert default.removesuffix(" for the whole exchange") == ("none" if seconds is None else f"{seconds:g} s")


def test_the_default_of_httpx_ends_a_silence(fake_ollama: FakeOllama) -> None:
    """The only default that ends within a test's time."""
    fake_ollama.play("chat-stream", stall_at(after_head()))
    begun = time.monotonic()
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{fake_ollama.url}/api/chat", json={"model": "any"})
    assert time.monotonic() - begun > 4.9
