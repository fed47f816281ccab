"""The layout of reports: text and tables for any width, down to 40 columns.

A table that does not fit is not squeezed, because rich would cut its words. Instead, each row becomes a block of lines.
Wrapped lines of a paragraph are indented, so that only lines of the harness begin at the left edge. So no text from
outside can look like a line of the report.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

__all__ = ["Blocks", "Flow", "Grid", "Hanging"]

#: Wider than any table, to measure how wide a table would be.
_ANY_WIDTH = 10_000
#: The least width of a column of texts. Shorter texts need less.
_LEAST_COLUMN = 14
_GAP = 2


class Hanging:
    """A paragraph, indented by `indent` blanks, and all lines but the first by `by` more; less on a narrow terminal."""

    def __init__(self, text: Text, *, by: int = 2, indent: int = 0) -> None:
        self._text, self._by, self._indent = text, by, indent

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        room = options.max_width // 6
        first, more = min(self._indent, room), min(self._by, room)
        for number, line in enumerate(self._text.wrap(console, options.max_width - first - more)):
            line.rstrip()
            yield Text.assemble(" " * (first + more if number else first), line)


class Flow:
    """Short texts in a row, as many as a line holds. No text is split."""

    def __init__(self, items: Iterable[Text], *, gap: int = 3, indent: int = 0) -> None:
        self._items, self._gap, self._indent = list(items), gap, indent

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        line: list[Text] = []
        for item in self._items:
            width = self._indent + sum(one.cell_len + self._gap for one in line) + item.cell_len
            if line and width > options.max_width:
                yield self._joined(line)
                line = []
            line.append(item)
        if line:
            yield self._joined(line)

    def _joined(self, items: list[Text]) -> Hanging:
        return Hanging(Text(" " * self._gap).join(items), by=0, indent=self._indent)


class Grid:
    """A grid of small squares under the names of its columns, in groups with titles.

    If it does not fit, each row becomes its name, and below it the names of the columns with their squares.
    """

    def __init__(self, corner: str, columns: Sequence[str]) -> None:
        self._corner, self._columns = corner, columns
        self._rows: list[tuple[Text, Sequence[Text]]] = []

    def title(self, text: str) -> None:
        self._rows.append((Text(text, style="dim"), ()))

    def row(self, name: str, squares: Sequence[Text]) -> None:
        self._rows.append((Text(name), squares))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column(self._corner)
        for name in self._columns:
            table.add_column(name, justify="center")
        for first, squares in self._rows:
            table.add_row(first, *squares)
        if console.measure(table, options=options.update_width(_ANY_WIDTH)).maximum <= options.max_width:
            yield table
            return
        for first, squares in self._rows:
            yield Hanging(first)
            named = zip(self._columns, squares, strict=False)
            yield Flow([Text.assemble(f"{name} ", square) for name, square in named if square.plain], indent=2)


class Blocks:
    """A table of texts. The columns in `right` are aligned to the right. If the columns would be too narrow, each row
    becomes a block of lines: `name  text`.
    """

    def __init__(self, names: Sequence[str], rows: Sequence[Sequence[Text]], *, right: Container[int] = ()) -> None:
        self._names, self._rows, self._right = names, rows, right

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        columns = zip(*([Text(name) for name in self._names], *self._rows), strict=True)
        least = [min(max(text.cell_len for text in column), _LEAST_COLUMN) for column in columns]
        if sum(least) + _GAP * (len(least) - 1) <= options.max_width:
            table = Table(box=None, pad_edge=False, header_style="bold")
            for index, name in enumerate(self._names):
                table.add_column(name, overflow="fold", justify="right" if index in self._right else "left")
            for row in self._rows:
                table.add_row(*row)
            yield table
            return
        width = max(map(len, self._names)) + _GAP
        for number, row in enumerate(self._rows):
            if number:
                yield Text()
            for name, text in zip(self._names, row, strict=True):
                if text.plain:
                    yield Hanging(Text.assemble((f"{name:<{width}}", "bold"), text), by=width)
