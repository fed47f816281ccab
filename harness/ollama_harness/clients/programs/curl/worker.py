"""Drives the command line of curl for ollama-harness. docs/client-protocol.md describes the messages.

Each job starts one curl, as a script does: curl -sS --no-buffer --fail --json @- URL. The lines that it writes are the
records, and an exit code that is not 0 is an error. curl has no sessions: each exchange is another process.
"""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from ollama_harness.clients.adapter import EventLines, Job


class ExitCodeError(Exception):
    """curl has exited with an error. The text is what it wrote about it."""


def main() -> None:
    program = shutil.which("curl")
    if program is None:
        write(protocol=1, missing="there is no curl on PATH: https://curl.se/download.html")
    else:
        write(protocol=1, ready=version(program))
        for line in sys.stdin.buffer:
            do(Job.from_json(json.loads(line)), program)


def version(program: str) -> str:
    """The version of curl."""
    return subprocess.run([program, "--version"], capture_output=True, check=True, text=True).stdout.split()[1]


def do(job: Job, program: str) -> None:
    """Do a job to its end."""
    begun = time.monotonic()
    with subprocess.Popen(
        [program, *arguments(job)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        hung = threading.Event()

        def end_it() -> None:
            hung.set()
            process.kill()

        timer = threading.Timer(job.deadline_s, end_it)
        timer.start()
        try:
            for count, record in enumerate(records(job, process), 1):
                write(record=record, at_s=time.monotonic() - begun)
                if count == job.meanwhile_after:
                    write(meanwhile=True)
                    do(Job.from_json(json.loads(sys.stdin.buffer.readline())), program)
                if count == job.stop_after:
                    end: dict[str, Any] = {"end": "stopped"}
                    break
            else:
                end = {"end": "ended"}
        except ExitCodeError as error:
            types = [f"exit code {process.returncode}", "exit code"]
            end = {"end": "raised", "types": types, "message": str(error)}
        except ValueError as error:  # json.loads, as the script calls it
            end = {"end": "raised", "types": [type(error).__name__, "ValueError"], "message": str(error)}
        finally:
            timer.cancel()
            process.kill()
    write(id=job.id, **({"end": "hung"} if hung.is_set() else end))


def arguments(job: Job) -> list[str]:
    """The command line. What is sent comes from stdin, because a command line cannot be long everywhere."""
    request = job.request
    found = ["-sS", "--no-buffer", "--fail", "--request", request.method]
    # Its read timeout: the exchange fails when for so many whole seconds less than one byte a second came.
    found += ["--speed-limit", "1", "--speed-time", str(math.ceil(job.read_timeout_s))]
    if not job.trust_env:
        found += ["--noproxy", "*"]
    for name, value in request.headers:
        found += ["--header", f"{name}: {value}"]
    if request.json is not None:
        found += ["--json", "@-"]
    elif request.body is not None:
        found += ["--data-binary", "@-"]
    return [*found, job.target]


def records(job: Job, process: subprocess.Popen[bytes]) -> Iterator[Any]:
    """What curl writes, line by line or as a whole.

    Raises: ExitCodeError, ValueError.
    """
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    request = job.request
    try:
        process.stdin.write((json.dumps(request.json) if request.json is not None else request.body or "").encode())
        process.stdin.close()
    except OSError:
        pass  # curl has ended, and its exit code says why
    rest, gathered = b"", EventLines()
    if job.answer == "one":
        rest = process.stdout.read()
    else:
        for line in process.stdout:
            if not line.endswith(b"\n"):
                rest = line
            elif job.answer == "records":
                yield json.loads(line)
            elif (event := gathered.add(line)) is not None:
                yield event
    errors = process.stderr.read().decode(errors="replace")
    if process.wait() != 0:
        raise ExitCodeError(errors.strip())
    if rest and job.answer != "events":
        yield json.loads(rest)


def write(**message: Any) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


main()
