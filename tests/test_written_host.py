"""OLLAMA_HOST as people write it: what each program makes of it, and one line that all read alike."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama._client import _parse_host

from ollama_harness.doctor._written_host import readings, written_host
from ollama_harness.network.ollama_host import go_client_url, ollama_server_address, ollama_url

pytestmark = pytest.mark.same_everywhere

LOCAL = "http://127.0.0.1:11434"

#: A value, the line for clients, the place for the server where it is another, and what is wrong.
WRITTEN = [
    ("", LOCAL, "", ""),
    ("127.0.0.1", LOCAL, "", ""),
    ("localhost:8080", "http://localhost:8080", "", ""),
    ("Localhost", "http://localhost:11434", "", ""),
    ("http://localhost:8080", "http://localhost:8080", "", ""),
    ("http://ollama.lan:8080/ollama", "http://ollama.lan:8080/ollama", "", "path"),
    ("[::1]:8080", "http://[::1]:8080", "", ""),
    ('"127.0.0.1:8080"', "http://127.0.0.1:8080", "", "quotes"),
    ("'localhost'", "http://localhost:11434", "", "quotes"),
    ("\u201c127.0.0.1\u201d", LOCAL, "", "quotes"),
    ('" 127.0.0.1:8080 "', "http://127.0.0.1:8080", "", "quotes"),
    (" 127.0.0.1:8080 ", "http://127.0.0.1:8080", "", "blanks"),
    ("127.0.0.1:8080\r\n", "http://127.0.0.1:8080", "", "blanks"),
    ("127.0.0.1 : 8080", "http://127.0.0.1:8080", "", "blanks"),
    ("http://127.0.0.1", LOCAL, "", "port-of-scheme"),
    ("https://ollama.lan", "https://ollama.lan:443", "", "port-of-scheme"),
    ("http://localhost:8080/", "http://localhost:8080", "", "slash"),
    ("http://localhost:8080//", "http://localhost:8080", "", "slash"),
    ("http://localhost:8080/api", "http://localhost:8080", "", "path"),
    ("http://localhost:8080/v1/", "http://localhost:8080", "", "path"),
    ("http://localhost:8080?a=b", "http://localhost:8080", "", "query"),
    ("0.0.0.0", LOCAL, "0.0.0.0:11434", "everywhere"),
    ("http://0.0.0.0:8080", "http://127.0.0.1:8080", "0.0.0.0:8080", "everywhere"),
    ("0", LOCAL, "0.0.0.0:11434", "everywhere"),
    ("*", LOCAL, "0.0.0.0:11434", "everywhere"),
    ("*:8080", "http://127.0.0.1:8080", "0.0.0.0:8080", "everywhere"),
    ("::", LOCAL, "[::]:11434", "brackets everywhere"),
    ("[::]:8080", "http://127.0.0.1:8080", "[::]:8080", "everywhere"),
    (":8080", "http://127.0.0.1:8080", "", "no-host"),
    ("8080", "http://127.0.0.1:8080", "", "port-alone"),
    ("::1", "http://[::1]:11434", "", "brackets"),
    ("::1:8080", "http://[::1]:8080", "", "brackets"),
    ("::1:11434", "http://[::1]:11434", "", "brackets"),
    ("http://::1:8080", "http://[::1]:8080", "", "brackets"),
    ("2001:db8::1", "http://[2001:db8::1]:11434", "", "brackets"),
    ("127.0.0.1:8080,10.0.0.5:8080", "http://127.0.0.1:8080", "", "several"),
    ("127.0.0.1 10.0.0.5", LOCAL, "", "several"),
    ("127.0.0.1;0.0.0.0", LOCAL, "0.0.0.0:11434", "several everywhere"),
    ("127.0.0.1:8080;", "http://127.0.0.1:8080", "", "separator"),
    ("[127.0.0.1]:8080", "http://127.0.0.1:8080", "", "brackets"),
    ("HTTP://127.0.0.1:8080", "http://127.0.0.1:8080", "", "scheme"),
    ("http:/127.0.0.1:8080", "http://127.0.0.1:8080", "", "scheme"),
    ("http:127.0.0.1:8080", "http://127.0.0.1:8080", "", "scheme"),
    ("http//127.0.0.1:8080", "http://127.0.0.1:8080", "", "scheme"),
    ("//127.0.0.1:8080", "http://127.0.0.1:8080", "", "scheme"),
    ("tcp://127.0.0.1:8080", "http://127.0.0.1:8080", "", "scheme"),
    ("http:8080", "http://http:8080", "", ""),
    ("127.0.0.1:99999", LOCAL, "", "port"),
    ("127.0.0.1:abc", LOCAL, "", "port"),
    ("127.0.0.1:0", LOCAL, "", "port"),
    ("127.0.0.1:", LOCAL, "", "port"),
    ("127.0.0.1:08080", "http://127.0.0.1:8080", "", "port"),
    ("http://user:s3cret@127.0.0.1:8080", "http://127.0.0.1:8080", "", "credentials"),
    ("http://user:s3cret%24@127.0.0.1:8080", "http://127.0.0.1:8080", "", "credentials"),
    ("http://${USER}:${PASSWORD}@127.0.0.1:8080", "http://127.0.0.1:8080", "", "credentials"),
    ("{{ host }}", LOCAL, "", "placeholder"),
    ("ollama.com", "https://ollama.com:443", "", "ollama.com"),
    ("b\u00fccher.lan", "http://xn--bcher-kva.lan:11434", "", "ascii"),
    ("OLLAMA_HOST=127.0.0.1:8080", "http://127.0.0.1:8080", "", "assignment"),
    ("export OLLAMA_HOST=127.0.0.1:8080", "http://127.0.0.1:8080", "", "assignment"),
    ("$HOST:11434", LOCAL, "", "placeholder"),
    ("${HOST}", LOCAL, "", "placeholder"),
    ("%HOST%", LOCAL, "", "placeholder"),
    ("None", LOCAL, "", "placeholder"),
    ("a_b.lan!", LOCAL, "", "host"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "url", "listen", "codes"), WRITTEN, ids=[ascii(row[0]) for row in WRITTEN])
def test_what_was_meant(value: str, url: str, listen: str, codes: str) -> None:
    found = written_host(value)
    assert found.url == url
    assert " ".join(one.code for one in found.problems) == codes
    assert found.everywhere is bool(listen)
    assert found.listen == listen or url.endswith(f"://{found.listen}") or found.listen in url
    assert "s3cret" not in str(found.problems)


#: Measured with Ollama's own package for Go, 0.17.4, on which its server and its command line are built.
GO = [
    ("", "http://127.0.0.1:11434"),
    (":8080", "http://:8080"),
    ("http://127.0.0.1", "http://127.0.0.1:80"),
    ("http://127.0.0.1:8080/ollama", "http://127.0.0.1:8080/ollama"),
    ("https://ollama.example", "https://ollama.example:443"),
    ("ollama.example/path", "http://ollama.example:11434/path"),
    ("ollama.com", "https://ollama.com:443"),
    ("0.0.0.0", "http://0.0.0.0:11434"),
    ("*:8080", "http://*:8080"),
    ("::", "http://[::]:11434"),
    ("::1", "http://[::1]:11434"),
    ("::1:8080", "http://[::1:8080]:11434"),
    ('"127.0.0.1:8080"', "http://127.0.0.1:8080"),
    (" 127.0.0.1:8080 ", "http://127.0.0.1:8080"),
    ("127.0.0.1:8080,192.168.1.5:8080", "http://[127.0.0.1:8080,192.168.1.5:8080]:11434"),
    ("HTTP://127.0.0.1:8080", "HTTP://127.0.0.1:8080"),
    ("Http://127.0.0.1", "Http://127.0.0.1:11434"),
    ("http:/127.0.0.1:8080", "http://http:11434/127.0.0.1:8080"),
    ("127.0.0.1:99999", "http://127.0.0.1:11434"),
    ("http://127.0.0.1:8080?x=1", "http://127.0.0.1:80"),
    ("8080", "http://8080:11434"),
]


@pytest.mark.parametrize(("value", "url"), GO)
def test_what_go_makes_of_it(value: str, url: str) -> None:
    assert go_client_url(value) == url
    assert url.partition("://")[2].startswith(ollama_server_address(value))


def test_each_program_says_what_it_makes_of_a_value() -> None:
    assert readings("::1") == {
        "ollama serve": "listens on [::1]:11434",
        "ollama (command line, Go)": "http://[::1]:11434",
        "ollama (Python)": "import ollama fails: Port could not be cast to integer value as ':1'",
        "ollama (JavaScript)": "http://127.0.0.1:11434: it does not read OLLAMA_HOST",
    }


values = (
    st.sampled_from([row[0] for row in WRITTEN])
    | st.text(st.sampled_from("ab01.:/[]*\"' ,;%@$?#\\-_\u00fcHTPtp\n\u201c") | st.characters(), max_size=20)
    | st.lists(
        st.sampled_from(["http", "://", "/", ":", "::", "1", "80", "[", "]", " ", '"', "a", "@", "%", "."]), max_size=9
    ).map("".join)
)


@given(values)
def test_the_line_is_right_for_all(value: str) -> None:
    found = written_host(value)
    url = found.url
    assert re.fullmatch(r"https?://([a-z0-9_.-]+|\[[0-9a-f:.]+(%[^\]]*)?\]):[0-9]+(/.*[^/])?", url), url
    if "%" not in url:
        assert _parse_host(url) == ollama_url(url) == go_client_url(url) == url
        assert ollama_server_address(found.listen) == found.listen


@given(values)
def test_a_line_that_was_given_is_as_it_should_be(value: str) -> None:
    once = written_host(value).url
    again = written_host(once)
    assert again.url == once
    assert {one.code for one in again.problems} <= {"path", "zone"}


@given(values)
def test_where_nothing_is_wrong_all_programs_agree(value: str) -> None:
    found = written_host(value)
    assert found.problems or (ollama_url(value), go_client_url(value).lower()) == (found.url, found.url)
