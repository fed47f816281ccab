"""`ollama-harness check`: validate recordings."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ollama_harness.cli.output import echo
from ollama_harness.errors import RecordingError
from ollama_harness.recordings import on_disk
from ollama_harness.recordings.recording import META_SUFFIX
from ollama_harness.recordings.secrets import secrets_in

__all__ = ["check"]


@click.command(
    help="""
    Validate recordings: each FILE, and all recordings in each DIR. Each defect is reported with its file, its field
    and a fix.

    Anything that looks like a secret is a defect, because recordings are made to be shared.

    Exit code 0: all recordings are valid. 2: there are defects.
    """,
    epilog="Example: ollama-harness check my-recordings/",
)
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE|DIR…")
def check(paths: tuple[Path, ...]) -> None:
    defects, good = [], 0
    for path in paths:
        found = [stem for stem in on_disk.find(path) if stem.name != "README"]
        if not found:
            defects.append(f"{path}: holds no recording; give a directory that holds .meta.json files")
        for stem in found:
            try:
                recording = on_disk.load(stem, id=stem.as_posix())
            except RecordingError as error:
                defects.append(str(error))
                continue
            found_here = [_secret(stem, field, kind) for field, kind in secrets_in(recording)]
            found_here += [_broken(stem, recording.suffix, line) for line in on_disk.not_json(recording)]
            defects += map(str, found_here)
            good += not found_here
    for defect in defects:
        echo(f"error: {defect}", err=True)
    echo(f"{good} recordings are valid, {len(defects)} defects found")
    sys.exit(2 if defects else 0)


def _broken(stem: Path, suffix: str, line: int) -> RecordingError:
    path = stem.with_name(stem.name + suffix)
    return RecordingError(path, f"line {line}", "is no JSON", "restore the file, or record it again")


def _secret(stem: Path, field: str, kind: str) -> RecordingError:
    fix = "replace each of its characters with *, or each digit of a number with 1 (ollama-harness record does so)"
    return RecordingError(
        stem.with_name(stem.name + META_SUFFIX), field, f"holds what looks like a secret: {kind}", fix
    )
