"""The command line's last net: whatever happens, what was started is ended, and the user sees one sentence."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

import ollama_harness
from ollama_harness.cli import main
from ollama_harness.errors import HarnessError

ON_WINDOWS = sys.platform == "win32"
ROOT = Path(__file__).parent.parent
COMMAND = [sys.executable, "-m", "ollama_harness"]


@pytest.fixture
def ends(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[[Callable[[], None]], tuple[Any, str]]:
    """Runs a command that does something; gives its exit code and what stands on standard error."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def run(do: Callable[[], None]) -> tuple[Any, str]:
        command = click.Command("anything", callback=do)
        monkeypatch.setattr(ollama_harness.cli._Commands, "get_command", lambda *_: command)
        with pytest.raises(SystemExit) as ended:
            main(["anything"])
        return ended.value.code, capsys.readouterr().err

    return run


def raising(error: BaseException) -> Callable[[], None]:
    def do() -> None:
        raise error

    return do


def in_a_thread(do: Callable[[], None]) -> Callable[[], None]:
    def start() -> None:
        thread = threading.Thread(target=do)
        thread.start()
        thread.join()

    return start


# ------------------------------------------------------------------------------------------------ in this process


@pytest.mark.parametrize("where", [lambda do: do, in_a_thread], ids=["here", "in a thread"])
def test_a_bug_is_one_sentence_and_its_traceback_is_kept(where: Any, ends: Any, tmp_path: Path) -> None:
    code, err = ends(where(raising(KeyError("x\n\x1b[31m"))))
    assert code == 3
    match = re.fullmatch(r"this is a bug in ollama-harness: (.*); please report it, with the traceback in (.*)\n", err)
    assert match is not None, err
    assert match[1] == r"KeyError: 'x\n\x1b[31m'"
    kept = Path(match[2]).read_text(encoding="utf-8")
    assert match[2].startswith(str(tmp_path))
    assert kept.startswith(f"ollama-harness {ollama_harness.__version__}, Python {sys.version.split()[0]}, ")
    assert "in raising" not in kept
    assert "in do" in kept


def test_a_bug_whose_traceback_cannot_be_kept_shows_it(
    ends: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    code, err = ends(raising(ZeroDivisionError("x")))
    assert code == 3
    assert "ZeroDivisionError: x\n" in err
    assert err.endswith("please report it, with the traceback above\n")


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (HarnessError("a\nb"), 2, "error: a\\nb\n"),
        (click.ClickException("a\x1bb"), 2, "Error: a\\x1bb\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (click.Abort(), 130, "interrupted\n"),
        (SystemExit(7), 7, ""),
        (SystemExit(None), 0, ""),
        (
            OSError(errno.EMFILE, "Too many open files"),
            3,
            "error: Too many open files; allow more (ulimit -n 1024), or use fewer --jobs\n",
        ),
        (BrokenPipeError(errno.EPIPE, "a worker's"), 3, "this is a bug in ollama-harness: RuntimeError: a pipe broke"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_each_end_has_its_exit_code_and_its_sentence(error: BaseException, code: int, said: str, ends: Any) -> None:
    ended, err = ends(raising(error))
    assert ended == code
    assert err.strip("\n").startswith(said.strip("\n"))
    assert "Traceback" not in err


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGBREAK"])
def test_a_signal_ends_a_command_after_its_clean_up(name: str, ends: Any) -> None:
    number = getattr(signal, name, None)
    if number is None:
        pytest.skip("this system has no such signal")
    before, cleaned = signal.getsignal(number), []

    def do() -> None:
        try:
            signal.raise_signal(number)
        finally:
            cleaned.append("all of it")

    assert ends(do) == (143, "")
    assert cleaned == ["all of it"]
    assert signal.getsignal(number) is before


# ----------------------------------------------------------------------------------------- in a process of its own


def run(*arguments: str, cwd: Path, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
    )


@pytest.mark.same_on_each_python
@pytest.mark.parametrize("arguments", [["list", "faults"], ["list", "faults", "--json"], ["--help"]], ids=" ".join)
def test_an_output_that_nothing_reads_any_more_is_no_failure_to_talk_of(arguments: list[str], tmp_path: Path) -> None:
    """As in `ollama-harness list faults | head -1`; 141 is what a program ends with that SIGPIPE kills."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as output:
        done = run(*arguments, cwd=tmp_path, stdout=output)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.same_on_each_python
def test_errors_that_nothing_reads_keep_their_exit_code(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as output:
        assert run("report", "missing", cwd=tmp_path, stderr=output).returncode == 2


@pytest.mark.same_on_each_python
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no disk that is always full")
@pytest.mark.parametrize("arguments", [["list", "faults"], ["--help"]], ids=" ".join)
def test_an_output_on_a_full_disk_is_an_error(arguments: list[str], tmp_path: Path) -> None:
    with Path("/dev/full").open("wb") as output:
        done = run(*arguments, cwd=tmp_path, stdout=output)
    assert (done.returncode, done.stderr) == (2, "error: the output cannot be written: No space left on device\n")


@pytest.mark.same_on_each_python
@pytest.mark.skipif(ON_WINDOWS, reason="a process has all three streams there")
@pytest.mark.parametrize(
    ("arguments", "code"),
    [("list faults >&-", 0), ("report missing >&- 2>&-", 2), ("list faults --json <&- >&- 2>&-", 0)],
)
def test_streams_that_were_closed_before_the_start(arguments: str, code: int, tmp_path: Path) -> None:
    shell = ["sh", "-c", f'exec "{sys.executable}" -m ollama_harness {arguments}']
    done = subprocess.run(shell, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=60, check=False)
    assert done.returncode == code


@pytest.mark.same_on_each_python
@pytest.mark.skipif(ON_WINDOWS, reason="there is no such limit")
def test_too_few_open_files_are_one_sentence_before_anything_is_run(tmp_path: Path) -> None:
    shell = f'ulimit -n 64; exec "{sys.executable}" -m ollama_harness run --client requests --scenario stream'
    done = subprocess.run(
        ["sh", "-c", shell],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert re.fullmatch(
        r"error: this system lets a process open 64 files, and \d+ cells at a time may need \d+; "
        r"allow more \(ulimit -n \d+\), or use fewer --jobs\n",
        done.stderr,
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.same_on_each_python
@pytest.mark.skipif(ON_WINDOWS, reason="SIGTERM ends a process at once there")
def test_a_terminated_run_leaves_no_process_and_no_temporary_folder(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    chosen = ["--client", "requests", "--scenario", "stall-after-record"]  # several cells, of which each waits
    process = subprocess.Popen(
        [*COMMAND, "run", "--jobs", "2", *chosen, "--out", "results"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path / "tmp")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    partial = tmp_path / "results" / "results.partial.ndjson"
    while not (partial.exists() and partial.stat().st_size):
        assert process.poll() is None
        time.sleep(0.01)  # it needs this processor
    assert list((tmp_path / "tmp").iterdir())
    process.terminate()
    _, err = process.communicate(timeout=60)  # returns once no child holds the pipes any more
    assert process.returncode == 143
    assert "results.partial.ndjson" in err
    assert err.count("\n") == 1
    assert list((tmp_path / "tmp").iterdir()) == []
