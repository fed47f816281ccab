"""Runs programs that share slow imports: `python _launcher.py MODULE …` imports them once, and each program is a fork.

A program is still a process of its own: it begins with the imported modules, has its own `__main__`, standard output
and standard error, and may crash. Where a system has no fork (Windows), each program is a new Python, which is slower.

A line on standard input is a program: a JSON object with `path`, files for what it prints (`out` and `err`), and
`timeout_s`. A line on standard output is the exit code of that program, negative if a signal ended it.
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
from pathlib import Path

FORKS = hasattr(os, "fork")


def main(modules: list[str]) -> None:
    if FORKS:
        for module in modules:
            importlib.import_module(module)
    for line in sys.stdin:
        program = json.loads(line)
        print((forked if FORKS else spawned)(**program), flush=True)


def spawned(*, path: str, out: str, err: str, timeout_s: int) -> int:
    with Path(out).open("wb") as printed, Path(err).open("wb") as complained:
        # -P: a program's folder is not where its imports are looked for.
        command = [sys.executable, "-P", path]
        try:
            return subprocess.call(
                command, stdin=subprocess.DEVNULL, stdout=printed, stderr=complained, timeout=timeout_s
            )
        except subprocess.TimeoutExpired:
            return -1


def forked(*, path: str, out: str, err: str, timeout_s: int) -> int:
    if process := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    for number, name, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, out, os.O_WRONLY | os.O_CREAT),
        (2, err, os.O_WRONLY | os.O_CREAT),
    ):
        os.dup2(os.open(name, flags), number)
    signal.alarm(timeout_s)  # it ends the process
    runpy.run_path(path, run_name="__main__")
    sys.exit()  # as any Python ends: with its threads, and with what it wants to do at its end


if __name__ == "__main__":
    main(sys.argv[1:])
