"""`ollama-harness import`: recordings of what other tools captured."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import click

from ollama_harness.cli.output import echo
from ollama_harness.errors import HarnessError
from ollama_harness.files.locking import held
from ollama_harness.recorder import keep, read_captures
from ollama_harness.recorder.probes import is_name
from ollama_harness.recordings.versions import VERSION, is_version

__all__ = ["import_"]


def _name(_ctx: click.Context, _param: click.Parameter, text: str) -> str:
    if text and not is_name(text):
        raise click.BadParameter(f"{text!r} is no name of a recording; give one of a-z, 0-9 and -, such as chat-mine")
    return text


def _version(_ctx: click.Context, _param: click.Parameter, text: str | None) -> str | None:
    if text is not None and not is_version(text):
        raise click.BadParameter(f"{text!r} is no version; give {VERSION}")
    return text


def _matching(pattern: str, example: str) -> Any:
    def check(_ctx: click.Context, _param: click.Parameter, text: str) -> str:
        if text and not re.fullmatch(pattern, text):
            raise click.BadParameter(f"{text!r} is not of the form {example}")
        return text

    return check


@click.command(
    "import",
    help="""
    Make recordings of what other tools captured. Each FILE is the output of `curl -i`, a HAR file of a browser or a
    proxy, the raw bytes of a response from its status line on, or a stream alone (.ndjson, .sse). Of a HAR file each
    exchange with Ollama becomes a recording.

    Chunks keep their bounds, and a HAR file has some of the times. Where nothing says more, each record comes 20 ms
    after the one before.

    Secrets are blanked before anything is written. A recording of the same name is replaced.

    Exit code 0: everything was imported. 2: bad input, and nothing was imported.
    """,
    epilog="Example: ollama-harness import answer.txt --path /api/chat --out mine",
)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE…")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder for the recordings. serve --recordings plays them from there.",
)
@click.option(
    "--name",
    callback=_name,
    default="",
    help="The recording's name. The default is that of the file; several are numbered.",
)
@click.option(
    "--method",
    callback=_matching("[A-Z]+", "POST"),
    default="",
    help="The method of the request, which curl -i does not print.",
)
@click.option(
    "--path",
    "target",
    callback=_matching("/[!-~]*", "/api/chat"),
    default="",
    metavar="PATH",
    help="The path of the request. The default is what the file's name or the objects in the body tell.",
)
@click.option(
    "--ollama-version",
    "version",
    callback=_version,
    metavar="V",
    help="The version that answered: writes to OUT/V/, and the recordings count for that version only.",
)
def import_(*, files: tuple[Path, ...], out: Path, name: str, method: str, target: str, version: str | None) -> None:
    read = [
        read_captures(path, name=name, method=method, target=target, version=version or "unknown") for path in files
    ]
    recordings = [one for captures in read for one in captures.recordings]
    twice = [name for name, count in Counter(one.name for one in recordings).items() if count > 1]
    if twice:
        raise HarnessError(f"two of the files would become {twice[0]}; import one at a time, each with its --name")
    folder = out / version if version else out
    with held(folder):
        for one in recordings:
            keep(one, folder)
    for left_out in (text for captures in read for text in captures.left_out):
        echo(left_out, err=True)
    for one in recordings:
        asked = f"{one.request.method} {one.request.path}"
        echo(f"{folder / one.name}  {asked}  {one.response.status}, {len(one.frames)} frames, {one.size_bytes} bytes")
    there = "1 recording is" if len(recordings) == 1 else f"{len(recordings)} recordings are"
    echo(f"{there} in {folder}; play with: ollama-harness serve --recordings {out}")
