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
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator
from typing import Any, TextIO, cast

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

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except BrokenPipeError as error:  # click would end in silence; but the output's own would be _NotWritten
            raise RuntimeError(f"a pipe broke: {error}") from error


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
    with _checked_streams() as streams, _signals_end_it(), _threads_watched() as failures:
        code = _run(arguments)
        code = _failed(failures[0]) if failures else code
    sys.exit(_flushed(code, streams))


def _run(arguments: list[str] | None) -> int:
    """Run a command; returns the exit code."""
    try:
        code = commands.main(arguments, standalone_mode=False)
        return code if isinstance(code, int) else 0
    except SystemExit as end:
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
    except _NotWritten as error:
        return _unwritten(error.cause)
    except Exception as error:  # noqa: BLE001  # the last net
        return _failed(error)


def _failed(error: BaseException) -> int:
    """Say what went wrong that was not expected, and where its traceback is; returns the exit code."""
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        _say(f"error: {error.strerror}; allow more (ulimit -n 1024), or give fewer --jobs")
        return 3
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
    with contextlib.suppress(OSError, _NotWritten):
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


@contextlib.contextmanager
def _threads_watched() -> Iterator[list[BaseException]]:
    """What ends threads meanwhile, instead of a traceback from each."""
    failures = list[BaseException]()

    def note(ended: threading.ExceptHookArgs) -> None:
        if ended.exc_value is not None and not isinstance(ended.exc_value, SystemExit):
            failures.append(ended.exc_value)

    before, threading.excepthook = threading.excepthook, note
    try:
        yield failures
    finally:
        threading.excepthook = before


# What is printed must arrive, or the command has not done its work.


class _NotWritten(Exception):
    """Output that could not be written. No OSError: click and rich would each make an exit code of their own of it."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(str(cause))
        self.cause = cause


class _Checked:
    """A stream that raises _NotWritten, which nothing else does."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError as error:
            raise _NotWritten(error) from None

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            raise _NotWritten(error) from None


@contextlib.contextmanager
def _checked_streams() -> Iterator[list[TextIO]]:
    """Check what is written meanwhile; yields the streams themselves.

    One that was closed before the start (`>&-`) leads nowhere, and a pipe in cp1252 does not crash on a ✓.
    """
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w", encoding="utf-8"))  # noqa: PTH123, SIM115
    streams = [sys.stdout, sys.stderr]
    for stream in streams:
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    sys.stdout, sys.stderr = (cast(TextIO, _Checked(stream)) for stream in streams)
    try:
        yield streams
    finally:
        sys.stdout, sys.stderr = streams


def _flushed(code: int, streams: list[TextIO]) -> int:
    """The exit code, once all output is written; of output that cannot be written, another."""
    for stream in streams:
        try:
            stream.flush()
        except OSError as error:
            code = code or _unwritten(error)
            with contextlib.suppress(OSError):  # or Python complains at its end of what it still cannot write
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream.fileno())
                os.close(nowhere)
    return code


def _unwritten(error: OSError) -> int:
    """The exit code for output that could not be written."""
    if error.errno in (errno.EPIPE, errno.EINVAL):  # the latter on Windows
        return _CLOSED
    _say(f"error: the output cannot be written: {error.strerror}")
    return 2
