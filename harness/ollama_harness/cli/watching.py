"""`serve --watch`: a file of a programme, read again when it changes."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from ollama_harness.errors import HarnessError

__all__ = ["Watched"]

_EVERY_S = 0.5


class Watched:
    """A file whose changes are taken over by `take`; a broken edit leaves what is in force, and `log` says so.

    Its content is compared, because an editor may write a file with the time and the size that it had.
    """

    def __init__(self, path: Path, take: Callable[[], None], log: Callable[[str], None]) -> None:
        self._path, self._take, self._log = path, take, log
        self._seen, self._due_s = self._content(), 0.0

    def look(self) -> None:
        """Take the file over if it has changed since the last look; looks at most every half a second."""
        if time.monotonic() < self._due_s:
            return
        self._due_s = time.monotonic() + _EVERY_S
        self.look_now()

    def look_now(self) -> None:
        """Take the file over if it has changed."""
        content = self._content()
        if content == self._seen:
            return
        self._seen = content
        try:
            self._take()
        except HarnessError as error:
            self._log(f"{error}; the programme before it stays in force")
        else:
            self._log(f"{self._path}: read again")

    def _content(self) -> bytes | None:
        try:
            return self._path.read_bytes()
        except OSError:
            return None  # an editor may take it away for a moment; reading it then says what is wrong
