"""What Go's HTTP server and Ollama's guard refuse: requests that real servers answered, and any bytes at all."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from builders import A_FEW
from hypothesis import given
from hypothesis import strategies as st

from ollama_harness.answers import RULES, Asked, Step, World, answer
from ollama_harness.answers.fitting import fitted
from ollama_harness.answers.go.go_body import read_go_body
from ollama_harness.answers.go.go_request import Flaw, GoHead, read_go_head
from ollama_harness.answers.go.go_url import clean_path, parse_target, split_host_port
from ollama_harness.answers.rules.routes import routing
from ollama_harness.script.message_parts import Chunk, Head, LastChunk, Raw
from ollama_harness.script.script import ConnectionEnd, Script, ScriptEnd, Segment

pytestmark = pytest.mark.same_everywhere

VERSIONS = ("0.5.7", "0.9.6", "0.12.11", "0.24.0", "0.32.15")
REQUESTS = Path(__file__).parent.parent / "fixtures" / "requests"
OURS = re.compile(r"(http|host|origin|path)-.*|\w+-method-\w+|\w+-(slash|double|upper|query)")
GUARDED = (Step.PROTOCOL, Step.GUARD)


@functools.cache
def requests(version: str) -> dict[str, dict[str, Any]]:
    lines = (REQUESTS / f"{version}.jsonl").read_text("utf-8").splitlines()
    return {one["id"]: one for one in map(json.loads, lines)}


def wire_of(request: dict[str, Any]) -> bytes:
    """The bytes that were asked, as the program that recorded them wrote them."""
    if request.get("raw"):
        return str(request["raw"]).encode("latin-1")
    headers = {"Host": "127.0.0.1:11434", **dict(request["headers"])}
    body = (request["body"] or "").encode()
    if request["body"] is not None:
        headers |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
    lines = [f"{request['method']} {request['target']} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def asked_of(wire: bytes, *, ended: bool = False) -> Asked:
    read = read_go_head(wire, ended=ended)
    assert read is not None
    body = b"" if read.flaw else read_go_body(wire[read.head.size :], read.head, ended=ended).data
    return Asked.of(read.head, body, flaw=read.flaw)


def head(wire: bytes) -> GoHead:
    read = read_go_head(wire)
    assert read is not None
    return read


def get(target: str, *headers: tuple[str, str], method: str = "GET", version: str = "HTTP/1.1") -> Asked:
    return Asked(method=method, target=target, version=version, headers=(("Host", "localhost"), *headers))


def status_of(asked: Asked, version: str = "0.32.15", **world: Any) -> int | None:
    found = answer(asked, World(version=version, **world), steps=GUARDED)
    return None if found is None else found.reply.status


# ------------------------------------------------------------------------------------------------ recorded requests


def sent(asked: Asked, world: World) -> tuple[int, str, list[list[str]], bytes, bool] | None:
    """What refuses a request, as it is on the wire: status, reason, headers, body, and whether the connection ends."""
    found = answer(asked, world, steps=GUARDED)
    if found is None:
        return None
    script = fitted(found.reply.script(asked.method), asked, world, handled=False)
    assert script.head is not None
    assert found.reply.bare or "Date" in dict(script.head.headers)
    headers = [[name, value] for name, value in script.head.headers if name != "Date"]
    body = b"" if asked.method == "HEAD" else found.reply.body
    return script.head.status, script.head.reason, headers, body, script.ending.how is ConnectionEnd.CLOSE


def received(real: dict[str, Any]) -> tuple[int, str, list[list[str]], bytes, bool]:
    headers = [header for header in real["headers"] if header[0] != "Date"]
    closes = real["after"] == "closed" or real["end"] == "eof"
    return real["status"], real["reason"], headers, real["body"].encode("latin-1"), closes


def is_for_ollama(real: dict[str, Any]) -> bool:
    """Whether no answer of Go's server or of the guard came, so that no rule may be needed."""
    return "404 page" not in real["body"] and real["status"] not in (301, 307, 403, 405)


