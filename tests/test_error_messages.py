"""docs/error-messages.md: clients raise what it says, every word that people search for is there, no link is dead."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from ollama_harness.clients import clients
from ollama_harness.clients.adapter import Job
from ollama_harness.clients.worker_process import WorkerProcess
from ollama_harness.errors import RecordingError
from ollama_harness.matrix._raw_socket import NO_RESETS
from ollama_harness.matrix.cells import Cell, cell
from ollama_harness.matrix.runner import CellRun, Runner
from ollama_harness.network.environments import clean_environment
from ollama_harness.network.settings import System
from ollama_harness.oracle.verdict import ClientEnd, Raised, Unsupported
from ollama_harness.recordings.store import RecordingStore, packaged_store
from ollama_harness.script.script import ConnectionEnd
from pages.error_messages_page import (
    ErrorEntry,
    ErrorMessage,
    OtherServer,
    Reproduction,
    heading_anchor,
    load,
    page,
)

pytestmark = pytest.mark.same_on_each_python

DOCS = Path(__file__).parent.parent / "docs"
WORDS = load()
TEXT = (DOCS / "error-messages.md").read_text("utf-8")
TESTED = [
    pytest.param(one, name, id=f"{entry.name}-{number}-{name}")
    for entry in WORDS.entries
    for number, one in enumerate(entry.messages, 1)
    if one.is_tested
    for name in one.programs
]
#: What the page was asked for first, as people paste it into a search box.
SEARCHED = """\
peer closed connection without sending complete message body (incomplete chunked read)
Expecting value: line 1 column 1 (char 0)
fetch failed
UND_ERR_HEADERS_TIMEOUT
Headers Timeout Error
UND_ERR_BODY_TIMEOUT
socket hang up
ECONNRESET
ECONNREFUSED
Chunk too big
LineTooLong
Got more than 131072 bytes when reading
No data received from Ollama stream.
Input should be a valid dictionary
tool_calls.0.function.arguments
time: missing unit in duration
certificate verify failed
[WinError 10049]
[WinError 10061]
[WinError 10054]
Did not receive done or success response in stream
Extra data
unexpected EOF
context deadline exceeded
connection reset by peer
Server disconnected without sending a response
IncompleteRead
InvalidChunkLength
Response ended prematurely
Unterminated string
timed out
ReadTimeout
Unknown scheme for proxy URL
502 Bad Gateway
""".splitlines()


@contextlib.contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server that does one thing with each connection, and closes it; yields its port."""
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()

        def serve() -> None:
            while True:
                with listener.accept()[0] as connection, contextlib.suppress(OSError):
                    if stop.is_set():
                        return
                    connection.settimeout(10.0)
                    answer(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield address[1]
        finally:
            stop.set()
            socket.create_connection(address).close()  # wakes it on every system; closing the listener does not
            thread.join()


@contextlib.contextmanager
def reachable(server: OtherServer, folder: Path) -> Iterator[str]:
    """The URL of such a server."""
    if server is OtherServer.NO_NAME:
        yield "http://ollama.invalid:11434"
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority = trustme.CA()  # its own certificate is signed by itself
    (folder / "both.pem").write_bytes(authority.private_key_pem.bytes() + authority.cert_pem.bytes())
    context.load_cert_chain(folder / "both.pem")

    def answer(connection: socket.socket) -> None:
        if server is OtherServer.SELF_SIGNED:
            context.wrap_socket(connection, server_side=True).close()
        else:
            connection.recv(65_536)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n400 Bad Request")

    with answering(answer) as port:
        yield f"https://127.0.0.1:{port}"


def quick(one: Cell) -> Cell:
    """The same cell; where only the client's timeout ends it, that is short: no message depends on its length."""
    held = one.scripts[0].ending.how is ConnectionEnd.HOLD
    scenario = replace(one.scenario, read_timeout_s=1.0)
    return replace(one, planned=replace(one.planned, scenario=scenario)) if held else one


@pytest.fixture(scope="module")
def endings(runner: Runner, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[object, str], ClientEnd]:
    """How each client ended, wherever the page says that it raises something."""
    wanted = list(dict.fromkeys((one.values[0].at, one.values[1]) for one in TESTED))
    cells = {(at, name): quick(at.cell(name)) for at, name in wanted if isinstance(at, Reproduction)}
    places: dict[int, tuple[object, str]] = {id(one): place for place, one in cells.items()}
    found: dict[tuple[object, str], ClientEnd] = {}

    def done(run: CellRun) -> None:
        found[places[id(run.cell)]] = run.decisive.reported.ending

    runner.run(cells.values(), done)
    folder = tmp_path_factory.mktemp("tls")
    request = packaged_store().get(f"{packaged_store().newest}/chat-stream").request
    real = [name for name, one in clients().items() if not (one.is_canary or one.optional)]
    worker = WorkerProcess(real, clean_environment(folder))
    try:
        for server in OtherServer:
            with reachable(server, folder) as url:
                for name in (name for at, name in wanted if at is server):
                    job = Job(client=name, url=url, request=request, read_timeout_s=10.0)
                    found[server, name] = worker.exchange(job, deadline_s=30.0).ending
    finally:
        worker.close()
    return found


def last_line(ending: Raised) -> str:
    """What a traceback ends with."""
    name = ending.types[0].removeprefix("builtins.")
    return f"{name}: {ending.message}" if ending.message else name


@pytest.mark.parametrize(("message", "name"), TESTED)
def test_a_client_raises_what_the_page_says(
    message: ErrorMessage, name: str, endings: dict[tuple[object, str], ClientEnd]
) -> None:
    if message.not_on_windows and System.here() is System.WINDOWS:
        pytest.skip("Windows has other words for it")
    if message.at is OtherServer.PLAIN_HTTP and ssl.OPENSSL_VERSION_INFO >= (3, 2):
        pytest.skip("this OpenSSL has other words for it")
    ending = endings[message.at, name]
    if isinstance(ending, Unsupported) and ending.reason == NO_RESETS:
        pytest.skip(NO_RESETS)
    assert isinstance(ending, Raised)
    assert message.matches(last_line(ending)), last_line(ending)


def test_the_page_is_current() -> None:
    assert page(WORDS) == TEXT, "write it again: python -m pages error-messages"


@pytest.mark.parametrize("text", SEARCHED)
def test_what_people_search_for_is_in_the_list_and_in_a_section(text: str) -> None:
    index, _, sections = TEXT.partition("\n## No connection")
    assert text.casefold() in sections.casefold()
    listed = [row.strip("`") for row in re.findall(r"^\| (`.*?`) \|", index, re.MULTILINE)]
    assert any(one.casefold() in text.casefold() for one in listed)


@pytest.mark.parametrize("entry", WORDS.entries, ids=lambda entry: entry.name)
def test_an_entry_is_found_by_each_of_its_messages(entry: ErrorEntry) -> None:
    texts, parts = ([one.casefold() for one in each] for each in ([m.text for m in entry.messages], entry.search))
    assert [one for one in parts if not any(one in text for text in texts)] == []
    assert [text for text in texts if not any(one in text for one in parts)] == []
    assert entry.why
    assert entry.fix
    assert entry.reported or any(one.is_tested for one in entry.messages)


def test_no_two_entries_have_one_name() -> None:
    names = [entry.name for entry in WORDS.entries]
    assert sorted(set(names)) == sorted(names)


def test_every_other_program_is_seen_somewhere() -> None:
    seen = {
        name
        for entry in WORDS.entries
        for one in entry.messages
        if one.at and not one.is_tested
        for name in one.programs
    }
    assert seen == set(WORDS.versions)


def test_no_link_is_dead() -> None:
    links = re.findall(r"\]\(([\w.-]*)#([^)]+)\)", TEXT)
    assert links
    anchors: dict[str, set[str]] = {}
    for file in {file for file, _ in links}:
        text = (DOCS / (file or "error-messages.md")).read_text("utf-8")
        headings = re.findall(
            r"^#+ (.*)$", re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE), re.MULTILINE
        )
        anchors[file] = {heading_anchor(one) for one in headings} | set(re.findall(r'<a id="([^"]+)"', text))
    assert [f"{file}#{anchor}" for file, anchor in links if anchor not in anchors[file]] == []
    assert [file for file in re.findall(r"\]\(([\w-]+\.md)\)", TEXT) if not (DOCS / file).exists()] == []


