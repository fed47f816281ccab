"""The environment variables with which a client's process starts. Nothing is inherited.

Clients read settings when they are imported. A proxy variable, a proxy in the Windows registry or a .netrc of the
machine that runs the matrix must not decide a verdict.
"""

from __future__ import annotations

import os
import site
import sys
from collections.abc import Mapping
from pathlib import Path

__all__ = ["clean_environment"]

#: With this variable Python does not read the Windows registry either.
_NO_PROXY = {"NO_PROXY": "*"}

#: Without these a Windows process has no sockets and no temporary directory.
_WINDOWS = ("SYSTEMROOT", "SYSTEMDRIVE", "COMSPEC", "PATHEXT", "WINDIR", "TEMP", "TMP", "PATH")


def clean_environment(home: Path, settings: Mapping[str, str] = _NO_PROXY) -> dict[str, str]:
    """Variables for a client's process: these `settings` (or no proxy at all) and an empty home.

    `home` is an empty directory, so that no .netrc is found.
    """
    environment = {
        **settings,
        "PYTHONUSERBASE": site.getuserbase(),  # packages installed with --user, although HOME differs
        "HOME": str(home),
        "USERPROFILE": str(home),
        "SSL_CERT_DIR": str(home),  # no TLS is used here, and httpx would load all of certifi for each client (50 ms)
    }
    if sys.platform == "win32":
        environment |= {name: os.environ[name] for name in _WINDOWS if name in os.environ}
    return environment