@pytest.mark.parametrize("version", VERSIONS)
def test_recorded_requests_are_refused_as_they_were_or_left_to_ollama(version: str) -> None:
    asked = {id_: one for id_, one in requests(version).items() if OURS.fullmatch(id_)}
    got = {id_: sent(asked_of(wire_of(one["request"])), World(version=version)) for id_, one in asked.items()}
    left = {id_ for id_ in asked if got[id_] is None and is_for_ollama(asked[id_])}
    assert left < set(asked)
    assert got == {id_: None if id_ in left else received(one) for id_, one in asked.items()}


def test_the_examples_of_a_rule_get_it_and_a_good_request_does_not() -> None:
    rules = {name: rule for name, rule in RULES.items() if rule.step in GUARDED}
    assert rules
    got, good = {}, {}
    for name, rule in rules.items():
        version = next(one for one in reversed(VERSIONS) if rule.holds_in(one))
        world = World(version=version)
        answered = [answer(asked_of(wire_of(requests(version)[id_]["request"])), world) for id_ in rule.examples]
        got[name] = {one and one.rule.id for one in answered}
        good[name] = rule.reply(get("/api/version"), world)
    assert any(rule.examples for rule in rules.values())
    assert got == {name: {name} if rule.examples else set() for name, rule in rules.items()}
    assert good == dict.fromkeys(rules)


# ------------------------------------------------------------------------------------------------ heads


