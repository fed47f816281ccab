"""Starts the processes of clients: the package's own worker, or a command.

The worker runs in the user's current directory, which may hold an `ollama.py` or a `queue.py`. Python must not import
from there (-P), nor from PYTHONPATH, which comes before the standard library. A library that this package does not
bring has a Python of its own, which does not know this package either. So the process gets the package's file as an
argument and imports the package from it, without adding a folder to `sys.path`: that would bring the libraries beside
it, too. A command runs in its own folder, and has the PATH of this process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence

import ollama_harness
from ollama_harness.clients import client, clients, without_version
from ollama_harness.clients._process_tree import OWN_GROUP
from ollama_harness.network.simulation import SimulatedMachine

__all__ = ["started"]

_START = """\
import importlib.util, sys
spec = importlib.util.spec_from_file_location("ollama_harness", sys.argv[1])
package = sys.modules["ollama_harness"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(package)
from ollama_harness.clients.worker import main
main(*sys.argv[2:])
"""


def started(
    names: Sequence[str], variables: Mapping[str, str], machine: SimulatedMachine, python: str | None = None
) -> subprocess.Popen[bytes]:
    """A new process for these clients, which share a library. A client that is a command has a process of its own.

    `python` is the interpreter; None means that which has the library.

    Raises: OSError.
    """
    known = [client(name) for name in names if without_version(name) in clients()]  # the worker refuses the others
    command = known[0].command if known else None
    if command is None:
        files = sorted({str(one.file) for one in known if one.file is not None})
        start = [python or (known[0].python if known else sys.executable), "-P", "-c", _START, ollama_harness.__file__]
        arguments = [*start, json.dumps(machine.to_json()), json.dumps(files), *names]
        for one in known:
            variables = {**variables, **dict(one.settings)}
    else:
        if command.program is None:
            raise FileNotFoundError(f"not installed: {known[0].missing}")
        arguments = [command.program, *command.arguments[1:]]
        if sys.platform != "win32":
            variables = {**variables, "PATH": os.environ.get("PATH", os.defpath)}
    return subprocess.Popen(
        arguments,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=None if command is None else command.home,
        env=dict(variables),
        **OWN_GROUP,
    )
