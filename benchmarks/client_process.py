"""The client's process, seen from the benchmark."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

__all__ = ["Arrivals", "ClientProcess"]


@dataclass(frozen=True, slots=True)
class Arrivals:
    """When each record of each stream arrived, in seconds since its request; when that was sent, by
    `time.perf_counter`; and the share of a core that the client used.
    """

    times: list[list[float]]
    since: list[float]
    busy: float


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

    def streams(self, port: int, request: bytes, *, count: int, records: int) -> float:
        """See `client.streams`."""
        seconds: float = self._do(do="streams", port=port, request=request.decode(), count=count, records=records)
        return seconds

    def arrivals(self, port: int, request: bytes, *, count: int, records: int, trust: str | None = None) -> Arrivals:
        """See `client.arrivals`."""
        job = {"port": port, "request": request.decode(), "count": count, "records": records, "trust": trust}
        return Arrivals(**self._do(do="arrivals", **job))

    def upload(self, port: int, request: bytes, *, size_bytes: int, chunk_bytes: int, records: int) -> float:
        """See `client.upload`."""
        sizes = {"size_bytes": size_bytes, "chunk_bytes": chunk_bytes, "records": records}
        seconds: float = self._do(do="upload", port=port, request=request.decode(), **sizes)
        return seconds

    def hold(self, port: int, request: bytes, *, count: int) -> int:
        """See `client.hold`."""
        held: int = self._do(do="hold", port=port, request=request.decode(), count=count)
        return held

    def release(self) -> None:
        """See `client.release`."""
        self._do(do="release")

    def _do(self, **job: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise ConnectionError(f"the client's process has ended: {self._process.wait()}")
        return json.loads(answer)
