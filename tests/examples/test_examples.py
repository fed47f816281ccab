"""The examples in other languages pass, each with its own toolchain and the libraries that its lock file names.

`tox -e examples` runs this. Where a toolchain is missing, its example is skipped. An example runs in a copy of its
folder, with a PATH on which `ollama-harness` is the one under test. Fetching libraries may need the proxy; the
tests themselves must not, so they run without it. The ordinary suite leaves this folder out: compilers take their time.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent.parent / "examples"

#: For each example how its libraries are fetched, how it is run, and the line that shows that its tests ran.
COMMANDS = {
    "go": ("go mod download", "go test -count=1 -v ./...", r"^--- PASS: TestAnswer "),
    "javascript": ("npm ci --no-audit --no-fund --ignore-scripts", "npm test", r"^# pass 2$|^ℹ pass 2$"),
    "rust": ("cargo fetch --locked", "cargo test --locked --offline", r"test result: ok\. 2 passed"),
    "java": (
        # There is no command that fetches all that a later one needs.
        "",
        "mvn --batch-mode --no-transfer-progress test",
        r"Tests run: 2, Failures: 0, Errors: 0, Skipped: 0",
    ),
}


def environment(*, proxies: bool) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if proxies or not name.lower().endswith("_proxy")}
    scripts = str(Path(sys.executable).parent)
    return kept | {
        "PATH": os.pathsep.join([scripts, kept.get("PATH", "")]),
        "HOME": kept.get("HOME", str(Path.home())),  # where the toolchains keep what they have fetched
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-mod=readonly -buildvcs=false",
        # Nobody debugs what is built here, nor builds it a second time.
        "CARGO_PROFILE_DEV_DEBUG": "0",
        "CARGO_INCREMENTAL": "0",
    }


def run(command: str, folder: Path, *, proxies: bool) -> str:
    """What a command printed.

    Fails with all of it, if the command fails.
    """
    program, *arguments = command.split()
    found = shutil.which(program)
    assert found is not None
    done = subprocess.run(
        [found, *arguments],
        cwd=folder,
        env=environment(proxies=proxies),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        timeout=600,
        check=False,
    )
    if done.returncode != 0:
        pytest.fail(f"{command}: exit code {done.returncode}\n{done.stdout[-6000:]}")
    return done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_an_example_passes(name: str, tmp_path: Path) -> None:
    fetch, test, passed = COMMANDS[name]
    program = test.split()[0]
    if shutil.which(program) is None:
        pytest.skip(f"there is no {program} to run the example in {name} with")
    folder = tmp_path / name
    shutil.copytree(EXAMPLES / name, folder, ignore=shutil.ignore_patterns("node_modules", "target"))
    if fetch:
        run(fetch, folder, proxies=True)
    assert re.search(passed, run(test, folder, proxies=not fetch), re.MULTILINE)


def test_every_example_is_run() -> None:
    assert {path.name for path in EXAMPLES.iterdir() if path.is_dir()} == set(COMMANDS)
