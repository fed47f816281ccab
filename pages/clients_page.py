"""docs/clients.md: what each client library sends, and which picky servers refuse it, as measured.

python -m pages clients

The page leaves out what differs from machine to machine: versions, ports, the system's name, and content codings that
a library offers only if another package is installed. What optional clients send is left out, too.
"""

from __future__ import annotations

import functools
import platform
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from ollama_harness.clients import Client, client, clients
from ollama_harness.clients.adapter import Contract
from ollama_harness.faults import apply
from ollama_harness.matrix.known_issues import load_all
from ollama_harness.matrix.request_profiles import RequestProfile, SentRequest, measure
from ollama_harness.matrix.scenarios import picky
from ollama_harness.oracle.verdict import Verdict
from ollama_harness.recordings.store import RecordingStore
from ollama_harness.script.script import Script
from pages.page import Page, Sources, table

__all__ = ["MEASURED", "normal", "page"]

#: The beginning of the only line that differs from machine to machine.
MEASURED = "Measured with "

#: Codings that are offered if a decoder is installed (brotli, zstandard), or from Python 3.14 on (zstd).
_OPTIONAL_CODINGS = ("br", "zstd")

#: Later than any release, so that an entry of some releases of Python counts wherever the page is made.
_ANY_PYTHON = (4, 0, 0)

_INTRODUCTION = """\
# Clients: what each library sends

Four libraries send different heads with the same request. So a picky server or proxy refuses some of them and not
others. Nothing here is written by hand: `python -m pages clients` sends requests to FakeOllama with each library and
reads the journal. A test keeps this page current. `ollama-harness list clients --wire` shows the same for the
versions that you have, in full with `--json`.

{measured}

VERSION, PLATFORM, HOST and N replace what differs from machine to machine. `br` and `zstd` are left out of
Accept-Encoding, because they depend on installed decoders (zstd is part of Python 3.14).

## At a glance

*Writes* are counted in the client's process. Each leaves as its own TCP segment, because Nagle's algorithm is
off in all of them. A server's `recv` cannot count them: if it is called a little late, it returns head and body
together. Writes matter to servers that expect a request in one piece, as [firmware of
switches](https://github.com/logicog/RTLPlayground/pull/375) did. *Second request* is one more request of the same
session. The last row shows how a head changes when a stream is asked for (`"stream": true` in the body, `stream=True`
of the library).
"""

_HEADS = """\
## The heads, in order and as spelt

These are the heads of a POST to /api/chat that asks for a stream. Only for urllib the Content-Type was set, because by
default it sends every body as a form.
"""

_REFUSED = """\
## Which server refuses which client

Each row is a scenario: `ollama-harness run --scenario NAME` plays it, and [faults.md](faults.md) has the sources. A
cell gives the reason why a client is refused; an empty cell means that it gets its answer. A refused client has no
defect, unless it hides the refusal.
"""

_PROMISES = """\
## What each client promises

A client is judged by what its own documentation says. A client of *records* yields Ollama's own objects. One of
*pieces* translates them into types of its own: text, thinking, tool calls, a finish reason. Exceptions have the modules
that define them; a subclass counts too. *By default* is how long a client waits without the setting beside it: the
scenarios of silence use the setting, because nobody waits ten minutes for a verdict. *Retries* is how often a failed
request is sent again by default. *Network settings* are the environment variables that it reads of those that choose a
proxy, or the client by whose code it reads them; [proxies.md](proxies.md) has the routes. *Worst* is the
worst verdict among its known issues; [findings.md](findings.md) and
[findings-other-languages.md](findings-other-languages.md) have the causes.

The last column says what must be there; `ollama-harness install` does the rest. Nothing in this table is measured here:
it stands in the contracts and the lists of known issues, which runs prove. So the table is the same where a toolchain
is missing. `ollama-harness list clients` has the versions that you have.
"""


@dataclass(frozen=True, slots=True)
class _Column:
    """Clients that send the same requests."""

    names: tuple[str, ...]
    profile: RequestProfile

    @property
    def title(self) -> str:
        return ", ".join(self.names)


def page(profiles: Sequence[RequestProfile]) -> str:
    """The whole page, in Markdown."""
    versions = sorted({f"{one.client.removesuffix('-async')} {one.version}" for one in profiles})
    measured = f"{MEASURED}{', '.join(versions)} on {platform.python_implementation()} {platform.python_version()}."
    columns = _columns(profiles)
    parts = [_INTRODUCTION.format(measured=measured), *_glance(columns), *_heads(columns), *_refused(columns)]
    return "\n".join([*parts, *_promises()])


def normal(sent: SentRequest) -> SentRequest:
    """The request without what differs from machine to machine."""
    headers = tuple((name, _normal(name.lower(), value)) for name, value in sent.head.headers)
    return replace(sent, head=replace(sent.head, headers=headers, size=0))


def _normal(name: str, value: str) -> str:
    match name:
        case "host":
            return "HOST"
        case "content-length":
            return "N"
        case "user-agent":
            return re.sub(r"\([^)]*\)", "(PLATFORM)", re.sub(r"/[0-9][\w.+-]*", "/VERSION", value))
        case "accept-encoding":
            return ", ".join(part for part in value.split(", ") if part not in _OPTIONAL_CODINGS)
        case _:
            return value


