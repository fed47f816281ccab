"""The strict reader, compared with h11 where both should agree, and with RFC 9112 where h11 accepts more."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import h11
import pytest
from builders import cuts, message
from hypothesis import given
from hypothesis import strategies as st

from ollama_harness.errors import ProtocolError
from ollama_harness.script.http1 import (
    Body,
    RequestHead,
    ResponseHead,
    read_body,
    read_request_head,
    read_response_head,
)

pytestmark = pytest.mark.same_everywhere

CHUNKED = "Transfer-Encoding: chunked"


@dataclass(frozen=True)
class Message:
    """A valid message: its wire, and what it means."""

    wire: bytes
    body: bytes
    head_size: int
    method: str = "POST"


def body_of(wire: bytes, method: str = "GET") -> Body:
    head = read_response_head(wire)
    assert head is not None
    return read_body(wire[head.size :], head, method=method)


def chunks(wire: bytes) -> Body:
    """A chunked body alone."""
    return read_body(wire, ResponseHead(200, "OK", (("Transfer-Encoding", "chunked"),), 0), method="GET")


# ------------------------------------------------------------------------------------------- valid messages

tokens = st.text("abcXYZ019!#$%&'*+-.^_`|~", min_size=1, max_size=6)
values = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=8) | st.just("a b\tc")
fields = st.lists(st.tuples(tokens.map(lambda t: f"x-{t}"), values), max_size=3)
blanks = st.sampled_from(["", " ", "\t", "  \t"])
bodies = st.binary(max_size=40) | st.sampled_from([b"\r\n0\r\n\r\n", b"5\r\nhello\r\n"])


@st.composite
def chunked_bodies(draw: st.DrawFn) -> Message:
    """A body in chunks: sizes in either case and with leading zeros, extensions, a trailer section."""
    body = draw(bodies)
    wire = b""
    for data in draw(cuts(body)) if body else []:
        size = draw(st.sampled_from(["%x", "%X", "%04x", "00%X"])) % len(data)
        extension = draw(st.sampled_from(["", ";a=b", "; a = b", ';a="b;c"', ";flag;x=1", " \t"]))
        wire += f"{size}{extension}\r\n".encode() + data + b"\r\n"
    wire += draw(st.sampled_from([b"0\r\n", b"000\r\n", b"0;last\r\n"]))
    wire += "".join(f"{name}: {value}\r\n" for name, value in draw(fields)).encode()
    return Message(wire + b"\r\n", body, 0)


@st.composite
def messages(draw: st.DrawFn, first_line: str, *, framings: tuple[str, ...]) -> Message:
    framing = draw(st.sampled_from(framings))
    if framing == "chunked":
        inner = draw(chunked_bodies())
        payload, body = inner.wire, inner.body
    else:
        payload = body = b"" if framing == "nothing" else draw(bodies)
    lines = [f"{name}:{draw(blanks)}{value}{draw(blanks)}" for name, value in draw(fields)]
    lines += {
        "chunked": [draw(st.sampled_from([CHUNKED, "transfer-encoding:CHUNKED", "TRANSFER-ENCODING: Chunked\t"]))],
        "length": [
            draw(st.sampled_from(["Content-Length: %d", "content-length:%d ", "CONTENT-LENGTH: 0%d"])) % len(body)
        ],
        "close": [],
        "nothing": [],
    }[framing]
    lines = draw(st.permutations(lines))
    head = "\r\n".join([first_line, *lines, "", ""]).encode()
    return Message(head + payload, body, len(head))


@st.composite
def responses(draw: st.DrawFn) -> Message:
    method = draw(st.sampled_from(["GET", "POST", "HEAD"]))
    status = draw(st.sampled_from([200, 201, 204, 304, 307, 404, 502, 999]))
    reason = draw(st.sampled_from(["", "OK", "Not Found", "a\tb  c"]))
    framings = ("nothing",) if method == "HEAD" or status in (204, 304) else ("chunked", "length", "close")
    one = draw(messages(f"HTTP/1.1 {status} {reason}", framings=framings))
    return Message(one.wire, one.body, one.head_size, method)


@st.composite
def requests(draw: st.DrawFn) -> Message:
    method = draw(st.sampled_from(["GET", "POST", "HEAD", "OPTIONS", "M-SEARCH"]))
    target = draw(st.sampled_from(["/", "/api/chat", "/a?b=c%20d", "http://127.0.0.1:1/api/chat", "*"]))
    first_line = f"{method} {target} HTTP/1.1\r\nHost: 127.0.0.1"
    return draw(messages(first_line, framings=("chunked", "length", "nothing")))


@dataclass
class H11:
    """How h11 reads the same bytes."""

    head: h11.Request | h11.Response | None = None
    data: bytes = b""
    whole: bool = False


def ask_h11(connection: h11.Connection, wire: bytes, *, closed: bool) -> H11:
    seen = H11()
    if wire:  # to h11 no bytes mean the end of the connection
        connection.receive_data(wire)
    if closed:
        connection.receive_data(b"")
    while True:
        event = connection.next_event()
        match event:
            case h11.Request() | h11.Response():
                seen.head = event
            case h11.Data():
                seen.data += bytes(event.data)
            case h11.EndOfMessage():
                seen.whole = True
                return seen
            case _:
                return seen


def as_client(method: str) -> h11.Connection:
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method=method, target="/", headers=[("Host", "a"), ("Content-Length", "0")]))
    connection.send(h11.EndOfMessage())
    return connection


def check_head(ours: RequestHead | ResponseHead, theirs: h11.Request | h11.Response) -> None:
    raw = [(name.decode(), value.decode("latin-1")) for name, value in theirs.headers]
    assert [(name.lower(), value) for name, value in ours.headers if name.lower() not in _FRAMING] == [
        pair
        for pair in raw
        if pair[0] not in _FRAMING  # h11 makes "Chunked" into "chunked", and 05 into 5
    ]
    if isinstance(ours, ResponseHead):
        assert isinstance(theirs, h11.Response)
        assert (ours.status, ours.reason) == (theirs.status_code, theirs.reason.decode())
    else:
        assert isinstance(theirs, h11.Request)
        assert (ours.method, ours.target) == (theirs.method.decode(), theirs.target.decode())


_FRAMING = ("content-length", "transfer-encoding")


@given(responses(), st.integers(0, 400))
def test_a_response_cut_anywhere_reads_as_h11_reads_it(one: Message, cut: int) -> None:
    wire = one.wire[: min(cut, len(one.wire))]
    theirs = ask_h11(as_client(one.method), wire, closed=False)
    head = read_response_head(wire)
    assert (head is None) == (theirs.head is None) == (len(wire) < one.head_size)
    if head is None or theirs.head is None:
        return
    check_head(head, theirs.head)
    body = read_body(wire[head.size :], head, method=one.method)
    assert body.error is None
    assert (body.data, body.whole) == (theirs.data, theirs.whole)


@given(requests(), st.integers(0, 400))
def test_a_request_cut_anywhere_reads_as_h11_reads_it(one: Message, cut: int) -> None:
    wire = one.wire[: min(cut, len(one.wire))]
    theirs = ask_h11(h11.Connection(h11.SERVER), wire, closed=False)
    head = read_request_head(wire)
    assert (head is None) == (theirs.head is None) == (len(wire) < one.head_size)
    if head is None or theirs.head is None:
        return
    check_head(head, theirs.head)
    body = read_body(wire[head.size :], head, method=head.method)
    assert (body.data, body.whole, body.error) == (theirs.data, theirs.whole, None)


@given(responses())
def test_a_whole_response_means_what_it_was_built_from(one: Message) -> None:
    head = read_response_head(one.wire)
    assert head is not None
    assert head.size == one.head_size
    body = read_body(one.wire[head.size :], head, method=one.method)
    assert body.data == one.body
    assert body.whole is not body.until_close
    assert head.size + body.size == len(one.wire)
    assert ask_h11(as_client(one.method), one.wire, closed=True).whole


@given(st.one_of(responses(), requests()), st.data())
def test_a_prefix_never_says_more_than_the_whole(one: Message, data: st.DataObject) -> None:
    """Reading byte by byte: no error in a valid message, and no result that a later byte changes."""
    read = read_response_head if one.wire.startswith(b"HTTP/") else read_request_head
    full = read(one.wire)
    assert full is not None
    cut = data.draw(st.integers(0, len(one.wire)))
    head = read(one.wire[:cut])
    assert (head is None) == (cut < full.size)
    if head is not None:
        assert head == full
        body = read_body(one.wire[head.size : cut], head, method=one.method)
        assert body.error is None
        assert one.body.startswith(body.data)
        assert not body.whole or cut == len(one.wire)


@given(chunked_bodies(), st.binary(min_size=1, max_size=9))
def test_what_follows_a_message_is_not_read(one: Message, more: bytes) -> None:
    body = chunks(one.wire + more)
    assert (body.data, body.whole, body.size) == (one.body, True, len(one.wire))


# ----------------------------------------------------------------------------------------- invalid messages


@given(chunked_bodies(), st.data())
def test_a_spoilt_body_is_read_the_same_however_much_of_it_is_there(one: Message, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(one.wire) - 1))
    spoilt = one.wire[:at] + data.draw(st.sampled_from([b"", b"\n", b"\r", b"x", b"\x00", b"-"])) + one.wire[at + 1 :]
    whole, part = chunks(spoilt), chunks(spoilt[: data.draw(st.integers(0, len(spoilt)))])
    assert whole.data.startswith(part.data)
    assert part.error is None or whole.error is not None
    assert not (whole.whole and whole.error)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for read in (read_request_head, read_response_head):
        with contextlib.suppress(ProtocolError):
            head = read(data + b"\r\n\r\n")
            assert head is not None
            assert head.size <= len(data) + 4
    body = chunks(data)
    assert body.size <= len(data)
    assert not (body.whole and body.error)


@pytest.mark.parametrize(
    "line",
    [
        "",
        " ",
        "HTTP/1.1",
        "HTTP/1.1 200",
        "HTTP/1.1  200 OK",
        "HTTP/1.1 20 OK",
        "HTTP/1.1 2000 OK",
        "HTTP/1.1 -20 OK",
        "HTTP/2 200 OK",
        "HTTP/1.2 200 OK",
        "http/1.1 200 OK",
        " HTTP/1.1 200 OK",
        "HTTP/1.1 200 O\x00K",
        "HTTP/1.1 200 O\nK",
        "HTTP/1.1 200 O\rK",
        "ICY 200 OK",
        '{"error":"no HTTP at all"}',
    ],
)
def test_what_is_no_status_line_is_refused(line: str) -> None:
    with pytest.raises(ProtocolError, match="section 4"):
        read_response_head(f"{line}\r\n\r\n".encode())


@pytest.mark.parametrize(
    "line",
    [
        "",
        "GET /",
        "GET  / HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET / HTTP/2",
        "GET / http/1.1",
        "GET /a b HTTP/1.1",
        "GET HTTP/1.1",
        "G@T / HTTP/1.1",
        "GET /\x00 HTTP/1.1",
        "GET\t/\tHTTP/1.1",
        "\x16\x03\x01",
    ],
)
def test_what_is_no_request_line_is_refused(line: str) -> None:
    with pytest.raises(ProtocolError, match="section 3"):
        read_request_head(f"{line}\r\n\r\n".encode())


@pytest.mark.parametrize(
    "field",
    [
        "no colon",
        "A : b",
        ": b",
        "A b: c",
        " A: folded",
        "\tfolded",
        "A: b\nC: d",
        "A: \x00",
        "A: b\rc",
        "Ä: b",
        "A: \x7f",
    ],
)
def test_what_is_no_header_field_is_refused(field: str) -> None:
    for first, read in (("HTTP/1.1 200 OK", read_response_head), ("GET / HTTP/1.1", read_request_head)):
        with pytest.raises(ProtocolError, match="section 5"):
            read(f"{first}\r\n{field}\r\n\r\n".encode())


def test_header_fields_keep_order_spelling_and_inner_blanks() -> None:
    head = read_response_head(b"HTTP/1.0 200 \r\nB:  x  y \t\r\na:\r\nB: \xe4\r\n\r\n")
    assert head is not None
    assert head.headers == (("B", "x  y"), ("a", ""), ("B", "ä"))
    assert head.reason == ""


@pytest.mark.parametrize("value", ["x", "-1", "+1", "1.0", "0x5", "1 1", "1;1", "5, 6", "9" * 19, "\xb2"])
def test_a_content_length_that_is_no_length_is_refused(value: str) -> None:
    with pytest.raises(ProtocolError, match=r"section 6\.3"):
        body_of(f"HTTP/1.1 200 OK\r\nContent-Length: {value}\r\n\r\n12345".encode("latin-1"))


@pytest.mark.parametrize("value", ["", ",", "5,", ",5"])
def test_a_content_length_with_an_empty_place_is_refused(value: str) -> None:
    """RFC 9110 section 8.6: digits, or a list of the same digits (and h11 refuses it as well)."""
    with pytest.raises(ProtocolError, match=r"section 6\.3"):
        body_of(message(b"12345", f"Content-Length: {value}"))


def test_content_lengths_must_agree() -> None:
    assert body_of(message(b"12345", "Content-Length: 5", "content-length: 5")).whole
    assert body_of(message(b"12345", "Content-Length: 5, 5")).whole
    with pytest.raises(ProtocolError, match="5, 6"):
        body_of(message(b"123456", "Content-Length: 5", "Content-Length: 6"))


@pytest.mark.parametrize("value", ["gzip", "identity", "gzip, chunked", "chunked, chunked", "chunked;q=1", "xchunked"])
def test_any_transfer_coding_but_chunked_is_refused(value: str) -> None:
    with pytest.raises(ProtocolError, match=r"section 6\.1"):
        body_of(message(b"", f"Transfer-Encoding: {value}"))


def test_chunked_goes_before_a_content_length() -> None:
    body = body_of(message(b"2\r\nab\r\n0\r\n\r\n", "Content-Length: 1", CHUNKED))
    assert (body.data, body.whole) == (b"ab", True)


@pytest.mark.parametrize(
    ("wire", "data"),
    [
        (b"x\r\n", b""),
        (b"\r\n", b""),
        (b"-1\r\n", b""),
        (b"+1\r\na\r\n", b""),
        (b"0x1\r\na\r\n", b""),
        (b" 1\r\na\r\n", b""),
        (b"1 1\r\na\r\n", b""),
        (b"1_0\r\n", b""),
        (b"1;a\x00b\r\na\r\n", b""),
        (b"1;a\nb\r\na\r\n", b""),
        (b"1" * 17 + b"\r\n", b""),
        (b"1\r\nabc\r\n", b"a"),
        (b"1\r\na\n0\r\n\r\n", b"a"),
        (b"1\r\na\rx", b"a"),
        (b"2\r\nab\r\nzz\r\n", b"ab"),
        (b"2\r\nab\r\nz", b"ab"),
        (b"2\r\nab\r\n\r\n0\r\n\r\n", b"ab"),
        (b"0\r\nno trailer\r\n\r\n", b""),
        (b"0\r\nA : b\r\n\r\n", b""),
        (b"1;" + b"x" * 70_000, b""),
    ],
    ids=lambda value: ascii(value[:12]),
)
def test_a_broken_chunk_is_an_error_and_keeps_the_data_before_it(wire: bytes, data: bytes) -> None:
    body = chunks(wire)
    assert body.error
    assert (body.data, body.whole) == (data, False)


@pytest.mark.parametrize(
    "wire", [b"", b"f", b"FFFFFFFFFFFFFFFF\r\nabc", b"1;x", b"3\r\nab", b"3\r\nabc", b"3\r\nabc\r", b"0"]
)
def test_a_chunked_body_that_stops_is_not_whole_and_not_wrong(wire: bytes) -> None:
    body = chunks(wire)
    assert (body.whole, body.error) == (False, None)


@pytest.mark.parametrize(
    ("wire", "method"),
    [
        (message(b"", CHUNKED), "HEAD"),
        (message(b"", "Content-Length: 5"), "HEAD"),
        (message(b"", "Content-Length: 5", status="204 No Content"), "GET"),
        (message(b"", CHUNKED, status="304 Not Modified"), "GET"),
        (message(b"", status="100 Continue"), "POST"),
    ],
)
def test_answers_without_a_body_are_whole_at_their_head(wire: bytes, method: str) -> None:
    assert body_of(wire, method) == Body(b"", whole=True, size=0, absent=True)


def test_an_answer_without_framing_lasts_until_the_connection_ends() -> None:
    assert body_of(message(b"abc")) == Body(b"abc", whole=False, size=3, until_close=True)


def test_a_request_without_framing_has_no_body() -> None:
    head = read_request_head(b"GET / HTTP/1.1\r\n\r\n")
    assert head is not None
    assert read_body(b"GET / again", head, method="GET") == Body(b"", whole=True, size=0)


def test_a_chunk_size_line_that_ends_in_a_bare_lf_is_broken_at_once() -> None:
    wire = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello"
    head = read_response_head(wire)
    assert head is not None
    body = read_body(wire[head.size :], head, method="GET")
    assert body.error is not None
    assert not body.whole


@pytest.mark.parametrize(
    ("version", "options", "wants_close"),
    [
        ("1.1", (), False),
        ("1.1", ("Connection: keep-alive",), False),
        ("1.1", ("Connection: x, Close",), True),
        ("1.0", (), True),
        ("1.0", ("Connection: Keep-Alive",), False),
        ("1.0", ("Connection: keep-alive, close",), True),
    ],
)
def test_a_connection_lasts_as_its_version_and_its_options_say(
    version: str, options: tuple[str, ...], wants_close: bool
) -> None:
    head = read_request_head("\r\n".join([f"GET / HTTP/{version}", *options, "", ""]).encode())
    assert head is not None
    assert head.wants_close is wants_close
