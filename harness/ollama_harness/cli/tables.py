"""What the commands print that needs a layout: tables, bars, and all else that rich draws.

What is printed comes from outside in part, as `output` has it, so a bracket is never rich's markup. rich takes long to
import, so only commands that draw something import this.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.segment import Segment
from rich.text import Text

from ollama_harness.cli.output import echo_json
from ollama_harness.cli.reports.layout import Blocks
from ollama_harness.files.printable import one_line, printable

__all__ = ["console", "progress_bar", "progress_console", "table"]

#: A pipe has no width. This is wide enough for any table.
_PIPE_WIDTH = 200


class _Console(Console):
    """A console of rich that prints text as it is: no markup, no names of emoji, no control characters.

    What a renderer did not escape is escaped here, after the layout. A line may then be too long.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=printable(segment.text))


def console() -> Console:
    """Standard output: plain and wide in a pipe; boxes are ASCII where the encoding needs it."""
    return _Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH, soft_wrap=False)


def progress_console() -> Console:
    """Standard error, for what only a person at a terminal needs."""
    return _Console(stderr=True)


def progress_bar() -> Progress:
    """A bar on standard error that disappears when it is done. Without a terminal there is none."""
    return Progress(
        TextColumn("{task.description}", markup=False),
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
        echo_json(rows)
        return
    names = [name.replace("_", " ") for name in (rows[0] if rows else ())]
    console().print(Blocks(names, [[Text(one_line(_text(value))) for value in row.values()] for row in rows]))


def _text(value: Any) -> str:
    match value:
        case None:
            return ""
        case list():
            return ", ".join(map(str, value))
        case _:
            return str(value)
