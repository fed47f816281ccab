"""The option `--recordings`, which several commands have."""

from __future__ import annotations

from pathlib import Path

import click

from ollama_harness.recordings.store import OwnRecordings, RecordingStore, packaged_store

__all__ = ["recordings_option", "store_of"]

recordings_option = click.option(
    "--recordings",
    "own",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Recordings or bytes of your own, which come before those of the package.",
)


def store_of(own: Path | None, *, version: str | None = None) -> RecordingStore:
    """The recordings of the package, under those in the folder `own`, whose files count for `version`."""
    return packaged_store() if own is None else OwnRecordings(own, version=version)
