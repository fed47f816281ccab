"""The command line: one module for each command. Every error is one sentence and an exit code.

0 fine · 1 breaking or unexpected · 2 usage or bad input · 3 could not tell, or a bug · 130 interrupted (Ctrl-C) ·
141 the output is no longer read (`| head`) · 143 terminated (SIGTERM)

`main` is the last net. Whatever happens in a command, everything that it has started is stopped, and the user sees one
sentence. A signal becomes SystemExit in the main thread, so every `with` and `finally` is executed.
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


#: The module of each command, and the command's name in it.
_COMMANDS = {
    "check": ("check", "check"),
    "client-check": ("client_check", "client_check"),
    "doctor": ("doctor", "doctor"),
    "gate": ("gate", "gate_"),
    "import": ("importing", "import_"),
    "install": ("install", "install"),
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
    """Imports the module of a command only when the command is used."""

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
        except BrokenPipeError as error:  # click would exit silently; a broken stdout raises _NotWritten
            raise RuntimeError(f"a pipe broke: {error}") from error


@click.group(
    help="A fake Ollama. Plays recorded streams to client libraries, whole and broken, and judges how they handle it.",
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: ollama-harness run",
)
@click.version_option(__version__, prog_name="ollama-harness")
def commands() -> None:
    _offer_to_restore()


def _offer_to_restore() -> None:
    """On Windows, an earlier run that was killed may have left its own proxy settings in the registry."""
    if (before := windows_registry.left_behind()) is None:
        return
    from ollama_harness.network.settings import hidden

    echo("an earlier run was killed before it restored your proxy settings; they were:", err=True)
    echo(*hidden(str(before)).split("\n"), err=True)
    if not sys.stdin.isatty():
        echo("run `ollama-harness doctor` in a terminal to restore them", err=True)
    elif click.confirm("Restore them now?", default=True, err=True):
        windows_registry.restore()
        echo("restored", err=True)


#: The exit codes that shells give a program that a signal has ended: 128 and the signal's number.
_INTERRUPTED, _CLOSED, _TERMINATED = 130, 141, 143


def main(arguments: list[str] | None = None) -> None:
    """The entry point: reports errors in one sentence, without a traceback. Ends in SystemExit."""
    with _checked_streams() as streams, _signals_end_it(), _threads_watched() as failures:
        code = _run(arguments)
        code = _failed(failures[0]) if failures else code
    sys.exit(_flushed(code, streams))


def _run(arguments: list[str] | None) -> int:
    """Run a command; returns its exit code."""
    try:
        code = commands.main(arguments, standalone_mode=False)
        return code if isinstance(code, int) else 0
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(shown)
        _report(*shown.getvalue().rstrip("\n").split("\n"))
        return 2
    except (click.Abort, KeyboardInterrupt):
        _report("interrupted")
        return _INTERRUPTED
    except HarnessError as error:
        _report(f"error: {error}")
        return 2
    except _NotWritten as error:
        return _unwritten(error.cause)
    except Exception as error:  # noqa: BLE001  # the last net
        return _failed(error)


def _failed(error: BaseException) -> int:
    """Report an unexpected error and where its traceback is; returns the exit code."""
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        _report(f"error: {error.strerror}; allow more (ulimit -n 1024), or use fewer --jobs")
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
        _report(*text.split("\n"))
        where = "above"
    what = f"{type(error).__name__}: {error}"[:300]
    _report(f"this is a bug in ollama-harness: {what}; please report it, with the traceback {where}")
    return 3


def _report(*lines: str) -> None:
    """Print on standard error, if it can be written to."""
    with contextlib.suppress(OSError, _NotWritten):
        echo(*lines, err=True)


@contextlib.contextmanager
def _signals_end_it() -> Iterator[None]:
    """Make the signals that end a program raise SystemExit in the main thread. A second signal ends it at once."""

    def end(number: int, _: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        raise SystemExit(_TERMINATED)

    before = {}
    if threading.current_thread() is threading.main_thread():
        for name in ("SIGTERM", "SIGHUP", "SIGBREAK"):  # SIGBREAK is Ctrl-Break on Windows
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is signal.SIG_DFL:  # nohup makes a program ignore SIGHUP
                before[number] = signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _threads_watched() -> Iterator[list[BaseException]]:
    """Collect the exceptions that end threads meanwhile, instead of a traceback for each."""
    failures = list[BaseException]()

    def note(ended: threading.ExceptHookArgs) -> None:
        if ended.exc_value is not None and not isinstance(ended.exc_value, SystemExit):
            failures.append(ended.exc_value)

    before, threading.excepthook = threading.excepthook, note
    try:
        yield failures
    finally:
        threading.excepthook = before


# A command whose output cannot be written has failed.


class _NotWritten(Exception):
    """Output that could not be written. It is not an OSError, because click and rich give that their own exit codes."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(str(cause))
        self.cause = cause


class _Checked:
    """A stream whose errors are _NotWritten, so that they differ from all other errors."""

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
    """Replace stdout and stderr by checked ones; yields the original streams.

    A stream that was closed before the start (`>&-`) becomes the null device. A pipe in cp1252 does not crash on a ✓.
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
    """Write all output; returns the exit code, which changes if the output cannot be written."""
    for stream in streams:
        try:
            stream.flush()
        except OSError as error:
            code = code or _unwritten(error)
            with contextlib.suppress(OSError):  # or Python prints an error at its end, because it tries to write again
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream.fileno())
                os.close(nowhere)
    return code


def _unwritten(error: OSError) -> int:
    """The exit code for output that could not be written."""
    if error.errno in (errno.EPIPE, errno.EINVAL):  # EINVAL on Windows
        return _CLOSED
    _report(f"error: the output cannot be written: {error.strerror}")
    return 2
