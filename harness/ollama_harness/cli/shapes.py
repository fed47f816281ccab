"""`ollama-harness shapes`: what a client can depend on in the recordings of a version."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ollama_harness.cli.output import echo
from ollama_harness.errors import HarnessError
from ollama_harness.files.reading import read_text
from ollama_harness.gate.shapes import VersionShapes
from ollama_harness.gate.shapes.toml_text import FILE, dump, write

__all__ = ["shapes"]


@click.command(
    help="Write what a client can depend on in recordings, as text. "
    "The file is DIR/shapes.toml, for people and for diff.",
    epilog="Example: ollama-harness shapes my-recordings/0.32.15",
)
@click.argument(
    "directories",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR…",
)
@click.option("--check", is_flag=True, help=f"Write nothing; exit with 1 if a {FILE} is missing or out of date.")
def shapes(*, directories: tuple[Path, ...], check: bool) -> None:
    outdated = 0
    for directory in directories:
        version = VersionShapes.read(directory)
        path = directory / FILE
        if not check:
            echo(f"{write(version, directory)}: {len(version.shapes)} exchanges of Ollama {version.name}")
        elif not path.is_file() or read_text(path, HarnessError) != dump(version):
            outdated += 1
            echo(f"{path} does not match the recordings; run: ollama-harness shapes {directory}")
    sys.exit(1 if outdated else 0)
