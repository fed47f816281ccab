"""The requests in fixtures/requests, which real servers answered, asked of the fake over plain sockets.

Two answers are the same if a client can tell them apart by nothing but words: status, head, and of a good answer the
key paths with their types in the first record and, where it was kept, in the last; of an error the whole text. Times,
ids, ports and digests are masked. The requests are asked in their order, because some change which models there are.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ollama_harness import FakeOllama
from ollama_harness.recordings.records import stream_values
from ollama_harness.script.http1 import ResponseHead, read_body, read_response_head

REQUESTS = Path(__file__).resolve().parents[2] / "fixtures" / "requests"

#: The models that the real servers had.
MODELS = (
    "smollm2:135m",
    "smollm2-tools:135m=tools",
    "smollm2-think:135m=thinking",
    "smollm2-embed:135m=embedding",
)

#: Two runs against the same real server differ here; fixtures/requests/again.md says why.
OPEN = re.compile(
    r"(delete|copy|show)-model-(unknown|unknown-tag|cloud|no-tag)$|embed-truncate-(true|false)$|(generate|chat)-options-big$"
)

#: Lists of models: the real one held a model that a request which is not here had made, so only the status counts.
LISTS = re.compile(
    r"path-api-tags-0b96-get$|path-v1-models-d7b0-get$|http-accept-gzip$|host-.*-get$|push-model-no-tag$"
)

#: Where a path was replaced in a body the sizes of its chunks are wrong.
_CHUNK_SIZE = re.compile(rb"(?:\A|\r\n)[0-9a-f]+\r\n")

#: How much of a body was kept.
_KEPT_BYTES = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A request that the fake answers otherwise; `real` and `here` are what differs, for people."""

    id: str
    what: str
    real: str
    here: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """The requests of one version: how many were counted, and what differs."""

    version: str
    counted: int
    differences: tuple[Difference, ...]

    @property
    def same(self) -> int:
        return self.counted - len({each.id for each in self.differences})


def versions() -> list[str]:
    """The versions that requests were put to, as the files are called."""
    return sorted(
        (path.stem for path in REQUESTS.glob("*.jsonl")), key=lambda name: [int(part) for part in name.split(".")]
    )


def compare(version: str) -> Compared:
    """Ask a fresh fake of this version every request, and compare its answers with the real ones."""
    counted, found = 0, list[Difference]()
    lines = (REQUESTS / f"{version}.jsonl").read_text("utf-8").splitlines()
    with FakeOllama(version=version, speed=0, only_models=MODELS) as server:
        for real in map(json.loads, lines):
            here = _ask(server.port, real["request"])
            if not OPEN.search(real["id"]):
                counted += 1
                found += _differences(real, here)
    return Compared(version=version, counted=counted, differences=tuple(found))


def _differences(real: Mapping[str, Any], here: Mapping[str, Any]) -> Iterator[Difference]:
    """At most one: the first of status, body and head that differs."""
    only_status = LISTS.search(real["id"]) and real["status"] == 200
    for what, gist in (("status", _status), ("body", _body), ("head", _head)):
        if what != "status" and only_status:
            return
        was, now = gist(real, real), gist(here, real)
        if was != now:
            yield Difference(id=real["id"], what=what, real=str(was), here=str(now))
            return


def _status(answer: Mapping[str, Any], _: Mapping[str, Any]) -> Any:
    return answer["status"]


def _head(answer: Mapping[str, Any], _: Mapping[str, Any]) -> Any:
    """Names and values in their order, without the length, which depends on the words."""
    return [f"{name}: {_masked(value)}" for name, value in answer["headers"] if name not in ("Date", "Content-Length")]


