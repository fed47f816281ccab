"""`ollama-harness install`: what clients need that this installation does not have, each in a place of its own."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import click
from rich.progress import Progress

from ollama_harness.cli.output import echo
from ollama_harness.cli.tables import progress_bar
from ollama_harness.clients import Client, named
from ollama_harness.clients.installed import of_packages
from ollama_harness.clients.places import VARIABLE, ClientPlace, use_root
from ollama_harness.errors import InstallError
from ollama_harness.files.printable import one_line

__all__ = ["env_dir_option", "install", "install_named", "installed_places"]

#: How much of a line is shown beside the bar.
_SHOWN_CHARACTERS = 60


def env_dir_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option for the folder of all places, which takes effect when it is read."""

    def chosen(_ctx: click.Context, _param: click.Parameter, folder: Path | None) -> None:
        if folder is not None:
            use_root(folder)

    return click.option(
        "--env-dir",
        type=click.Path(path_type=Path, file_okay=False),
        callback=chosen,
        expose_value=False,
        is_eager=True,
        help=f"The folder for what `install` builds. [default: {VARIABLE}, or a folder of the user's cache]",
    )(command)


@click.command(
    "install",
    help="""
    Install clients that do not come with ollama-harness: libraries in Python into a virtual environment, and programs
    in other languages by the tools of their language. Everything has a fixed version and a hash. Nothing of it changes
    this Python or the current directory. What is installed already, from the same lock file, is not built again.

    `run` then runs these clients, too. NAME==VERSION installs another version of a client (httpx==0.27.2), and
    npm:PACKAGE@VERSION of all clients of a package (npm:ollama@0.5.0).

    Exit code 0: all of it is installed; with --all, all that the tools of this machine can build. 1: something could
    not be installed. 2: bad input.
    """,
    epilog="Example: ollama-harness install openai anthropic",
)
@click.argument("names", metavar="[CLIENT]...", nargs=-1)
@click.option("--all", "all_", is_flag=True, help="Install all clients.")
@env_dir_option
def install(*, names: tuple[str, ...], all_: bool) -> None:
    if bool(names) == all_:
        raise click.UsageError("name the clients to install, or give --all; they are: ollama-harness list clients")
    chosen = [one for name in names for one in named(name)] or of_packages()
    for one in chosen if names else ():
        if one.missing is None:
            echo(f"{one.name} is installed")
    absent = {one.name: one.missing for one in chosen if one.missing is not None}
    can = [one for one in chosen if one.name in absent and one.place is not None and one.place.lacks is None]
    failed = installed_places(can)
    for one in chosen:
        if one.name in absent and one not in can:
            echo(f"{one.name} cannot be installed: {absent[one.name]}", err=not all_)
            failed = failed or not all_
    sys.exit(1 if failed else 0)


def installed_places(chosen: Sequence[Client]) -> bool:
    """Build the places of these clients, with progress; returns whether one has failed. What failed is printed."""
    places: dict[Path, tuple[ClientPlace, list[str]]] = {}
    for one in chosen:
        if one.place is not None:
            places.setdefault(one.place.path, (one.place, []))[1].append(one.name)
    failed = False
    for path, (place, names) in places.items():
        try:
            with progress_bar() as bar:
                _build(place, bar)
        except InstallError as error:
            echo(*str(error).split("\n"), err=True)
            failed = True
        else:
            echo(f"{', '.join(names)}: installed in {path}")
    return failed


def install_named(chosen: Iterable[Client]) -> None:
    """Build the places of those of these clients that have another version than that of this installation.

    Ends the command with exit code 2 if one cannot be installed.

    Raises: InstallError, if another client is not installed.
    """
    for one in chosen:
        if one.missing is None:
            continue
        if not one.version or one.place is None:
            raise InstallError(f"{one.name} is not installed; {one.missing}")
        try:
            with progress_bar() as bar:
                _build(one.place, bar)
        except InstallError as error:
            echo(*f"error: {error}".split("\n"), err=True)
            sys.exit(2)


def _build(place: ClientPlace, bar: Progress) -> None:
    """Build a place. Each step is a line and moves the bar, beside which stands the last line that the step wrote."""
    task, begun = bar.add_task(place.name, total=len(place.steps)), itertools.count()

    def say(text: str) -> None:
        bar.console.print(f"{place.name}: {text}", soft_wrap=True)

    def begins(step: str) -> None:
        say(step)
        bar.update(task, completed=next(begun))

    def writes(line: str) -> None:
        bar.update(task, description=one_line(f"{place.name}: {line}")[:_SHOWN_CHARACTERS])

    place.build(begins, writes=writes, waiting=lambda: say("another process installs clients; waiting for it"))