def _columns(profiles: Iterable[RequestProfile]) -> list[_Column]:
    columns: list[_Column] = []
    for one in profiles:
        same = replace(
            one,
            client="",
            version="",
            plain=normal(one.plain),
            again=normal(one.again),
            stream=normal(one.stream),
            get=normal(one.get),
        )
        known = next((index for index, column in enumerate(columns) if column.profile == same), None)
        if known is None:
            columns.append(_Column((one.client,), same))
        else:
            columns[known] = replace(columns[known], names=(*columns[known].names, one.client))
    return columns


def _glance(columns: Sequence[_Column]) -> Iterator[str]:
    def row(title: str, values: Iterable[str]) -> tuple[str, ...]:
        return (title, *values)

    streams = [column.profile.stream for column in columns]
    named = ("Connection", "Accept", "Accept-Encoding", "User-Agent", "Content-Type", "Expect")
    yield from table(
        ("", *(column.title for column in columns)),
        [
            row("version", (sent.head.version for sent in streams)),
            row("first header", (sent.head.headers[0][0] for sent in streams)),
            *(row(name, (sent.value(name) for sent in streams)) for name in named),
            row("body is framed by", (sent.framing for sent in streams)),
            row("writes of a POST", (_writes(sent) for sent in streams)),
            row("writes of a GET", (_writes(column.profile.get) for column in columns)),
            row("second request", ("same connection" if one.profile.reuses else "new connection" for one in columns)),
            row("with a stream", (", ".join(column.profile.changes) or "no change" for column in columns)),
        ],
        escaped="|*",
    )


def _writes(sent: SentRequest) -> str:
    return f"{len(sent.writes)}: {', '.join(sent.writes)}"


def _heads(columns: Sequence[_Column]) -> Iterator[str]:
    yield _HEADS
    for column in columns:
        head = column.profile.stream.head
        lines = [f"{head.method} {head.target} {head.version}", *(f"{name}: {value}" for name, value in head.headers)]
        yield "\n".join([f"{column.title}:\n", "```http", *lines, "```", ""])


def _refused(columns: Sequence[_Column]) -> Iterator[str]:
    yield _REFUSED
    heads = [column.profile.stream.head for column in columns]
    rows: list[tuple[str, ...]] = []
    for name, script in _scripts():
        refusals = (condition.refusal for condition in script.conditions)
        statuses = {str(refusal.head.status) for refusal in refusals if refusal.head}
        rows.append((name, ", ".join(sorted(statuses)), *map(script.unmet, heads)))
    yield from table(("scenario", "refuses with", *(column.title for column in columns)), rows, escaped="|*")


def _promises() -> Iterator[str]:
    """What the clients of this package declare; those that declare the same share a row."""
    yield _PROMISES
    issues = load_all(python=_ANY_PYTHON)
    rows: dict[tuple[str, ...], list[str]] = {}
    for one in clients().values():
        if one.is_canary or one.option:
            continue
        contract = one.contract
        row = (
            f"{one.yields}s" + ("" if contract.streams else ", no streams"),
            ", ".join("any" if path == "*" else path for path in one.paths),
            ", ".join(sorted(contract.exceptions or ())),
            ", ".join(sorted(contract.timeouts)) or "the same",
            contract.read_timeout or "none",
            contract.default_timeout or "unknown",
            str(contract.retries),
            _settings_read(contract),
            max((issue.verdict for issue in issues if one.name in issue.clients), key=_severity, default=Verdict.PASS),
            f"[source]({contract.source})",
            _installed_with(one),
        )
        rows.setdefault(row, []).append(one.name)
    header = (
        *("", "yields", "paths", "exceptions", "for a silence", "read timeout", "by default", "retries"),
        *("network settings", "worst", "documented", "needs"),
    )
    yield from table(header, [(", ".join(names), *row) for row, names in rows.items()], escaped="|*")


def _settings_read(contract: Contract) -> str:
    if contract.reads_through:
        return f"as {contract.reads_through}"
    return "proxy variables" if contract.variables is None else ", ".join(sorted(contract.variables)) or "none"


def _severity(verdict: Verdict) -> int:
    return verdict.severity


def _installed_with(one: Client) -> str:
    """What a client needs besides this package."""
    if one.command is None:
        return one.distribution if one.optional else "nothing"
    place = one.command.place
    return ", ".join((*one.command.needs, *filter(None, [place.toolchain if place else ""])))


@functools.cache
def _scripts() -> list[tuple[str, Script]]:
    """The picky scenarios by name, with their scripts."""
    store = RecordingStore()
    return [
        (one.name, apply(Script.from_recording(store.get(f"{store.newest}/{name}")), one.faults))
        for one in picky.SCENARIOS
        for name in one.names_in(store, store.newest)[:1]
    ]


def _made(sources: Sources) -> str:
    """The page. A check ignores the line that says where it was measured, because it differs on each machine."""
    lines = page([one for one in measure() if not client(one.client).optional]).splitlines(keepends=True)
    there = [line for line in sources.there.splitlines(keepends=True) if line.startswith(MEASURED)]
    if sources.checking and there:
        lines = [there[0] if line.startswith(MEASURED) else line for line in lines]
    return "".join(lines)


PAGE = Page(name="clients", make=_made)
