"""What a process uses at a moment: memory, descriptors, threads."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ProcessUsage", "can_be_measured", "raise_open_files", "usage_of"]

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class ProcessUsage:
    """Bytes of real memory (the resident set), open descriptors, threads."""

    memory_bytes: int
    descriptors: int
    threads: int


def can_be_measured() -> bool:
    """Whether this system has /proc, as Linux does. Elsewhere the standard library cannot ask about another process."""
    return (_PROC / "self" / "status").exists() and (_PROC / "self" / "fd").is_dir()


def usage_of(pid: int) -> ProcessUsage:
    """What a process uses now."""
    status = (_PROC / str(pid) / "status").read_text()

    def number(name: str) -> int:
        found = re.search(rf"^{name}:\s*(\d+)", status, re.MULTILINE)
        assert found is not None
        return int(found[1])

    descriptors = sum(1 for _ in (_PROC / str(pid) / "fd").iterdir())
    return ProcessUsage(number("VmRSS") * 1024, descriptors, number("Threads"))


def raise_open_files() -> None:
    """Allow this process, and those that it starts from now on, as many open files as the system lets it."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