FLAWS: list[tuple[bytes, Flaw]] = [
    (b"GET / HTTP/1.1\r\n\r\n", Flaw.NO_HOST),
    (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", Flaw.MALFORMED),
    (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", Flaw.BAD_HOST),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX Y: z\r\n\r\n", Flaw.BAD_NAME),
    (b"GET / HTTP/1.1\r\n Host: a\r\n", Flaw.MALFORMED),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n", Flaw.MALFORMED),
    (b"GET / HTTP/0.9\r\n\r\n", Flaw.BAD_VERSION),
    (b"GET / HTTP/1.10\r\n", Flaw.MALFORMED),
    (b"GET /%zz HTTP/1.1\r\n", Flaw.MALFORMED),
    (b"GET api HTTP/1.1\r\n", Flaw.MALFORMED),
    (b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\n", Flaw.MALFORMED),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", Flaw.BAD_CODING),
    (
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        Flaw.BAD_CODING,
    ),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775808\r\n\r\n", Flaw.MALFORMED),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 1_100_000, Flaw.TOO_LARGE),
    (b"G" * 1_100_000, Flaw.TOO_LARGE),
]


def test_a_head_with_a_flaw_is_refused() -> None:
    assert [(wire[:99], head(wire).flaw) for wire, _ in FLAWS] == [(wire[:99], flaw) for wire, flaw in FLAWS]


FLAWLESS: list[bytes] = [
    b"GET / HTTP/1.1\nHost: a\n\n",
    b"GET / HTTP/1.2\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n\tc\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost:\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3 \r\n\r\n",
    b"POST / HTTP/1.0\r\nTransfer-Encoding: gzip\r\n\r\n",
    b"GET http://a/b HTTP/1.1\r\nHost: c\r\n\r\n",
]


def test_a_head_that_go_takes_has_no_flaw() -> None:
    read = [(wire, head(wire)) for wire in FLAWLESS]
    assert [(wire, one.flaw, one.head.size) for wire, one in read] == [(wire, None, len(wire)) for wire in FLAWLESS]


def test_a_continued_line_is_one_header() -> None:
    assert head(b"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n \t c\r\n\r\n").head.headers[1] == ("X", "b c")


def test_line_ends_after_a_post_are_passed_over() -> None:
    wire = b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"
    read = read_go_head(wire, after_post=True)
    assert read is not None
    assert (read.flaw, read.head.size) == (None, len(wire))
    assert head(wire).flaw is Flaw.MALFORMED


BROKEN: list[tuple[bytes, str]] = [
    (b"zz\r\n", "invalid byte in chunk length"),
    (b"\r\n", "empty hex number for chunk length"),
    (b"1\nx", "chunked line ends with bare LF"),
    (b"1\r\r\n", "invalid CR in chunked line"),
    (b"1\r\nxyz", "malformed chunked encoding"),
    (b"11111111111111111\r\n", "http chunk length too large"),
    (b"5\r\nab", "unexpected EOF"),
    (b"0\r\n", "http: unexpected EOF reading trailer"),
]


def test_a_broken_chunked_body_has_the_error_of_go() -> None:
    chunked = head(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").head
    assert [(body, read_go_body(body, chunked, ended=True).error) for body, _ in BROKEN] == BROKEN


@A_FEW
@given(wire=st.binary(), ended=st.booleans())
def test_any_bytes_are_a_head_or_none_and_never_an_error(wire: bytes, ended: bool) -> None:
    read = read_go_head(wire, ended=ended)
    assert read is not None or not ended or not wire


PIECES = st.sampled_from(
    (
        *(b"GET", b"POST", b"OPTIONS", b" ", b"/", b"/api/chat", b"*", b"HTTP/1.1", b"HTTP/1.0", b"\r\n", b"\n"),
        *(b"Host: a", b"Host: evil", b"Origin: http://x", b"Expect: y", b"Content-Length: 2", b"Connection: close"),
        *(b"Transfer-Encoding: chunked", b"\x00", b"{}", b"0\r\n\r\n", b"://", b"%41", b"%", b"//", b"..", b"?"),
    )
)


@A_FEW
@given(pieces=st.lists(PIECES, max_size=14), version=st.sampled_from(VERSIONS))
def test_what_looks_like_a_request_is_refused_or_not_and_never_an_error(pieces: list[bytes], version: str) -> None:
    wire = b"".join(pieces)
    read = read_go_head(wire, ended=True)
    assert (read is None) == (wire == b"")
    if read is not None:
        asked, world = Asked.of(read.head, b"", flaw=read.flaw), World(version=version)
        first, second = (answer(asked, world, steps=GUARDED) for _ in range(2))
        assert first == second
        assert read.flaw is None or first is not None


@A_FEW
@given(head_bytes=st.integers(0, 200))
def test_a_head_needs_all_its_bytes(head_bytes: int) -> None:
    wire = b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nX: y\r\n z\r\nContent-Length: 2\r\n\r\n"
    read = read_go_head(wire[:head_bytes])
    assert (read is None) == (head_bytes < len(wire))


# ------------------------------------------------------------------------------------------------ paths


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("//api/chat", "/api/chat"),
        ("/api/./tags?x=1", "/api/tags?x=1"),
        ("/..", "/"),
        ("/api/tags//", "/api/tags/"),
        ("//%61pi", "/%2561pi"),
        ("//\xe4", "/%25E4"),
        ("http://localhost//api/tags", "/api/tags"),
    ],
)
def test_a_path_that_is_not_clean_is_redirected(target: str, location: str) -> None:
    found = answer(get(target), World(version="0.32.15"), steps=GUARDED)
    assert found is not None
    assert (found.rule.id, dict(found.reply.headers)["Location"]) == ("path-not-clean", location)


@pytest.mark.parametrize(
    ("method", "target", "status", "location"),
    [
        ("GET", "/api/tags/", 301, "/api/tags"),
        ("HEAD", "/api/tags/", 307, "/api/tags"),
        ("POST", "/api/chat/?x=1", 307, "/api/chat?x=1"),
        ("GET", "/v1/models/", 301, "/v1/models"),
        ("GET", "/v1/models/x/", 301, "/v1/models/x"),
        ("GET", "http://localhost/api/tags/", 301, "http://localhost/api/tags"),
        ("GET", "/api/chat/", 404, ""),
        ("POST", "/api/blobs/", 404, ""),
    ],
)
def test_a_slash_too_many_is_redirected_where_the_route_is(
    method: str, target: str, status: int, location: str
) -> None:
    found = answer(get(target, method=method), World(version="0.32.15"), steps=GUARDED)
    assert found is not None
    assert (found.reply.status, dict(found.reply.headers).get("Location", "")) == (status, location)


