"""How much memory a process takes at its peak, measured from inside at its end."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

__all__ = ["of_module", "of_this_process"]

_REPOSITORY = Path(__file__).resolve().parent.parent


def of_module(module: str, *arguments: str) -> int:
    """The peak in bytes of a process of its own that runs a module, as its last line of output says.

    The module ends with `print(peak_memory.of_this_process())`.

    Raises: CalledProcessError, if it fails.
    """
    command = [sys.executable, "-m", module, *arguments]
    ended = subprocess.run(command, cwd=_REPOSITORY, stdout=subprocess.PIPE, encoding="utf-8", check=True)
    return int(ended.stdout.splitlines()[-1])


def of_this_process() -> int:
    """The most bytes of real memory that this process has had at once: on Linux and macOS its resident set, on Windows
    its working set.
    """
    if sys.platform == "win32":
        return _peak_working_set_bytes()
    if sys.platform == "linux":
        # Not getrusage: on Linux its figure is never below what the process had that this one was forked from.
        found = re.search(r"^VmHWM:\s*(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
        assert found is not None
        return int(found[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if sys.platform == "win32":
    import ctypes
    from ctypes import wintypes

    class _Counters(ctypes.Structure):
        """PROCESS_MEMORY_COUNTERS of <psapi.h>."""

        _fields_ = (
            ("cb", wintypes.DWORD),
            ("PageFaultCount", wintypes.DWORD),
            ("PeakWorkingSetSize", ctypes.c_size_t),
            ("WorkingSetSize", ctypes.c_size_t),
            ("QuotaPeakPagedPoolUsage", ctypes.c_size_t),
            ("QuotaPagedPoolUsage", ctypes.c_size_t),
            ("QuotaPeakNonPagedPoolUsage", ctypes.c_size_t),
            ("QuotaNonPagedPoolUsage", ctypes.c_size_t),
            ("PagefileUsage", ctypes.c_size_t),
            ("PeakPagefileUsage", ctypes.c_size_t),
        )

    def _peak_working_set_bytes() -> int:
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.GetCurrentProcess.restype = wintypes.HANDLE
        ask = kernel.K32GetProcessMemoryInfo
        ask.argtypes, ask.restype = (wintypes.HANDLE, ctypes.POINTER(_Counters), wintypes.DWORD), wintypes.BOOL
        counters = _Counters(cb=ctypes.sizeof(_Counters))
        if not ask(kernel.GetCurrentProcess(), ctypes.byref(counters), counters.cb):
            raise ctypes.WinError(ctypes.get_last_error())
        return int(counters.PeakWorkingSetSize)
