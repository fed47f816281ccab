"""Settings of a machine: the proxies that they name, passwords in them, and OLLAMA_HOST."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama._client import _parse_host

from ollama_harness.network.named_proxies import named_proxies, with_proxies
from ollama_harness.network.ollama_host import ollama_server_address, ollama_url
from ollama_harness.network.settings import Mac, Registry, Settings, System, hidden

pytestmark = pytest.mark.same_everywhere


def posix(**variables: str) -> Settings:
    return Settings(system=System.POSIX, variables=variables)


@pytest.mark.parametrize(
    ("written", "replaced"),
    [
        ("http://proxy:8080", "http://127.0.0.1:9"),
        ("proxy:8080", "127.0.0.1:9"),
        ("proxy", "127.0.0.1:9"),
        ("socks5h://user:se/c@ret@[::1]:1080/", None),
        ("socks5h://user:secret@[::1]:1080/", "socks5h://user:secret@127.0.0.1:9/"),
        ("http://", None),
        ("http://proxy:99999", None),
        ("http://127.0.0.1:9:9", None),
        ("http://bad..name:80", None),
        ("no such thing", None),
    ],
)
def test_only_what_is_a_proxy_is_replaced(written: str, replaced: str | None) -> None:
    settings = with_proxies(
        posix(HTTP_PROXY=written, NO_PROXY="proxy:8080", OLLAMA_HOST="proxy"), lambda _: "127.0.0.1:9"
    )
    assert settings == posix(HTTP_PROXY=replaced or written, NO_PROXY="proxy:8080", OLLAMA_HOST="proxy")
    assert [one.setting for one in named_proxies(posix(HTTP_PROXY=written))] == ["HTTP_PROXY"] * (replaced is not None)


def test_each_setting_that_names_a_proxy_is_told_apart() -> None:
    registry = Registry(enable=1, server="http=a:1;https=b:2;socks=c:3", override="a")
    windows = Settings(system=System.WINDOWS, registry=registry, variables={"ALL_PROXY": "d:4"})
    assert [(one.setting, one.url) for one in named_proxies(windows)] == [
        ("ALL_PROXY", "http://d:4"),
        *(("ProxyServer", f"http://{place}") for place in ("a:1", "b:2", "c:3")),
    ]
    mac = Settings(system=System.MACOS, mac=Mac(http="a:1", socks="b:2"))
    assert [one.setting for one in named_proxies(mac)] == ["the HTTP proxy of macOS", "the SOCKS proxy of macOS"]


@given(st.text(), st.text())
def test_what_is_not_replaced_stays_whatever_it_is(proxy: str, other: str) -> None:
    settings = Settings(
        system=System.WINDOWS,
        variables={"HTTP_PROXY": proxy, "OTHER": other},
        registry=Registry(server=proxy, override=other),
    )
    found = {one.address for one in named_proxies(settings)}
    assert with_proxies(settings, lambda one: one.address) == settings or found


@given(st.sampled_from(["", "http://", "http=", "//", "http=http://"]), st.text("s:/@;=,#", max_size=5))
def test_no_password_is_left(before: str, around: str) -> None:
    assert "secret" not in hidden(f"{before}user:{around}secret{around}@proxy:8080")


HOSTS = str.split("""localhost 127.0.0.1 0.0.0.0 :8080 localhost: localhost:0 localhost:99999 localhost:x http://localhost
    https://localhost http://localhost:8080/ollama/ localhost/path ::1 [::1] [::1]:8080 http://[::1 http:// "localhost"
    '127.0.0.1:8080' ollama.com ftp://host user:secret@localhost BÜCHER.example :// http://http://x ///""")


@pytest.mark.parametrize("host", [None, "", " ", " localhost ", *HOSTS])
def test_ollama_host_means_what_the_client_makes_of_it(host: str | None) -> None:
    try:
        expected = _parse_host(host)
    except ValueError as error:
        with pytest.raises(type(error)):
            ollama_url(host)
    else:
        assert ollama_url(host) == expected


@pytest.mark.parametrize(
    ("host", "address"),
    [
        # TestHost of Ollama's envconfig/config_test.go
        (None, "127.0.0.1:11434"),
        ("", "127.0.0.1:11434"),
        ("1.2.3.4", "1.2.3.4:11434"),
        (":1234", ":1234"),
        ("1.2.3.4:1234", "1.2.3.4:1234"),
        ("example.com", "example.com:11434"),
        ("example.com:1234", "example.com:1234"),
        (":0", ":0"),
        (":66000", ":11434"),
        (":-1", ":11434"),
        ("[::1]", "[::1]:11434"),
        ("[::]", "[::]:11434"),
        ("::1", "[::1]:11434"),
        ("[::1]:1337", "[::1]:1337"),
        (" 1.2.3.4 ", "1.2.3.4:11434"),
        ('"1.2.3.4"', "1.2.3.4:11434"),
        (' " 1.2.3.4 " ', "1.2.3.4:11434"),
        ("'1.2.3.4'", "1.2.3.4:11434"),
        ("http://1.2.3.4", "1.2.3.4:80"),
        ("http://1.2.3.4:4321", "1.2.3.4:4321"),
        ("https://1.2.3.4", "1.2.3.4:443"),
        ("https://1.2.3.4:4321", "1.2.3.4:4321"),
        ("https://example.com/ollama", "example.com:443"),
        # and what follows from Go's own functions
        ("ollama.com", "ollama.com:443"),
        ("http://localhost:x", "localhost:80"),
        ("localhost:", "localhost:11434"),
        ("::ffff:1.2.3.4", "1.2.3.4:11434"),
        ("1.2.3.4:1:2", "[1.2.3.4:1:2]:11434"),
    ],
)
def test_ollama_host_means_what_the_server_makes_of_it(host: str | None, address: str) -> None:
    assert ollama_server_address(host) == address