def _body(answer: Mapping[str, Any], real: Mapping[str, Any]) -> Any:
    """Of a good answer the key paths of the first record, and of the last where the real one was kept whole."""
    head = ResponseHead(answer["status"], "", tuple((name, value) for name, value in answer["headers"]), 0)
    data = answer["body"].encode("latin-1")
    if dict(head.headers).get("Transfer-Encoding") == "chunked":
        data = _CHUNK_SIZE.sub(b"", data)
    if not real["status"] or real["status"] >= 300:
        return _masked(data.decode("utf-8", "replace").strip())
    records = _records(dict(head.headers).get("Content-Type", ""), data)
    whole = real["end"] == "complete" and len(real["body"]) < _KEPT_BYTES
    if records is None or (not whole and not _is_stream(head)):
        return _keys(data[: _KEPT_BYTES // 2])
    seen = [records[0], *([records[-1]] if whole else [])] if records else []
    return [sorted(_paths(record)) for record in seen]


def _records(content_type: str, data: bytes) -> list[Any] | None:
    """The records, without one that was cut; None if there is none."""
    media_type = content_type.partition(";")[0]
    if media_type in ("application/x-ndjson", "text/event-stream"):
        end = b"\n\n" if media_type == "text/event-stream" else b"\n"
        return list(stream_values(media_type, data[: data.rfind(end) + len(end)] if end in data else b"")) or None
    try:
        return [json.loads(data)]
    except ValueError:
        return None


def _paths(value: Any, path: str = "") -> Iterator[str]:
    """`message.content string` for each value in a record, and the text of an error."""
    match value:
        case dict():
            yield f"{path} object"
            for key, each in value.items():
                yield from _paths(each, f"{path}.{key}" if path else key)
        case list():
            yield f"{path} list"
            yield from (text for each in value[:1] for text in _paths(each, f"{path}[]"))
        case str() if path in ("error", "error.message"):
            yield f"{path} {_masked(value)}"
        case bool() | None:
            yield f"{path} {json.dumps(value)}"
        case str():
            yield f"{path} string"
        case _:
            yield f"{path} number"


def _keys(data: bytes) -> Any:
    """Of an object that was cut the first keys in its text, of anything else its beginning."""
    return re.findall(rb'"(\w+)":', data)[:3] if data.startswith(b"{") else data[:40]


def _is_stream(head: ResponseHead) -> bool:
    return dict(head.headers).get("Content-Type", "").startswith(("application/x-ndjson", "text/event-stream"))


def _masked(text: str) -> str:
    text = re.sub(r"\d{4}-\d\d-\d\dT[0-9:.]+(Z|[+-]\d\d:\d\d)", "TIME", text)
    text = re.sub(r"127\.0\.0\.1:\d+|localhost:\d+", "HOST", text)
    text = re.sub(r"(call|msg|resp|req|chatcmpl|cmpl|fc|item)[_-]\w+", r"\1-ID", text)
    text = re.sub(r"/[\w./-]*?/(manifests|blobs)/", r"PATH/\1/", text)
    return re.sub(r"sha256:[0-9a-f]{8,}|[0-9a-f]{64}", "SHA", text)


# --- the wire ---------------------------------------------------------------------------------------------------------


def _ask(port: int, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """The answer of the fake, in the form of the file."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        sock.sendall(_wire(port, request))
        data, ended = b"", False
        while not ended and not _is_whole(data, request["method"]):
            received = sock.recv(1 << 16)
            data, ended = data + received, not received
    while (head := read_response_head(data)) is not None and head.status == 100:
        data = data[head.size :]
    body = data[head.size :] if head else b""
    return {
        "status": head.status if head else None,
        "headers": head.headers if head else (),
        "body": body.decode("latin-1"),
    }


def _wire(port: int, request: Mapping[str, Any]) -> bytes:
    if request["raw"] is not None:
        return str(request["raw"]).encode("latin-1")
    headers = dict(request["headers"])
    headers = {**({} if "Host" in headers else {"Host": f"127.0.0.1:{port}"}), **headers}
    body = None if request["body"] is None else request["body"].encode()
    if body is not None:
        headers |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
    lines = [f"{request['method']} {request['target']} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + (body or b"")


def _is_whole(data: bytes, method: str) -> bool:
    """Whether an answer has ended, after any 100 Continue."""
    head = read_response_head(data)
    if head is None:
        return False
    body = data[head.size :]
    return _is_whole(body, method) if head.status == 100 else read_body(body, head, method=method).whole
