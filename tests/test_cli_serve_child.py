"""`serve` as the child of a program in any language: --print-url, --ready-file, --exit-on-stdin-close."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from ollama_harness.cli import main
from ollama_harness.cli.child_process import announced
from ollama_harness.server.fake_ollama import FakeOllama

pytestmark = pytest.mark.same_on_each_python

COMMAND = (sys.executable, "-m", "ollama_harness", "serve", "--port", "0")
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent / "harness")}
URL = "http://127.0.0.1:1\n"


@pytest.fixture
def ready_file(tmp_path: Path) -> Path:
    return tmp_path / "ready"


@pytest.fixture
def child(ready_file: Path) -> Iterator[subprocess.Popen[str]]:
    """`serve` with all three options, as a child of this process."""
    ready_file.write_text(URL, "ascii")  # of an earlier server, which was killed
    options = ("--print-url", "--ready-file", str(ready_file), "--exit-on-stdin-close")
    pipe = subprocess.PIPE
    with subprocess.Popen(
        (*COMMAND, *options), env=ENVIRONMENT, stdin=pipe, stdout=pipe, stderr=pipe, text=True
    ) as process:
        yield process
        process.kill()


def test_a_child_says_where_it_is_and_ends_when_its_input_is_closed(
    child: subprocess.Popen[str], ready_file: Path
) -> None:
    assert child.stdout is not None
    url = child.stdout.readline()
    assert urllib.request.urlopen(f"{url.strip()}/api/version", timeout=20).status == 200
    assert child.stderr is not None
    for line in child.stderr:
        if "GET /api/version" in line:
            break
    assert ready_file.read_text("ascii") == url, "it was there before the log began"
    out, err = child.communicate("what is written there does not count\n", timeout=20)
    assert (child.returncode, out, err) == (0, "", "stopped\n")
    assert not ready_file.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="there, a process cannot be asked to end")
def test_a_child_that_is_asked_to_end_takes_its_file_away(child: subprocess.Popen[str], ready_file: Path) -> None:
    assert child.stdout is not None
    child.stdout.readline()
    child.send_signal(signal.SIGTERM)
    assert child.wait(timeout=20) == 0
    assert not ready_file.exists()


def test_a_child_ends_when_its_parent_was_killed() -> None:
    parent = f"""
import os, subprocess
child = subprocess.Popen({(*COMMAND, "--print-url", "--exit-on-stdin-close")!r}, stdin=subprocess.PIPE)
child.wait()
"""
    pipe = subprocess.PIPE
    with subprocess.Popen((sys.executable, "-c", parent), env=ENVIRONMENT, stdout=pipe, stderr=pipe, text=True) as it:
        assert it.stdout is not None
        assert it.stdout.readline().startswith("http://127.0.0.1:")
        it.kill()
        _, err = it.communicate(timeout=20)  # until the child, which has both pipes, has ended too
    assert err.endswith("stopped\n")


def test_a_file_that_another_server_has_written_since_stays(ready_file: Path) -> None:
    with announced("http://127.0.0.1:2", print_url=False, ready_file=ready_file):
        ready_file.write_text(URL, "ascii")
    assert ready_file.read_text("ascii") == URL


@pytest.mark.parametrize(("host", "url"), [("0.0.0.0", "http://127.0.0.1:7"), ("[::]", "http://[::1]:7")])
def test_a_server_on_every_address_is_announced_at_one_that_clients_can_connect_to(
    host: str, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with announced(f"http://{host}:7", print_url=True, ready_file=None):
        assert capsys.readouterr().out == f"{url}\n"


def test_there_is_no_ready_file_where_the_server_cannot_start(
    ready_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ollama_harness.cli.serve.signal.signal", lambda *_: None)  # this process keeps its own
    ready_file.write_text(URL, "ascii")  # of an earlier server, which was killed
    with FakeOllama() as other, pytest.raises(SystemExit) as ended:
        main(["serve", "--port", str(other.port), "--ready-file", str(ready_file), "--print-url"])
    assert ended.value.code == 2
    assert not ready_file.exists()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("content", ["[[rules]]\n", "http://127.0.0.1:1\nand more\n", ""])
def test_a_file_of_something_else_is_not_replaced(
    content: str, ready_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ready_file.write_bytes(content.encode())
    with pytest.raises(SystemExit) as ended:
        main(["serve", "--port", "0", "--ready-file", str(ready_file)])
    assert ended.value.code == 2
    assert "it is no ready file of an earlier server; remove it, or give another" in capsys.readouterr().err
    assert ready_file.read_bytes() == content.encode()


def test_a_folder_that_is_not_there_is_an_error_before_the_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["serve", "--port", "0", "--print-url", "--ready-file", str(tmp_path / "nowhere" / "ready")])
    assert ended.value.code == 2
    out, err = capsys.readouterr()
    assert (out, "cannot be written" in err) == ("", True)


@pytest.mark.skipif(sys.platform == "win32", reason="there, the null device looks like a terminal")
def test_an_input_that_is_closed_from_the_start_is_refused() -> None:
    done = subprocess.run(
        (*COMMAND, "--exit-on-stdin-close"),
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 2
    assert "there is no standard input to watch; start it with a pipe, or leave the option out" in done.stderr
