"""What the commands share: all that they print goes through here, and tables through `tables`.

Much of it comes from outside (recorded bodies, versions, file names, messages of libraries), so whatever could move a
terminal's cursor is shown as its escape.
"""

from __future__ import annotations

import click

from ollama_harness.files.printable import json_text, one_line

__all__ = ["echo", "echo_json", "json_option"]

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for tools instead of a table.")


def echo(*lines: str, err: bool = False) -> None:
    """Print lines. Each stays one line, because control characters in it are escaped."""
    click.echo("\n".join(map(one_line, lines)), err=err)


def echo_json(value: object) -> None:
    """Print a value as JSON for tools."""
    click.echo(json_text(value, indent=1))
