"""Starts and kills the processes of clients: the package's own worker, or a command.

The worker runs in the user's current directory, which may hold an `ollama.py` or a `queue.py`. Python must not import
from there (-P), nor from PYTHONPATH, which comes before the standard library. So the process gets the folder of this
package as an argument, and adds it to `sys.path` if it is not there. A command runs in its own folder, and has the
PATH of this process. A program may be started by a script, so a process is killed with all that it has started.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import ollama_harness
from ollama_harness.clients import clients
from ollama_harness.network.simulation import SimulatedMachine

__all__ = ["killed", "started"]

#: A group of its own, so that Ctrl-C does not reach the process: the runner ends its processes itself. On Windows
#: this is a flag, which other systems do not have.
_NEW_GROUP: int = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)

_ROOT = str(Path(ollama_harness.__file__).parent.parent)
_START = """\
import sys
if sys.argv[1] not in sys.path:
    sys.path.insert(0, sys.argv[1])
from ollama_harness.clients.worker import main
main(*sys.argv[2:])
"""


def started(
    names: Sequence[str], variables: Mapping[str, str], machine: SimulatedMachine, python: str
) -> subprocess.Popen[bytes]:
    """A new process for these clients. A client that is a command has a process of its own.

    Raises: OSError.
    """
    known = [clients()[name] for name in names if name in clients()]
    command = known[0].command if known else None
    if command is None:
        files = sorted({str(one.file) for one in known if one.file is not None})
        arguments = [python, "-P", "-c", _START, _ROOT, json.dumps(machine.to_json()), json.dumps(files), *names]
    else:
        if command.program is None:
            raise FileNotFoundError(f"there is no program {command.arguments[0]!r}")
        arguments = [command.program, *command.arguments[1:]]
        if sys.platform != "win32":
            variables = {**variables, "PATH": os.environ.get("PATH", os.defpath)}
    return subprocess.Popen(
        arguments,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=None if command is None else command.folder,
        env=dict(variables),
        creationflags=_NEW_GROUP,
        process_group=None if sys.platform == "win32" else 0,
    )


def killed(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and all that it has started."""
    if sys.platform == "win32":
        tree = ["taskkill", "/F", "/T", "/PID", str(process.pid)]
        with suppress(OSError):
            subprocess.run(tree, capture_output=True, check=False)
    else:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
