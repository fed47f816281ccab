"""The client's process, seen from the benchmark."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

__all__ = ["ClientProcess"]


class ClientProcess:
    """Runs `client.py` for as long as the context lasts; each method is one job there."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("client.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def streams(self, port: int, request: bytes, *, count: int, size: int) -> float:
        """See `client.streams`."""
        seconds: float = self._do(do="streams", port=port, request=request.decode(), count=count, size=size)
        return seconds

    def arrivals(self, port: int, request: bytes, *, count: int, ends: Sequence[int]) -> list[list[float]]:
        """See `client.arrivals`."""
        times: list[list[float]] = self._do(
            do="arrivals", port=port, request=request.decode(), count=count, ends=list(ends)
        )
        return times

    def _do(self, **job: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise ConnectionError(f"the client's process has ended: {self._process.wait()}")
        return json.loads(answer)
