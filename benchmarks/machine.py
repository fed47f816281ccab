"""The machine in one line: what is needed to understand a figure, and nothing that identifies the machine."""

from __future__ import annotations

import os
import platform
import re
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

__all__ = ["Machine", "this_machine"]


@dataclass(frozen=True, slots=True)
class Machine:
    """Processor, cores, operating system, Python, the load before the run, and the day."""

    cpu: str
    cores: int
    os: str
    python: str
    load: float | None
    day: str

    def __str__(self) -> str:
        load = "" if self.load is None else f"; load before the run {self.load:.2f}"
        return f"{self.cpu}, {self.cores} cores, {self.os}, Python {self.python}; {self.day}{load}"


def this_machine() -> Machine:
    """The machine that runs this."""
    return Machine(
        cpu=_cpu(),
        cores=os.cpu_count() or 0,
        os=_os(),
        python=f"{platform.python_version()} ({platform.python_implementation()})",
        load=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        day=datetime.now(UTC).date().isoformat(),
    )


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    found = re.search(r"^model name\s*:\s*(.+)$", info.read_text(), re.MULTILINE) if info.exists() else None
    return found[1].strip() if found else platform.processor() or platform.machine()


def _os() -> str:
    version = re.match(r"[0-9]+(\.[0-9]+)*", platform.release())
    kernel = f"{platform.system()} {version[0] if version else platform.release()}"
    if sys.platform == "linux":
        try:
            return f"{platform.freedesktop_os_release()['PRETTY_NAME']} ({kernel})"
        except (OSError, KeyError):
            return kernel
    return kernel