SHOWN = re.findall(r"^ollama-harness show (\S+)$", TEXT, re.MULTILINE)
AT = [one.at for entry in WORDS.entries for one in entry.messages if isinstance(one.at, Reproduction)]


@pytest.mark.parametrize("name", SHOWN)
def test_a_cell_that_is_named_exists(store: RecordingStore, name: str) -> None:
    assert cell(store, name).id.startswith(name)


@pytest.mark.parametrize("at", list(dict.fromkeys(AT)), ids=lambda at: at.scenario or at.fault)
def test_what_is_said_to_be_played_can_be_played(at: Reproduction) -> None:
    one = at.cell("canary-perfect")
    assert isinstance(one, Cell)
    assert one.scripts


def test_a_message_is_matched_from_end_to_end() -> None:
    message = ErrorMessage(text="A.b: … of […]", programs=("httpx",))
    assert message.matches("A.b: one\ntwo of [3]")
    assert not message.matches("xA.b: one of [3]")
    assert not message.matches("A.b: one of [3] and more")
    assert not message.matches("A_b: one of [3]")


ENTRY = """\
[versions]
Go = "1"
[[entry]]
name = "refused"
kind = "connection"
title = "Nothing listens"
search = ["refused"]
messages = [{ text = "refused", by = ["Go"], in = "refused" }]
why = "w"
fix = "f"
"""


def test_an_entry_is_read(tmp_path: Path) -> None:
    (tmp_path / "words.toml").write_text(ENTRY, encoding="utf-8")
    (entry,) = load(tmp_path / "words.toml").entries
    (message,) = entry.messages
    assert (message.at, message.is_tested) == (Reproduction(scenario="refused"), False)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("[versions]", "[versions", "cannot be read: .*; write it as UTF-8 and TOML"),
        ('kind = "connection"', 'kind = "none"', 'entry refused: kind: is "none"; make it one of connection, tls'),
        ('why = "w"\n', "", "entry refused: why: is missing; add it"),
        ('why = "w"', 'why = "w"\nwhat = 1', "entry refused: what: is not a field of the format"),
        ('["Go"]', '["Rust"]', r"message 1: by: names 'Rust'; name a client, or a program that is in \[versions\]"),
        (
            ', in = "refused"',
            "",
            "message 1: text: has no place, or more than one; give one of in, fault, server, shown",
        ),
        ('in = "refused"', 'in = "refused", server = "no_name"', "has no place, or more than one"),
        ('in = "refused"', 'shown = "issue 3"', 'shown: is "issue 3"; make it OWNER/REPOSITORY#NUMBER'),
    ],
)
def test_a_table_that_cannot_be_meant_is_one_clear_sentence(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    assert ENTRY.count(old) == 1
    (tmp_path / "words.toml").write_text(ENTRY.replace(old, new), encoding="utf-8")
    with pytest.raises(RecordingError, match=rf"words\.toml.*{sentence}"):
        load(tmp_path / "words.toml")
