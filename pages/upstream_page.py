"""docs/upstream/: one page for each finding that no tracker has yet, ready to be sent to the library's own.

What happens, the cause and the reproduction are the text of the findings, so there is one text of each. upstream.toml
adds what only a report needs: to whom it goes, the version, what is expected, a possible fix, and what was found in the
trackers.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ollama_harness.errors import HarnessError
from ollama_harness.files.fields import Fields, is_one_line
from ollama_harness.files.reading import read_toml
from pages.page import DOCS, Page, Sources, table

__all__ = ["PAGES", "REPORTS", "Report"]

_FILE = Path(__file__).with_name("upstream.toml")
_WIDTH = 120
_FINDINGS = ("findings.md", "findings-other-languages.md")

#: What a reproduction runs in, if it needs more than its library.
_RUN = {
    "js": "Run it with Node in a folder where the library is installed: `node reproduce.mjs`.",
    "go": "Run it in a module that requires the library: `go run .`",
    "rust": "Run it as `examples/reproduce.rs`, with tokio and tokio-stream: `cargo run --example reproduce`.",
    "java": "Run it with the library on the class path: `java -cp 'lib/*' Reproduce.java`.",
    "python": "Run it with Python.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One report. `finding` is the title of its section. `related` are links with what each says."""

    name: str
    finding: str
    title: str
    tracker: str
    version: str
    expected: str
    fix: str
    related: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Section:
    """A section of the findings: its text, the code, and what that prints."""

    prose: str
    language: str
    code: str
    prints: str


def _section(title: str) -> _Section:
    """The section of the findings with this title.

    Raises: HarnessError.
    """
    for name in _FINDINGS:
        text = (DOCS / name).read_text("utf-8")
        found = re.search(
            rf"^##+ {re.escape(title)}\n(.*?)```(\w+)\n(.*?)```\s+```text\n(.*?)```", text, re.DOTALL | re.MULTILINE
        )
        if found and "\n## " not in found[1]:
            return _Section(found[1].strip(), *found.groups()[1:])
    raise HarnessError(f"{_FILE}: no section of the findings is called {title!r}; copy its title")


def _server() -> str:
    """The server of the reproductions in Python."""
    text = (DOCS / "findings.md").read_text("utf-8")
    return text[text.index("```python\n# server.py") :].split("```\n", 1)[0] + "```"


def _page(report: Report, _: Sources) -> str:
    section = _section(report.finding)
    needs_server = re.search(r"^from server import", section.code, re.MULTILINE)
    beside = " It needs the server below beside it." if needs_server else ""
    reproduction = f"{_RUN[section.language]}{beside} While the defect lives, it prints what stands under it."
    blocks = [
        f"# {report.title}",
        f"For {report.tracker}. Seen with {report.version}.",
        "## What happens, and why",
        section.prose,
        "## Reproduction",
        _filled(reproduction),
        f"```{section.language}\n{section.code}```",
        f"```text\n{section.prints}```",
        *([_server()] if needs_server else []),
        "## Expected",
        _filled(report.expected),
        "## A possible fix",
        _filled(report.fix),
        "## Known before",
        "\n".join(_filled(f"* {one}", indent="  ") for one in report.related)
        or _filled("No report of this was found in the public trackers, by its symptom, its cause and its messages."),
    ]
    return "\n\n".join(blocks) + "\n"


def _index(_: Sources) -> str:
    rows = ((f"[{one.title}]({one.name}.md)", one.tracker, one.version) for one in REPORTS)
    intro = (
        "Each of these pages is about a finding that no tracker has, and can be sent as it is. What happens and the "
        "reproduction are the text of [findings.md](../findings.md) and "
        "[findings-other-languages.md](../findings-other-languages.md), whose tests run it; the rest is in "
        "`pages/upstream.toml`, and `python -m pages` puts both together. Nothing here was sent yet. Findings that "
        "a tracker has already are linked where they are described."
    )
    return (
        "\n".join(("# Reports", "", _filled(intro), "", *table(("report", "for", "seen with"), rows))).rstrip() + "\n"
    )


def _filled(text: str, indent: str = "") -> str:
    return textwrap.fill(text, _WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _reports() -> tuple[Report, ...]:
    """The entries of upstream.toml.

    Raises: HarnessError.
    """
    entries = read_toml(_FILE, HarnessError, fix="restore it")["report"]
    return tuple(
        _report(Fields(_FILE, entry, f"report {number}: ", HarnessError)) for number, entry in enumerate(entries, 1)
    )


def _report(fields: Fields) -> Report:
    def line(name: str) -> Any:
        return fields.take(name, is_one_line, "a text in one line")

    report = Report(
        name=line("name"),
        finding=line("finding"),
        title=line("title"),
        tracker=line("tracker"),
        version=line("version"),
        expected=line("expected"),
        fix=line("fix"),
        related=tuple(fields.take("related", lambda v: isinstance(v, list), "a list of texts")),
    )
    fields.no_more()
    return report


REPORTS = _reports()
PAGES = (
    Page(name="upstream/README", make=_index),
    *(Page(name=f"upstream/{one.name}", make=partial(_page, one)) for one in REPORTS),
)
