"""`serve` as the child of another program: how the parent learns the address, and how the server ends with its parent.

A parent in any language reads one line of standard output, or waits for a file. It cannot send every system a signal,
and it may die before it sends one. But the system closes its end of the child's standard input in any case. So a thread
reads standard input, and nothing of what it reads counts but the end. It reads the descriptor and not `sys.stdin`: a
thread that waits inside a buffered reader keeps that reader's lock, which Python wants at its end.
"""

from __future__ import annotations

import contextlib
import gc
import os
import re
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from ollama_harness.cli.output import echo
from ollama_harness.errors import HarnessError
from ollama_harness.files.reading import read_bytes
from ollama_harness.files.writing import check_file, write_whole

__all__ = ["announced", "child_process_options", "for_many_connections", "when_stdin_closes"]

#: The addresses of all interfaces, and the one of each family that a client on this machine can connect to. Windows
#: connects to no 0.0.0.0.
_HERE = (("//0.0.0.0:", "//127.0.0.1:"), ("//[::]:", "//[::1]:"))
_READY = re.compile(rb"https?://[^\s/]+(/\S*)?\s*")


def _ready_file(_ctx: click.Context, param: click.Parameter, path: Path | None) -> Path | None:
    """The option's value. What an earlier server left there is removed, because a parent would take it for ours."""
    if path is not None:
        check_file(path, HarnessError)
        if path.exists():
            if not _READY.fullmatch(read_bytes(path, HarnessError)):
                problem = f"{path} exists, and it is no ready file of an earlier server; remove it, or give another"
                raise click.BadParameter(problem, param=param)
            path.unlink()
    return path


def _stdin(_ctx: click.Context, param: click.Parameter, value: bool) -> bool:  # noqa: FBT001 - click calls it so
    """The option's value. A standard input that is closed from the start would end the server at once."""
    if value and (sys.__stdin__ is None or _is_null_device(sys.__stdin__.fileno())):
        problem = "there is no standard input to watch; start it with a pipe, or leave the option out"
        raise click.BadParameter(problem, param=param)
    return value


def _is_null_device(descriptor: int) -> bool:
    return stat.S_ISCHR(os.fstat(descriptor).st_mode) and not os.isatty(descriptor)


_OPTIONS = (
    click.option(
        "--print-url",
        is_flag=True,
        help="Print the URL, and nothing else, on standard output once connections are accepted; the log goes to "
        "standard error.",
    ),
    click.option(
        "--ready-file",
        type=click.Path(path_type=Path),
        callback=_ready_file,
        metavar="FILE",
        help="Write the URL to this file once connections are accepted, and remove the file at the end.",
    ),
    click.option(
        "--exit-on-stdin-close",
        is_flag=True,
        callback=_stdin,
        help="End when standard input is closed, because the program that started this has closed it or has ended.",
    ),
)


def child_process_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options for programs that start `serve` as a child."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@contextlib.contextmanager
def announced(url: str, *, print_url: bool, ready_file: Path | None) -> Iterator[None]:
    """Tell the parent the URL of a server that accepts connections; take the file away at the end."""
    for everywhere, here in _HERE:
        url = url.replace(everywhere, here)
    line = f"{url}\n".encode()
    if print_url:
        echo(url)
    if ready_file is not None:
        write_whole(ready_file, line, HarnessError)
    try:
        yield
    finally:
        if ready_file is not None:
            with contextlib.suppress(OSError, HarnessError):
                if read_bytes(ready_file, HarnessError) == line:  # another server may have written it since
                    ready_file.unlink()


def when_stdin_closes(stop: Callable[[], None]) -> None:
    """Call `stop`, in a thread, when standard input ends."""
    assert sys.__stdin__ is not None  # the option was refused without it
    descriptor = sys.__stdin__.fileno()

    def watch() -> None:
        with contextlib.suppress(OSError):  # a pipe that broke has ended, too
            while os.read(descriptor, 65536):
                pass
        stop()

    threading.Thread(target=watch, daemon=True).start()


def for_many_connections() -> None:
    """Make this process one that serves thousands of connections on time, once all is loaded that it needs.

    It may open as many sockets as the system lets it. What is loaded by now is not searched for garbage again
    and again. A thread that logs lets the one that serves go on after half a millisecond, and not after five.
    """
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(0.0005)
    if sys.platform != "win32":
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        with contextlib.suppress(ValueError, OSError):  # macOS says that there is no limit, and has one
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
