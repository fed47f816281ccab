"""`ollama-harness check`: validate recordings."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from harness import recording_files
from harness.errors import RecordingError

__all__ = ["check"]


@click.command(epilog="Example: ollama-harness check my-recordings/")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE|DIR…")
def check(paths: tuple[Path, ...]) -> None:
    """Validate recordings: each FILE, and all under each DIR. Every defect is named with file, field and mend."""
    defects, good = [], 0
    for path in paths:
        found = [stem for stem in recording_files.find(path) if stem.name != "README"]
        if not found:
            defects.append(f"{path}: holds no recording; give a directory with .meta.json files in it")
        for stem in found:
            try:
                recording_files.load(stem, id=stem.as_posix())
            except RecordingError as error:
                defects.append(str(error))
            else:
                good += 1
    for defect in defects:
        click.echo(f"error: {defect}", err=True)
    click.echo(f"{good} recordings are good, {len(defects)} defects found")
    sys.exit(2 if defects else 0)
