"""The sample of a grid in README.md, renewed from the results of a run.

ollama-harness run && python -m pages.readme_sample ollama-harness-results

It has the clients that come with the package, and of the scenarios those that the sample has already. No check compares
it, because that would need a whole run.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from rich.console import Console

from ollama_harness.cli.reports import grid
from ollama_harness.clients import clients
from ollama_harness.matrix.expectations import assess
from ollama_harness.matrix.known_issues import load_all
from ollama_harness.matrix.results import Result, Results
from ollama_harness.matrix.scenarios import SCENARIOS

__all__ = ["renewed"]

_README = Path(__file__).parent.parent / "README.md"
_SAMPLE = re.compile(r"(?<=```text\n)scenario  .*?(?=```)", re.DOTALL)
_WIDTH = 120


def renewed(readme: str, cells: Iterable[Result]) -> str:
    """README.md with the sample that these cells give."""
    sample = _SAMPLE.search(readme)
    assert sample is not None, "README.md has a sample"
    ours = [one for one in cells if _comes_with_the_package(one.client)]
    written = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    console = Console(file=written, width=_WIDTH)
    console.print(grid.render(assess(ours, load_all(), full=False, today=None), console))
    written.seek(0)
    lines = [line.rstrip() for line in written]
    names = {line.split()[0] for line in sample[0].splitlines() if line.strip()}
    text = "\n".join(_chosen(lines, names)).strip()
    return f"{readme[: sample.start()]}{text}\n{readme[sample.end() :]}"


def _comes_with_the_package(name: str) -> bool:
    one = clients().get(name)
    return one is not None and one.command is None and not one.optional and not one.option


def _chosen(lines: Iterable[str], names: set[str]) -> Iterator[str]:
    """The lines without the scenarios that have other names, and without titles that then have none."""
    title = ""
    for line in lines:
        first = line.split()[0] if line else ""
        if line and line == line.upper() and not first.startswith("("):
            title = line
        elif first not in SCENARIOS:
            title = ""
            yield line
        elif first in names:
            yield from filter(None, (title, line))
            title = ""


if __name__ == "__main__":
    results = Results.load(Path(sys.argv[1]))
    _README.write_text(renewed(_README.read_text("utf-8"), results.cells), encoding="utf-8", newline="\n")
