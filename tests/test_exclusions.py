"""NO_PROXY as people write it: the entry that is the cause, and a list that real clients read."""

from __future__ import annotations

import os
import urllib.request
from unittest import mock
from urllib.parse import urlsplit

import httpx
import pytest
import requests.utils
from hypothesis import given
from hypothesis import strategies as st

from ollama_harness.doctor._exclusions import Exclusion, exclusion, meant_for
from ollama_harness.network.settings import Settings, System

pytestmark = pytest.mark.same_everywhere

NAME, ADDRESS = "http://localhost:11434", "http://127.0.0.1:11434"
IPV6, OTHER = "http://[::1]:11434", "http://ollama.lan:8080"
PROXY = "http://127.0.0.1:9"


def settings(upper: str | None = None, lower: str | None = None, system: System = System.POSIX) -> Settings:
    values = {"HTTP_PROXY": PROXY, "NO_PROXY": upper, "no_proxy": lower}
    return Settings(system=system, variables={name: value for name, value in values.items() if value is not None})


@pytest.mark.parametrize(
    ("listed", "url", "entry", "why"),
    [
        ("10.0.0.1,127.0.0.0/8", ADDRESS, "127.0.0.0/8", "a network, which Go, curl and requests read"),
        ("127.0.0.0/8", NAME, "127.0.0.0/8", "a network is for addresses, and the URL has a name"),
        ("::1/128", IPV6, "::1/128", "a network"),
        ("127.*", ADDRESS, "127.*", "few clients read a pattern"),
        ("*.lan", OTHER, "*.lan", "few clients read a pattern"),
        ("ollama.*", OTHER, "ollama.*", "few clients read a pattern"),
        (".ollama.lan", OTHER, ".ollama.lan", "only names below it"),
        ("localhost:11434", NAME, "localhost:11434", "not every client reads a port"),
        ("[::1]", IPV6, "[::1]", "brackets"),
        ("[::1]:11434", IPV6, "[::1]:11434", "port"),
        ('"localhost,127.0.0.1"', NAME, '"localhost', "the quotes are part of the entry"),
        ("'localhost'", NAME, "'localhost'", "the quotes are part of the entry"),
        ("localhost;127.0.0.1", ADDRESS, "localhost;127.0.0.1", "commas alone"),
        ("localhost 127.0.0.1", NAME, "localhost 127.0.0.1", "commas alone"),
        ("<local>", NAME, "<local>", "Windows' dialogue"),
        ("http://localhost", NAME, "http://localhost", "no URL"),
        ("http://localhost:11434/", NAME, "http://localhost:11434/", "no URL"),
        ("example.com,*", NAME, "*", "the whole list"),
        ("127.0.0.1", NAME, "127.0.0.1", "the URL says localhost"),
        ("localhost", ADDRESS, "localhost", "the URL says 127.0.0.1"),
        ("b\u00fccher.lan", "http://xn--bcher-kva.lan", "b\u00fccher.lan", "xn--bcher-kva.lan"),
    ],
)
def test_an_entry_that_was_meant_for_the_host_is_named(listed: str, url: str, entry: str, why: str) -> None:
    (found,) = meant_for(settings(lower=listed), url)
    assert (found.variable, found.entry) == ("no_proxy", entry)
    assert why in found.why


@pytest.mark.parametrize(
    ("listed", "url"),
    [
        ("", NAME),
        ("example.com", NAME),
        ("localhost", NAME),
        ("LocalHost", NAME),
        ("127.0.0.1", ADDRESS),
        ("::1", IPV6),
        ("*", NAME),
        ("localhost:1", NAME),
        ("10.0.0.0/8", ADDRESS),
        ("10.0.0.0/8", NAME),
        ("10.*", ADDRESS),
        ("<local>", OTHER),
        ("lan", OTHER),
        ("127.0.0.0/8,localhost", NAME),
        (";, ;''", NAME),
    ],
)
def test_an_entry_for_another_host_or_that_all_read_is_no_cause(listed: str, url: str) -> None:
    assert meant_for(settings(lower=listed), url) == ()


