"""docs/proxies.md is made from results: what was measured, what is asked for, and what was missed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ollama_harness.errors import ResultsError
from ollama_harness.matrix.results import FILE, SCHEMA, Result, Results, ResultsHeader, Writer
from ollama_harness.network.environments import ENVIRONMENTS
from ollama_harness.oracle.verdict import Verdict
from pages import proxies_other_clients_page as others
from pages.page import NotComparable, Sources
from pages.proxies_page import PAGE, made_with, page
from pages.proxy_messages import MESSAGES

pytestmark = pytest.mark.same_everywhere

ROOT = Path(__file__).parent.parent

HEADER = ResultsHeader(
    schema=SCHEMA,
    harness="0",
    os="Linux x86_64",
    python="3.11.7",
    clients={"httpx": "1", "ollama": "2", "requests": "3", "urllib": "3.11.7"},
    recordings={},
    planned=0,
    started_at="",
)


def result(client: str, scenario: str, host: str, route: str | None, **more: object) -> Result:
    values: dict[str, object] = {
        "client": client,
        "scenario": scenario,
        "recording": "0.32.15/generate-cold",
        "requirement": "MUST",
        "layer": "http",
        "verdict": Verdict.PASS,
        "why": "",
        "end": "",
        "due": 9,
        "got": 9,
        "host": host,
        "route": route,
    }
    return Result(**{**values, **more})  # type: ignore[arg-type]


def made_up(*cells: Result, **header: object) -> Results:
    return Results(replace(HEADER, **header), cells)  # type: ignore[arg-type]


def row(text: str, name: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(f"| `{name}` |"))
    return [cell.strip() for cell in line.strip("|").split(" | ")]


def test_a_row_says_what_was_asked_for_and_what_was_missed() -> None:
    text = page(
        made_up(
            result("httpx", "issue-9549", "localhost", "proxied", verdict=Verdict.MISROUTED),
            result("httpx", "issue-9549", "127.0.0.1", "direct"),
            result("httpx", "issue-9549", "[::1]", "proxied", requirement="OBSERVE"),
            result("httpx-async", "issue-9549", "localhost", "direct"),
            result("ollama", "issue-9549", "127.0.0.1", "nowhere", verdict=Verdict.CRASH),
            result("requests", "issue-9549", "localhost", None),
            result("canary-perfect", "issue-9549", "localhost", "tls"),
        )
    )
    name, settings, must, httpx, ollama, requests, urllib = row(text, "issue-9549")
    assert name == "`issue-9549`"
    assert "`ProxyServer=127.0.0.1:7890`" in settings
    assert "`ProxyOverride=localhost;127.*;…;<local>`" in settings
    assert (must, httpx, ollama, requests, urllib) == ("DD.", "P!DP / D", "-!", "?", "")


def test_what_is_disputed_asks_for_nothing() -> None:
    assert row(page(made_up()), "registry-blanks")[2] == "..."


def test_markup_in_a_summary_is_text() -> None:
    assert r"\<local>: the box" in row(page(made_up()), "registry-local")[1]


def test_a_message_names_the_environments_where_it_came() -> None:
    failed = {"raised": "ollama._types.ResponseError", "message": " (status code: 502)"}
    text = page(
        made_up(
            result("ollama", "http-proxy", "127.0.0.1", "proxied", **failed),
            result("ollama-async", "issue-9549", "127.0.0.1", "proxied", **failed),
        )
    )
    assert "Measured with ollama: `issue-9549`, `http-proxy`.\n" in text
    assert text.count("Not measured in this run.") == len(MESSAGES) - 1


@pytest.mark.parametrize(
    ("python", "said"),
    [
        ("3.11.7", "Python 3.11 (before 3.11.9)"),
        ("3.11.14", "Python 3.11 (from 3.11.9)"),
        ("3.12.2", "Python 3.12 (before 3.12.3)"),
        ("3.12.3", "Python 3.12 (from 3.12.3)"),
        ("3.14.0rc1", "Python 3.14"),
    ],
)
def test_the_patch_of_python_is_named_only_where_it_matters(python: str, said: str) -> None:
    header = replace(HEADER, python=python)
    assert made_with(header) == f"Linux with {said}, httpx 1, ollama 2, requests 3"


def sources(routes: Path, *, there: str = "") -> Sources:
    return Sources(scratch=routes, routes=routes, there=there, checking=True, with_clients=False)


def test_the_check_compares_what_can_be_compared(tmp_path: Path) -> None:
    with Writer(tmp_path, planned=len(ENVIRONMENTS), recordings={}) as writer:
        for name in ENVIRONMENTS:
            writer.add(result("httpx", name, "localhost", "direct"))
        results = writer.finish(clients={"httpx": "1"})
    text = PAGE.make(sources(tmp_path))
    assert PAGE.make(sources(tmp_path / FILE, there=text)) == text == page(results)
    another = text.replace("httpx 1", "httpx 0")
    assert PAGE.make(sources(tmp_path, there=another)) == another, "only the version differs"
    with pytest.raises(NotComparable, match="not made on"):
        PAGE.make(sources(tmp_path, there=text.replace(made_with(results.header), "another machine")))


def test_results_without_all_environments_say_so(tmp_path: Path) -> None:
    with Writer(tmp_path, planned=1, recordings={}) as writer:
        writer.add(result("httpx", "issue-9549", "localhost", "direct"))
        writer.finish(clients={})
    with pytest.raises(ResultsError, match="run again: ollama-harness run --environments"):
        PAGE.make(sources(tmp_path))


def test_the_page_has_every_environment() -> None:
    text = "".join((ROOT / "docs" / f"{name}.md").read_text("utf-8") for name in ("proxies", "proxies-other-clients"))
    assert ENVIRONMENTS
    assert [name for name in ENVIRONMENTS if f"| `{name}` |" not in text] == []


def test_no_message_is_without_a_measurement() -> None:
    assert "Not measured" not in (ROOT / "docs" / "proxies.md").read_text("utf-8")


def test_the_page_of_other_clients_has_what_could_be_asked(tmp_path: Path) -> None:
    cells = [
        result("curl", "issue-9549", "localhost", None, verdict=Verdict.UNSUPPORTED),
        result("curl", "no-proxy-star", "localhost", "direct"),
        result("reqwest", "no-proxy-star", "127.0.0.1", "proxied", verdict=Verdict.MISROUTED),
        result("fetch", "node-env-proxy", "localhost", "proxied", requirement="OBSERVE"),
    ]
    text = others.page(made_up(*cells, clients=dict.fromkeys(("curl", "fetch", "httpx2", "reqwest"), "1")))
    columns = next(line for line in text.splitlines() if line.startswith("| environment | settings | must | "))
    taken = dict(zip([one.strip() for one in columns.strip("|").split(" | ")], row(text, "no-proxy-star"), strict=True))
    assert (taken["must"], taken["curl"], taken["reqwest"], taken["httpx2"]) == ("DDD", "D", "P!", "")
    assert "| `issue-9549` |" not in text
    assert "| fetch | NODE_USE_ENV_PROXY |  |  | P |" in text
    with pytest.raises(NotComparable, match="--all-clients"):
        others.PAGE.make(Sources(scratch=tmp_path, routes=None, there="", checking=True, with_clients=False))
