"""A right adapter, of urllib, which first makes the requests of its arguments ("HEAD /"). Each wrong one beside it is
wrong in one way.
"""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from contextlib import suppress
from typing import Any


class Adapter:
    def run(self) -> None:
        self.begin()
        for line in sys.stdin:
            self.do(json.loads(line))

    def begin(self) -> None:
        self.say(protocol=1, ready="1.0")

    def do(self, job: dict[str, Any]) -> None:
        if job["meanwhile_after"] is not None:
            self.end(job, end="unsupported", reason="one request at a time")
            return
        try:
            self.end(job, end=self.read(job))
        except Exception as error:  # noqa: BLE001 - every one is reported
            self.end(job, end="raised", types=[type(error).__name__, "Exception"], message=str(error))

    def read(self, job: dict[str, Any]) -> str:
        asked = job["request"]
        data = None if asked["json"] is None else json.dumps(asked["json"]).encode()
        for method, path in map(str.split, sys.argv[1:]):
            with suppress(urllib.error.HTTPError):
                own = data if method == "POST" else None
                urllib.request.urlopen(urllib.request.Request(job["url"] + path, own, method=method)).close()
        request = urllib.request.Request(
            job["url"] + asked["path"], data, dict(asked["headers"]), method=asked["method"]
        )
        with urllib.request.urlopen(request, timeout=job["read_timeout_s"]) as answer:
            for number, line in enumerate(answer, 1):
                self.say(record=json.loads(line))
                if number == job["stop_after"]:
                    return "stopped"
        return "ended"

    def end(self, job: dict[str, Any], **how: Any) -> None:
        self.say(**how, id=job["id"])

    def say(self, **message: Any) -> None:
        self.write(json.dumps(message) + "\n")

    def write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()


if __name__ == "__main__":
    Adapter().run()
