"""The options for a user's own clients, which several commands have."""

from __future__ import annotations

import functools
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ollama_harness.clients import add_clients_file, add_command, add_file

__all__ = ["arguments_of", "own_clients_options"]


def own_clients_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that add clients before the command runs. Their names are added to its `clients`, if it has these."""

    @click.option(
        "--client-command",
        "commands",
        multiple=True,
        metavar="NAME=COMMAND",
        help="Add a program as a client: my-app=node my.mjs (repeatable; docs/client-protocol.md).",
    )
    @click.option(
        "--clients-file",
        "clients_files",
        type=click.Path(path_type=Path),
        multiple=True,
        metavar="FILE",
        help="Add the programs of a clients.toml as clients (repeatable).",
    )
    @click.option(
        "--client-file",
        "client_files",
        type=click.Path(path_type=Path),
        multiple=True,
        metavar="FILE",
        help="Add the clients of a Python file, which has a list CLIENTS (repeatable).",
    )
    @functools.wraps(command)
    def with_clients(
        *, commands: tuple[str, ...], clients_files: tuple[Path, ...], client_files: tuple[Path, ...], **rest: Any
    ) -> Any:
        names = [name for one in commands for name in _add_command(one)]
        names += [name for file in clients_files for name in add_clients_file(file)]
        names += [name for file in client_files for name in add_file(file)]
        if "clients" in rest:
            rest["clients"] = (*rest["clients"], *names)
        return command(**rest)

    return with_clients


def arguments_of(text: str) -> list[str]:
    """The arguments of a command line. On Windows a backslash is part of a path, and only " quotes."""
    if sys.platform != "win32":
        return shlex.split(text)
    return [one[1:-1] if one[:1] == one[-1:] == '"' and len(one) > 1 else one for one in shlex.split(text, posix=False)]


def _add_command(text: str) -> list[str]:
    name, _, line = text.partition("=")
    try:
        arguments = arguments_of(line)
    except ValueError as error:
        raise click.UsageError(f"--client-command {text!r}: {error}") from None
    if not name or not arguments:
        raise click.UsageError(f"--client-command {text!r} is not NAME=COMMAND; write my-app=node my.mjs")
    return add_command(name, arguments)
