"""Shows figures: tables for a terminal, JSON, and Markdown between the markers of a document."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.figures import Section, shown
from benchmarks.machine import Machine

__all__ = ["insert", "markdown", "show", "to_json"]

BEGIN, END = "<!-- figures: written by benchmarks/run.py --markdown -->", "<!-- end of figures -->"


def show(machine: Machine, sections: Sequence[Section]) -> None:
    """Tables on the terminal."""
    console = Console()
    console.print(str(machine), highlight=False)
    for section in sections:
        table = Table(title=section.title, caption=section.note, title_justify="left", caption_justify="left")
        for index, column in enumerate(section.columns):
            table.add_column(column, justify="left" if _is_text(section, index) else "right")
        for row in section.rows:
            table.add_row(*(shown(value) for value in row))
        console.print(table)
        for aim in section.aims:
            console.print(str(aim), style="green" if aim.met else "bold red", highlight=False)
        for sentence in section.sentences:
            console.print(sentence, highlight=False)


def to_json(machine: Machine, sections: Sequence[Section]) -> str:
    """Everything as one JSON object; rows are objects with the columns as keys."""
    values = {
        section.key: {
            "title": section.title,
            "note": section.note,
            "rows": [dict(zip(section.columns, row, strict=True)) for row in section.rows],
            "aims": [asdict(aim) | {"met": aim.met} for aim in section.aims],
            "sentences": section.sentences,
        }
        for section in sections
    }
    return json.dumps({"machine": asdict(machine)} | values, indent=2, ensure_ascii=False)


def markdown(machine: Machine, sections: Sequence[Section]) -> str:
    """The tables as Markdown."""
    lines = [str(machine), ""]
    for section in sections:
        lines += [f"### {section.title}", "", section.note, ""]
        lines.append("| " + " | ".join(section.columns) + " |")
        marks = ("---" if _is_text(section, index) else "---:" for index in range(len(section.columns)))
        lines.append("|" + "|".join(marks) + "|")
        lines += ["| " + " | ".join(shown(value) for value in row) + " |" for row in section.rows]
        lines += ["", *(f"- {aim}" for aim in section.aims), *(f"- {each}" for each in section.sentences), ""]
    return "\n".join(lines)


def insert(text: str, path: Path) -> None:
    """Replace the text between the markers of a document.

    Raises: ValueError, if it lacks the markers.
    """
    before, begin, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path.name} lacks the lines {BEGIN!r} and {END!r}")
    path.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}", encoding="utf-8", newline="\n")


def _is_text(section: Section, index: int) -> bool:
    return all(isinstance(row[index], str) for row in section.rows)
