"""docs/error-messages.md: the messages that people search for, their causes, and what to do.

python -m pages error-messages

`error_messages.toml` has the texts: one `[[entry]]` for each cause, with the messages of all programs for it. A test
checks that the harness's own clients raise their messages. Messages of other programs were seen by hand, against
`ollama-harness serve`. For the rest, only a public issue shows the message. The page marks each message with one of the
three.
"""

from __future__ import annotations

import functools
import re
import textwrap
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from ollama_harness.clients import client, clients
from ollama_harness.errors import RecordingError
from ollama_harness.faults.notation import parse_fault
from ollama_harness.files.fields import Fields
from ollama_harness.matrix.cells import Cell, PlannedScenario, cell
from ollama_harness.matrix.scenarios import GROUPS, SCENARIOS, Requirement, Scenario
from ollama_harness.recordings.store import RecordingStore
from pages.page import Page, table

__all__ = [
    "ErrorEntry",
    "ErrorKind",
    "ErrorMessage",
    "ErrorMessages",
    "OtherServer",
    "Reproduction",
    "heading_anchor",
    "load",
    "page",
]

WORDS = Path(__file__).with_name("error_messages.toml")

_library = functools.cache(RecordingStore)


class ErrorKind(StrEnum):
    """The kinds of errors, in the order of the page."""

    CONNECTION = "No connection, or a lost one"
    TLS = "TLS and certificates"
    STREAM = "The answer is cut off"
    HTTP = "The answer is not valid HTTP"
    JSON = "The answer is not valid JSON"
    TIMEOUT = "Timeouts"
    STATUS = "Refused by Ollama, or by a proxy before it"
    PROXY = "Proxy settings"


class OtherServer(StrEnum):
    """Servers that the harness does not play, and at which clients fail."""

    NO_NAME = "a host whose name has no address"
    SELF_SIGNED = "TLS with a self-signed certificate"
    PLAIN_HTTP = "`https://` to a server that speaks plain HTTP, as Ollama does"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reproduction:
    """What is played: a scenario, or a fault as it is written after `serve --fault`, and the recording.

    Without `recording` it is the first one of the scenario.
    """

    scenario: str = ""
    fault: str = ""
    recording: str = ""

    def cell(self, client_name: str) -> Cell:
        """The cell of a client.

        Raises: UnknownName, BadFault.
        """
        store = _library()
        if self.scenario:
            recording = f"/{store.newest}/{self.recording}" if self.recording else ""
            return cell(store, f"{client_name}/{self.scenario}{recording}")
        scenario = Scenario(
            name="by-fault",
            summary=self.fault,
            recordings=(self.recording,),
            faults=(parse_fault(self.fault),),
            requirement=Requirement.OBSERVE,
        )
        return Cell(client(client_name), PlannedScenario.of(scenario, store.get(f"{store.newest}/{self.recording}")))


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorMessage:
    """The last line that programs print for a cause. `…` in `text` is any text.

    `programs` are clients of the harness, or other programs. `at` is where they print it; None if only the issue
    `shown` (a URL) shows it. With `not_on_windows` the text differs on Windows.
    """

    text: str
    programs: tuple[str, ...]
    at: Reproduction | OtherServer | None = None
    shown: str = ""
    not_on_windows: bool = False

    @property
    def is_tested(self) -> bool:
        """Whether clients print it that are installed with the harness, so that a test can check it."""
        always = [name for name, one in clients().items() if not one.optional]
        return self.at is not None and all(name in always for name in self.programs)

    def matches(self, line: str) -> bool:
        """Whether a line is this message."""
        return re.fullmatch(".*".join(map(re.escape, self.text.split("…"))), line, re.DOTALL) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorEntry:
    """One cause. `search` are the parts of its messages that people search for, `reported` issues (URLs) about it."""

    name: str
    kind: ErrorKind
    title: str
    search: tuple[str, ...]
    messages: tuple[ErrorMessage, ...]
    why: str
    fix: str
    reported: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ErrorMessages:
    """All entries, in the order of the page, and the versions of the other programs."""

    entries: tuple[ErrorEntry, ...]
    versions: dict[str, str]


# ------------------------------------------------------------------------------------------------------ reading