METHODS: list[tuple[str, str, tuple[str, ...]]] = [
    ("/api/tags", "0.5.7", ("HEAD", "GET")),
    ("/api/blobs/x", "0.9.6", ("HEAD", "POST")),
    ("/api/blobs/x/y", "0.9.6", ()),
    ("/api/blobs/", "0.9.6", ()),
    ("/v1/responses", "0.12.11", ()),
    ("/v1/responses", "0.24.0", ("POST",)),
    ("/v1/images/edits", "0.24.0", ("POST",)),
    ("/v1/images/edits", "0.32.15", ()),
]


def test_a_route_has_its_methods_in_its_versions() -> None:
    assert [(path, version, routing(version).methods(path)) for path, version, _ in METHODS] == METHODS


@A_FEW
@given(target=st.text(alphabet=st.characters(max_codepoint=255)))
def test_any_target_is_a_url_or_none(target: str) -> None:
    url = parse_target(target)
    assert url is None or parse_target(target) == url
    assert url is None or str(url) is not None


@A_FEW
@given(path=st.text(alphabet="/.ab"))
def test_a_clean_path_stays_as_it_is(path: str) -> None:
    cleaned = clean_path(path)
    assert cleaned.startswith("/")
    assert clean_path(cleaned) == cleaned


# ------------------------------------------------------------------------------------------------ Host and Origin


HOSTS: list[tuple[str, int | None]] = [
    ("localhost.", 403),
    ("LOCALHOST:1", None),
    ("x.internal", None),
    ("internal", 403),
    ("172.31.0.1", None),
    ("172.32.0.1", 403),
    ("[::1]:80", None),
    ("[::1]", 403),
    ("::1", None),
    ("[::ffff:127.0.0.1]:1", None),
    ("8.8.8.8", 403),
    ("", None),
]


def test_host_is_looked_at_while_ollama_listens_on_loopback() -> None:
    asked = [(host, Asked(method="GET", target="/api/tags", headers=(("Host", host),))) for host, _ in HOSTS]
    assert [(host, status_of(one)) for host, one in asked] == HOSTS
    assert [status_of(one, loopback=False) for _, one in asked] == [None] * len(HOSTS)


SPLIT: list[tuple[str, str]] = [
    ("a:1", "a"),
    ("a", "a"),
    ("[::1]:1", "::1"),
    ("[::1]", "[::1]"),
    ("a:b:c", "a:b:c"),
    ("a:", "a"),
    ("[a", "[a"),
]


def test_a_host_is_split_as_go_does() -> None:
    assert [(text, split_host_port(text)) for text, _ in SPLIT] == SPLIT


@pytest.mark.parametrize(
    ("origin", "status", "origins"),
    [
        ("http://localhost:3000", None, ()),
        ("HTTP://LOCALHOST", 403, ()),
        ("https://evil.example", 403, ()),
        ("https://evil.example", None, ("*",)),
        ("https://evil.example", None, ("https://evil.example",)),
        ("https://a.example.org", None, ("https://*.example.org",)),
        ("https://b.org", 403, ("https://*.example.org",)),
    ],
)
def test_an_origin_is_ollamas_or_the_users(origin: str, status: int | None, origins: tuple[str, ...]) -> None:
    assert status_of(get("/api/tags", ("Origin", origin)), origins=origins) == status


def test_the_page_of_the_server_itself_crosses_nothing() -> None:
    asked = Asked(method="GET", target="/x", headers=(("Host", "ollama.local"), ("Origin", "http://ollama.local")))
    found = answer(asked, World(version="0.32.15"), steps=GUARDED)
    assert found is not None
    assert [name for name, _ in found.reply.headers] == ["Content-Type"]


# ------------------------------------------------------------------------------------------------ fitting

STREAM = (("Content-Type", "application/x-ndjson"), ("Date", ""), ("Transfer-Encoding", "chunked"))
PLAIN = (("Content-Type", "application/json; charset=utf-8"), ("Date", ""), ("Content-Length", "2"))


