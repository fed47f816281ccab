"""What the commands share: consoles, and tables that are JSON for tools."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

__all__ = ["console", "json_option", "progress_bar", "progress_console", "table"]

#: Wide enough for any table when nobody's terminal is narrower: a pipe has no width.
_PIPE_WIDTH = 200

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for tools instead of a table.")


def console() -> Console:
    """Standard output; plain and wide in a pipe, ASCII boxes where the encoding has no others."""
    return Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH, highlight=False, soft_wrap=False)


def progress_console() -> Console:
    """Standard error, for what only a person at a terminal wants to see."""
    return Console(stderr=True, highlight=False)


def progress_bar() -> Progress:
    """A bar on standard error that goes away when it is done; nothing where nobody looks."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=progress_console(),
        transient=True,
        disable=not sys.stderr.isatty(),
    )


def table(rows: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    """Print rows, all with the same keys, as a table or as JSON."""
    if as_json:
        click.echo(json.dumps(rows, indent=1, ensure_ascii=False))
        return
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for name in rows[0] if rows else ():
        shown.add_column(name.replace("_", " "), overflow="fold")
    for row in rows:
        shown.add_row(*(Text(_text(value)) for value in row.values()))  # Text: a bracket is no markup
    console().print(shown)


def _text(value: Any) -> str:
    match value:
        case None:
            return ""
        case list():
            return ", ".join(map(str, value))
        case _:
            return str(value)