def load(path: Path = WORDS) -> ErrorMessages:
    """The texts of the page.

    Raises: RecordingError, for the first defect found: names file, entry and field.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RecordingError(path, "", f"cannot be read: {error}", "write it as UTF-8 and TOML") from None
    fields = Fields(path, data, "", RecordingError)
    versions = fields.take("versions", lambda v: isinstance(v, dict), "a table of programs and their versions")
    tables = fields.take("entry", lambda v: isinstance(v, list), "tables: write [[entry]] before each")
    fields.no_more()
    entries = []
    for number, one in enumerate(tables, 1):
        name = one.get("name", number) if isinstance(one, dict) else number
        entries.append(_entry(path, Fields(path, one, f"entry {name}: ", RecordingError), f"entry {name}: ", versions))
    return ErrorMessages(tuple(entries), versions)


def _entry(path: Path, fields: Fields, prefix: str, versions: dict[str, str]) -> ErrorEntry:
    kinds = [kind.name.lower() for kind in ErrorKind]
    kind = fields.take("kind", lambda v: v in kinds, f"one of {', '.join(kinds)}")
    messages = [
        _message(Fields(path, one, f"{prefix}message {number}: ", RecordingError), versions)
        for number, one in enumerate(
            fields.take("messages", lambda v: isinstance(v, list) and bool(v), "a list of tables"), 1
        )
    ]
    entry = ErrorEntry(
        name=fields.text("name"),
        kind=ErrorKind[kind.upper()],
        title=fields.text("title"),
        search=tuple(fields.take("search", _is_texts, "a list of texts")),
        messages=tuple(messages),
        why=" ".join(fields.text("why").split()),
        fix=" ".join(fields.text("fix").split()),
        reported=tuple(
            map(_issue, fields.take("reported", _is_issues, "a list of OWNER/REPOSITORY#NUMBER", optional=True) or ())
        ),
    )
    fields.no_more()
    return entry


def _message(fields: Fields, versions: dict[str, str]) -> ErrorMessage:
    """`by` are names of clients (`httpx*` is both halves) or of programs in `versions`."""
    text, patterns = fields.text("text"), fields.take("by", _is_texts, "a list of texts")
    shown = fields.take("shown", _is_issue, "OWNER/REPOSITORY#NUMBER", optional=True)
    servers = [one.name.lower() for one in OtherServer]
    server = fields.take("server", lambda v: v in servers, f"one of {', '.join(servers)}", optional=True)
    scenario, _, in_it = (fields.text("in", optional=True) or "").partition("/")
    fault = fields.text("fault", optional=True) or ""
    recording = (fields.text("recording", optional=True) or "") if fault else in_it
    windows = fields.take("not_on_windows", lambda v: v is True, "true", optional=True)
    fields.no_more()
    if sum(map(bool, (shown, server, scenario, fault))) != 1:
        fields.fail("text", "has no place, or more than one", "give one of in, fault, server, shown")
    names: list[str] = []
    for pattern in patterns:
        half = pattern.removesuffix("*")
        found = [name for name in clients() if name in (pattern, half, f"{half}-async" if half != pattern else "")]
        if not found and not shown and pattern not in versions:
            fields.fail("by", f"names {pattern!r}", "name a client, or a program that is in [versions]")
        names += found or [pattern]
    at = OtherServer[server.upper()] if server else Reproduction(scenario=scenario, fault=fault, recording=recording)
    return ErrorMessage(
        text=text,
        programs=tuple(names),
        at=None if shown else at,
        shown=_issue(shown) if shown else "",
        not_on_windows=bool(windows),
    )


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, str) and one for one in value)


def _is_issue(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[\w.-]+/[\w.-]+#\d+", value) is not None


def _is_issues(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_issue, value))


def _issue(reference: str) -> str:
    """Its address; GitHub leads on from there if it is a pull request."""
    repository, _, number = reference.partition("#")
    return f"https://github.com/{repository}/issues/{number}"


# ------------------------------------------------------------------------------------------------------ writing

_HEAD = """\
# Error messages: what each means, and what to do

For programs that talk to Ollama, in Python, JavaScript and Go. Find your message in the list; the section behind it
says which programs print it, what happened, and what to do. `…` replaces what differs each time. JavaScript's
`fetch failed` and `terminated` mean nothing by themselves: look at `error.cause`, which this page shows after them.

You can see each yourself. `ollama-harness serve` plays it to any program that connects to `http://127.0.0.1:11434`
(beside a running Ollama: `--port 11435`), and `ollama-harness show` plays it to a built-in client.