def test_spellings_that_disagree_are_the_cause() -> None:
    (found,) = meant_for(settings(upper="localhost", lower="example.com"), NAME)
    assert (found.variable, found.entry) == ("NO_PROXY", "localhost")
    assert found.why.startswith("no_proxy is another list")
    assert meant_for(settings(upper="localhost, example.com", lower="localhost,example.com"), NAME) == ()
    assert meant_for(settings(upper="localhost", system=System.WINDOWS), NAME) == ()


@pytest.mark.parametrize(
    ("listed", "value"),
    [
        ("", "localhost,127.0.0.1,::1"),
        ("localhost,127.0.0.1,::1", "localhost,127.0.0.1,::1"),
        ("a.example, 10.0.0.0/8 ,*.lan", "a.example,10.0.0.0/8,*.lan,localhost,127.0.0.1,::1"),
        ("localhost;a.example b.example", "localhost,a.example,b.example,127.0.0.1,::1"),
        ('"a.example,b.example"', "a.example,b.example,localhost,127.0.0.1,::1"),
        ("[::1],[fd00::1]:80", "::1,fd00::1,localhost,127.0.0.1"),
        ("::1/128", "::1,localhost,127.0.0.1"),
        ("http://a.example:80/x", "a.example:80,localhost,127.0.0.1,::1"),
        ("b\u00fccher.example", "xn--bcher-kva.example,localhost,127.0.0.1,::1"),
        ("<local>", "<local>,localhost,127.0.0.1,::1"),
        ("*", "*,localhost,127.0.0.1,::1"),
        ("fd00::/8,a:b", "localhost,127.0.0.1,::1"),
    ],
)
def test_the_new_list_holds_what_was_there_in_words_that_are_read(listed: str, value: str) -> None:
    assert exclusion(settings(upper=listed), NAME).value == value


def test_what_changes_is_said() -> None:
    found = exclusion(settings(upper="[::1];a.example", lower="fd00::/8"), NAME)
    assert found.value == "::1,a.example,localhost,127.0.0.1"
    assert found.changes == (
        "programs started from this shell go direct to localhost, 127.0.0.1",
        "NO_PROXY and no_proxy are now the same list, with the entries of both",
        "[::1];a.example is now written ::1,a.example",
        "fd00::/8 is left out: httpx cannot be made with a network of IPv6",
    )


entries = st.text(st.sampled_from("a.:*/[]\"'<>%@~ ;,-019fl#?\\^|\u00fc\u201c"), max_size=12) | st.sampled_from(
    [
        "localhost",
        "127.0.0.0/8",
        "::1",
        "[::1]",
        "fd00::/8",
        "*",
        "*.lan",
        "a.example:80",
        "http://a.example",
        "<local>",
    ]
)
lists = st.lists(entries, max_size=4).map(",".join)


@given(lists, lists | st.none(), st.sampled_from([NAME, ADDRESS, IPV6, OTHER]))
def test_every_client_goes_direct_with_the_new_list(upper: str, lower: str | None, url: str) -> None:
    found = exclusion(settings(upper=upper, lower=lower), url)
    variables = {"HTTP_PROXY": PROXY, "NO_PROXY": found.value, "no_proxy": found.value}
    host = urlsplit(url).hostname or ""
    with mock.patch.dict(os.environ, variables, clear=True):
        with httpx.Client() as client:
            assert client._transport_for_url(httpx.URL(url)) is client._transport
        assert requests.utils.should_bypass_proxies(url, None)
        assert urllib.request.proxy_bypass_environment(host) or found.value.startswith("*")


@given(lists, lists, st.sampled_from([NAME, ADDRESS, OTHER]))
def test_a_new_list_needs_no_other(upper: str, lower: str, url: str) -> None:
    once = exclusion(settings(upper=upper, lower=lower), url).value
    again = exclusion(settings(upper=once, lower=once), url)
    assert again == Exclusion(value=once, added=(), rewritten=(), left_out=(), merged=False)


@given(lists, st.sampled_from([NAME, ADDRESS, IPV6, OTHER]))
def test_whatever_is_written_has_a_cause_or_none(listed: str, url: str) -> None:
    found = meant_for(settings(lower=listed), url)
    told = [one for one in found if one.entry in listed and one.why]
    assert told == list(found)
