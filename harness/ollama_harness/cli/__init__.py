"""The command line: one module a command. Every error is one sentence and an exit code.

0 fine · 1 breaking or unexpected · 2 usage or bad input · 3 could not tell, or a bug · 130 interrupted (Ctrl-C) ·
141 nothing reads the output any more (`| head`) · 143 ended from outside (SIGTERM)

`main` is the last net: whatever happens in a command, what it has started is ended, and the user sees one sentence.
A signal becomes SystemExit in the main thread, so that every `with` and `finally` on the way out does its work.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import io
import os
import platform
import select
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator
from typing import TextIO

import click

from ollama_harness import __version__
from ollama_harness.cli.output import echo
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

    echo("an earlier run was killed before it put your proxy settings back; they were:", err=True)
    echo(*hidden(str(before)).split("\n"), err=True)
    if not sys.stdin.isatty():
        echo("run ollama-harness doctor in a terminal to put them back", err=True)
    elif click.confirm("Put them back now?", default=True, err=True):
        windows_registry.restore()
        echo("they are back", err=True)


#: The exit codes of a program that a signal ends, as shells give them: 128 and the signal's number.
_INTERRUPTED, _CLOSED, _TERMINATED = 130, 141, 143


def main(arguments: list[str] | None = None) -> None:
    """The entry point: reports errors in one sentence, without a traceback. Ends in SystemExit."""
    _open_streams()
    with _signals_end_it():
        code = _run(arguments)
    sys.exit(_flushed(code))


def _run(arguments: list[str] | None) -> int:
    """Run a command; returns the exit code."""
    try:
        code = commands.main(arguments, standalone_mode=False)
        return code if isinstance(code, int) else 0
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError) and _is_closed(sys.stdout):  # what click and rich make of it
            return _CLOSED
        return end.code if isinstance(end.code, int) else 0
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(shown)
        _say(*shown.getvalue().rstrip("\n").split("\n"))
        return 2
    except (click.Abort, KeyboardInterrupt):
        _say("interrupted")
        return _INTERRUPTED
    except HarnessError as error:
        _say(f"error: {error}")
        return 2
    except Exception as error:  # noqa: BLE001  # the last net
        if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
            _say(f"error: {error.strerror}; allow more (ulimit -n 1024), or give fewer --jobs")
            return 3
        if isinstance(error, OSError) and error.filename is None and _is_closed(sys.stdout):
            return 0  # and the same error comes again when the rest is flushed
        return _bug(error)


def _bug(error: Exception) -> int:
    """Keep the traceback of an error that no one expected, and say where."""
    versions = f"ollama-harness {__version__}, Python {platform.python_version()}, {platform.platform()}"
    text = f"{versions}\n\n{''.join(traceback.format_exception(error))}"
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="ollama-harness-bug-", suffix=".txt", encoding="utf-8", errors="backslashreplace", delete=False
        ) as file:
            file.write(text)
        where = f"in {file.name}"
    except OSError:
        _say(*text.split("\n"))
        where = "above"
    what = f"{type(error).__name__}: {error}"[:300]
    _say(f"this is a bug in ollama-harness: {what}; please report it, with the traceback {where}")
    return 3


def _say(*lines: str) -> None:
    """Print on standard error, unless that cannot be written to either."""
    with contextlib.suppress(OSError):
        echo(*lines, err=True)


@contextlib.contextmanager
def _signals_end_it() -> Iterator[None]:
    """Let the signals that end a program raise SystemExit in the main thread; a second one ends it at once."""

    def end(number: int, _: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        raise SystemExit(_TERMINATED)

    before = {}
    if threading.current_thread() is threading.main_thread():
        for name in ("SIGTERM", "SIGHUP", "SIGBREAK"):  # the last is Windows' Ctrl-Break
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is signal.SIG_DFL:  # nohup ignores one
                before[number] = signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _open_streams() -> None:
    """A stream that was closed before the start (`>&-`) leads nowhere; a pipe in cp1252 must not crash on a ✓."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w", encoding="utf-8"))  # noqa: PTH123, SIM115
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]


def _flushed(code: int) -> int:
    """The exit code, once all output is written; of output that cannot be written, another."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError as error:
            closed = error.errno in (errno.EPIPE, errno.EINVAL)  # the latter on Windows
            _lead_nowhere(stream)
            if not closed and stream is sys.stdout:
                _say(f"error: the output cannot be written: {error.strerror}")
            code = code or (_CLOSED if closed else 2)
    if code == _CLOSED:
        _lead_nowhere(sys.stdout)
    return code


def _is_closed(stream: TextIO) -> bool:
    """Whether nothing can be written to a stream any more."""
    try:
        stream.flush()
        if sys.platform == "win32":
            return False
        poll = select.poll()
        poll.register(stream.fileno(), select.POLLOUT)
        return any(event & (select.POLLERR | select.POLLHUP | select.POLLNVAL) for _, event in poll.poll(0))
    except OSError:
        return True


def _lead_nowhere(stream: TextIO) -> None:
    """Keep Python from complaining, at its end, of what it still cannot write."""
    with contextlib.suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