def script(headers: tuple[tuple[str, str], ...], *parts: Chunk | LastChunk | Raw) -> Script:
    segments = (Segment(0.0, (Head(200, "OK", headers), *parts[:1])), Segment(0.5, parts[1:]))
    return Script(method="POST", segments=segments, ending=ScriptEnd(how=ConnectionEnd.KEEP_OPEN, at_s=0.5))


@pytest.fixture
def fit() -> Callable[[Script, Asked], tuple[bytes, ConnectionEnd]]:
    def fit_(one: Script, asked: Asked) -> tuple[bytes, ConnectionEnd]:
        rendered = fitted(one, asked, World(version="0.32.15"), handled=True).render(date="D")
        return rendered.wire, rendered.ending.how

    return fit_


Fit = Callable[[Script, Asked], tuple[bytes, ConnectionEnd]]
CHUNKS = (Chunk(b"{}\n"), Chunk(b"[]\n"), LastChunk())


def test_an_ordinary_request_gets_the_script_itself() -> None:
    one = script(STREAM, *CHUNKS)
    assert fitted(one, get("/api/chat", method="POST"), World(version="0.32.15"), handled=True) is one


def test_http_1_0_gets_no_chunks_and_the_end_of_the_connection(fit: Fit) -> None:
    wire, end = fit(script(STREAM, *CHUNKS), get("/", ("Connection", "keep-alive"), version="HTTP/1.0"))
    assert wire == b"HTTP/1.0 200 OK\r\nContent-Type: application/x-ndjson\r\nDate: D\r\n\r\n{}\n[]\n"
    assert end is ConnectionEnd.CLOSE


def test_http_1_0_keeps_the_connection_when_asked_and_the_length_is_known(fit: Fit) -> None:
    wire, end = fit(script(PLAIN, Raw(b"{}")), get("/", ("Connection", "keep-alive"), version="HTTP/1.0"))
    assert wire.endswith(b"Date: D\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\n{}")
    assert end is ConnectionEnd.KEEP_OPEN


def test_a_client_that_closes_is_told_so(fit: Fit) -> None:
    close = ("Connection", "close")
    wire, end = fit(script(STREAM, *CHUNKS), get("/", close))
    assert b"Date: D\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n" in wire
    assert end is ConnectionEnd.CLOSE
    wire, _ = fit(
        script((("Cache-Control", "no-cache"), ("Connection", "keep-alive"), *STREAM), *CHUNKS), get("/", close)
    )
    assert b"keep-alive" not in wire


def test_a_page_of_another_origin_may_read_the_answer(fit: Fit) -> None:
    wire, _ = fit(script(PLAIN, Raw(b"{}")), get("/", ("Origin", "app://x")))
    assert wire.startswith(b"HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: app://x\r\nContent-Type: ")
    assert b"charset=utf-8\r\nVary: Origin\r\nDate: D\r\n" in wire


def test_head_gets_no_body(fit: Fit) -> None:
    assert fit(script(STREAM, *CHUNKS), get("/", method="HEAD"))[0].endswith(b"x-ndjson\r\nDate: D\r\n\r\n")
    assert fit(script(PLAIN, Raw(b"{}")), get("/", method="HEAD"))[0].endswith(b"Content-Length: 2\r\n\r\n")


@pytest.mark.parametrize(
    ("path", "version", "text"),
    [
        ("/api/chat", "0.5.7", '{"error":"unexpected EOF"}'),
        (
            "/v1/completions",
            "0.12.11",
            '{"error":{"message":"unexpected EOF","type":"invalid_request_error","param":null,"code":null}}',
        ),
    ],
)
def test_a_body_that_breaks_off_is_the_error_of_its_reader(path: str, version: str, text: str) -> None:
    asked = Asked(method="POST", target=path, body=b'{"model": "x', body_error="unexpected EOF")
    found = answer(asked, World(version=version), steps=(Step.REQUEST,))
    assert found is not None
    assert (found.reply.status, found.reply.body.decode()) == (400, text)