The column *seen*: for messages marked *tested*, a test checks that httpx, ollama, requests and urllib (all for Python)
raise them. Messages marked *by hand* were seen with [these versions](#versions). For messages with a link, only that
issue shows the message. Proxy settings have [their own page](proxies.md), and `ollama-harness doctor` examines your
machine.

`python -m pages error-messages` makes this page from a table.

## Your message
"""

_VERSIONS = """\
## Versions

The messages marked *by hand* were seen on Linux with these versions, against `ollama-harness serve` with the scenario
in their row (TLS and names: against a few lines of Python and Go):
"""


def page(messages: ErrorMessages) -> str:
    """The whole page, in Markdown."""
    parts = [
        _HEAD,
        *_index(messages.entries),
        *(line for kind in ErrorKind for line in _kind(kind, messages.entries)),
        _VERSIONS,
        *table(("program", "version"), messages.versions.items()),
    ]
    return "\n".join(parts).rstrip("\n") + "\n"


def _index(entries: Iterable[ErrorEntry]) -> Iterator[str]:
    """What people search for, in alphabetical order."""
    where: dict[str, list[ErrorEntry]] = {}
    for entry in entries:
        for text in entry.search:
            where.setdefault(text, []).append(entry)
    in_order = sorted(where.items(), key=lambda one: re.sub(r"^\W+", "", one[0]).casefold())
    rows = ((_code(text), "; ".join(f"[{one.title}](#{one.name})" for one in found)) for text, found in in_order)
    yield from table(("message", "what happened"), rows)


def _kind(kind: ErrorKind, entries: Iterable[ErrorEntry]) -> Iterator[str]:
    yield f"## {kind}\n"
    for entry in entries:
        if entry.kind is kind:
            yield from _section(entry)


def _section(entry: ErrorEntry) -> Iterator[str]:
    yield f'<a id="{entry.name}"></a>\n\n### {entry.title}\n'
    rows = ((_code(one.text), ", ".join(_programs(one.programs)), _seen(one)) for one in entry.messages)
    yield from table(("message", "printed by", "seen"), rows)
    yield _filled(f"**Why:** {entry.why}")
    yield _filled(f"**Fix:** {entry.fix}")
    wire = list(dict.fromkeys(_wire(one.at) for one in entry.messages if one.at is not None))
    if wire:
        yield "\n".join(("**On the wire:**\n", *(f"- {one}" for one in wire), ""))
    commands = list(dict.fromkeys([*_serve(entry), *_show(entry)]))
    if commands:
        yield "\n".join(("```sh", *commands, "```\n"))
    if entry.reported:
        yield _filled(f"Reported in {', '.join(map(_issue_link, entry.reported))}.")


def _programs(names: Sequence[str]) -> Iterator[str]:
    """A library whose both clients are there is named once. One client alone is named by its class."""
    for name in names:
        half = name.removesuffix("-async")
        if half in names and f"{half}-async" in names:
            if name == half:
                yield half
        elif f"{half}-async" in clients() and not clients()[name].optional:
            yield f"{half}.{'Client' if name == half else 'AsyncClient'}"
        else:
            yield name


def _seen(message: ErrorMessage) -> str:
    if message.at is None:
        return _issue_link(message.shown)
    if isinstance(message.at, OtherServer):
        where = ""
    else:
        where = f"`{message.at.scenario}`" if message.at.scenario else _code(message.at.fault)
    return ", ".join(filter(None, (where, "tested" if message.is_tested else "by hand")))


def _wire(at: Reproduction | OtherServer) -> str:
    if isinstance(at, OtherServer):
        return str(at)
    if not at.scenario:
        return _code(at.fault)
    scenario = SCENARIOS[at.scenario]
    if scenario.environment is not None:
        return f"[`{scenario.name}`](proxies.md#the-route-of-each-client): {scenario.summary.replace('|', '/')}"
    group = next(title for title, group in GROUPS.items() if scenario in group)
    return f"[`{scenario.name}`](faults.md#{heading_anchor(group)}): {scenario.summary}"


def _serve(entry: ErrorEntry) -> Iterator[str]:
    """The commands that play it to any client. `serve` cannot play a recording without a fault, or a sequence."""
    for one in entry.messages:
        if not isinstance(one.at, Reproduction):
            continue
        if one.at.fault:
            yield f"ollama-harness serve --any-model --fault '{one.at.fault}'"
            continue
        scenario = SCENARIOS[one.at.scenario]
        if scenario.environment is not None:
            yield f"ollama-harness run --scenario {scenario.name}"
        elif scenario.faults and not scenario.then:
            yield f"ollama-harness serve --any-model --scenario {scenario.name}"
        elif not one.is_tested:
            yield "ollama-harness serve --any-model"


def _show(entry: ErrorEntry) -> Iterator[str]:
    """The commands that show the message for the first client of each scenario."""
    first: dict[str, str] = {}
    for one in entry.messages:
        if one.is_tested and isinstance(one.at, Reproduction) and one.at.scenario:
            first.setdefault(one.at.scenario, _cell_name(one))
    yield from (f"ollama-harness show {name}" for name in first.values())


def _cell_name(message: ErrorMessage) -> str:
    at = message.at
    assert isinstance(at, Reproduction)
    name = f"{message.programs[0]}/{at.scenario}"
    return f"{name}/{_library().newest}/{at.recording}" if at.recording else name


def _issue_link(url: str) -> str:
    owner, repository, _, number = url.removeprefix("https://github.com/").split("/")
    name = f"{repository}#{number}" if owner == "ollama" else f"{owner}/{repository}#{number}"
    return f"[{name}]({url})"


def _code(text: str) -> str:
    """As code; two backticks where there is one inside."""
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def _filled(text: str) -> str:
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False) + "\n"


def heading_anchor(heading: str) -> str:
    """The anchor that GitHub gives to a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


PAGE = Page(name="error-messages", make=lambda _: page(load()))
