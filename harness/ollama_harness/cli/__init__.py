"""The command line: one module a command. Every error is one sentence and an exit code.

0 fine · 1 breaking or unexpected · 2 usage or bad input · 3 could not tell
"""

from __future__ import annotations

import importlib
import sys

import click

from ollama_harness import __version__
from ollama_harness.errors import HarnessError
from ollama_harness.network import windows_registry

__all__ = ["main"]


#: Each command's module, and its name there.
_COMMANDS = {
    "check": ("check", "check"),
    "doctor": ("doctor", "doctor"),
    "gate": ("gate", "gate_"),
    "list": ("listing", "list_"),
    "prove": ("prove", "prove_"),
    "record": ("record", "record"),
    "report": ("report", "report"),
    "run": ("run", "run"),
    "serve": ("serve", "serve"),
    "shapes": ("shapes", "shapes"),
    "show": ("show", "show"),
}


class _Commands(click.Group):
    """Imports a command's module only when it is asked for."""

    def list_commands(self, _: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, _: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        module, attribute = _COMMANDS[name]
        command: click.Command = getattr(importlib.import_module(f"{__name__}.{module}"), attribute)
        return command


@click.group(
    help="Plays recorded Ollama streams, whole and broken, to client libraries and judges what they make of them.",
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: ollama-harness run",
)
@click.version_option(__version__, prog_name="ollama-harness")
def commands() -> None:
    _offer_to_restore()


def _offer_to_restore() -> None:
    """Windows: an earlier run that was killed may have left its own proxy settings in the registry."""
    if (before := windows_registry.left_behind()) is None:
        return
    from ollama_harness.network.prediction_base import hidden

    click.echo("an earlier run was killed before it put your proxy settings back; they were:", err=True)
    click.echo(hidden(str(before)), err=True)
    if not sys.stdin.isatty():
        click.echo("run ollama-harness doctor in a terminal to put them back", err=True)
    elif click.confirm("Put them back now?", default=True, err=True):
        windows_registry.restore()
        click.echo("they are back", err=True)


def main(arguments: list[str] | None = None) -> None:
    """The entry point: reports errors in one sentence, without a traceback. Ends in SystemExit."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # a cp1252 pipe must not crash on a ✓
    try:
        sys.exit(commands.main(arguments, standalone_mode=False))
    except click.exceptions.Exit as exit_:
        sys.exit(exit_.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(3)
    except HarnessError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
