"""Other people's fake servers, which run beside ours. So far one: aimock, from npm, on node.

`package-lock.json` pins what is installed, with hashes. It is installed into the user's cache folder, once for each
content of the lock file, so that nothing is written into the checkout.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.server_process import ServerProcess, started

__all__ = ["AIMOCK", "PeerMissing", "aimock"]

_HERE = Path(__file__).resolve().parent
_LOCK = json.loads((_HERE / "package-lock.json").read_text(encoding="utf-8"))
_OLDEST_NODE = 20
#: The name and version of the peer.
AIMOCK = f"aimock {_LOCK['packages']['node_modules/@copilotkit/aimock']['version']}"


class PeerMissing(Exception):
    """Why the peer cannot be run, in one sentence."""


def aimock(*, records: int, gap_s: float) -> contextlib.AbstractContextManager[ServerProcess]:
    """aimock, which answers every request with so many records, and waits `gap_s` before each.

    Raises: PeerMissing.
    """
    folder = _installed()
    return started(["node", str(folder / "aimock.mjs"), str(records), str(round(gap_s * 1000))])


@functools.cache
def _installed() -> Path:
    """The folder in which the peer is installed, now or earlier.

    Raises: PeerMissing.
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise PeerMissing(f"{AIMOCK} is not measured: there is no node with npm here")
    version = subprocess.run([node, "--version"], capture_output=True, encoding="utf-8", check=True).stdout.strip()
    if int(version.removeprefix("v").partition(".")[0]) < _OLDEST_NODE:
        raise PeerMissing(f"{AIMOCK} is not measured: it needs node {_OLDEST_NODE}, and this is {version}")
    files = [_HERE / name for name in ("aimock.mjs", "package.json", "package-lock.json")]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]
    folder = _cache() / "ollama-harness" / f"benchmark-peers-{digest}"
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        for path in files:
            shutil.copy(path, temporary)
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=temporary, capture_output=True, encoding="utf-8")
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["it gave no reason"])[-1]
            raise PeerMissing(f"{AIMOCK} is not measured: npm ci failed: {last}")
        with contextlib.suppress(FileExistsError):  # another run was faster
            shutil.copytree(temporary, folder)
    return folder


def _cache() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or tempfile.gettempdir())
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
