"""An answer made to fit the head of its request, as Go's net/http does for any handler.

Three things of a request's head change the head of any answer: an Origin (the headers of CORS), HTTP/1.0 (no chunks),
and a Connection header. Most requests have none of them; they get the answer as it is, the same object.

Source: net/http, server.go (`chunkWriter.writeHeader`); gin-contrib/cors 1.7.2.
"""

from __future__ import annotations

from dataclasses import replace

from ollama_harness.answers.asked import Asked
from ollama_harness.answers.reply import go_json
from ollama_harness.answers.rules.guard import cors_headers
from ollama_harness.answers.world import World
from ollama_harness.recordings.lazy import mapped
from ollama_harness.recordings.recording import Frame, Headers, Recording, Request
from ollama_harness.script.message_parts import Chunk, Head, LastChunk, Part, Raw
from ollama_harness.script.script import ConnectionEnd, Script, Segment

__all__ = ["MOST_UNREAD_BYTES", "as_named", "fitted", "model_of"]

#: What net/http writes itself, after all that the handler has set.
_OWN = ("date", "content-length", "connection", "transfer-encoding")

#: How much of a body that its handler did not read Go reads away, to keep the connection.
MOST_UNREAD_BYTES = 256 * 1024


def fitted(script: Script, asked: Asked, world: World, *, handled: bool, unread: bool = False) -> Script:
    """The script as Go sends it to this request.

    `handled` is whether a handler of Ollama's gives it (and not a redirect or a refusal that has all its headers).
    With `unread` bytes of the body are left, so no request can follow.
    """
    added = cors_headers(asked, world) if handled else ()
    old = asked.version == "HTTP/1.0"
    closes = unread or bool(asked.body_error) or asked.has_token("Connection", "close")
    head = script.head
    if head is None or not (added or old or closes or asked.method == "HEAD"):
        return script
    if asked.flaw is not None:
        return script
    new, closes = _head(head, added, asked, closes=closes)
    if closes and script.ending.how is ConnectionEnd.KEEP_OPEN:
        script = replace(script, ending=replace(script.ending, how=ConnectionEnd.CLOSE))
    bodiless, plain = asked.method == "HEAD", old and head.chunked

    def part_of(part: Part) -> Part | None:
        match part:
            case Head():
                return new if part is head else part
            case Chunk() | LastChunk() | Raw() if bodiless:
                return None
            case Chunk() if plain:
                return Raw(part.data)
            case LastChunk() if plain:
                return None
        return part

    def segment_of(_: int, segment: Segment) -> Segment:
        parts = tuple(fit for part in segment.parts if (fit := part_of(part)) is not None)
        return replace(segment, parts=parts)

    return replace(script, segments=mapped(segment_of, script.segments))


def _head(head: Head, added: Headers, asked: Asked, *, closes: bool) -> tuple[Head, bool]:
    """The head, and whether the connection is closed after it."""
    by_hand = [each for each in head.headers[: _first_own(head)] if each[0] not in {name for name, _ in added}]
    by_net = [
        each for each in head.headers[_first_own(head) :] if not (head.chunked and each[0] == "Transfer-Encoding")
    ]
    chunked = head.chunked and asked.method != "HEAD"
    connection: Headers = ()
    if asked.version == "HTTP/1.0":
        known = (
            asked.method == "HEAD" or any(name == "Content-Length" for name, _ in head.headers) or head.status == 204
        )
        closes = closes or not known or not asked.has_token("Connection", "keep-alive")
        connection = () if closes else (("Connection", "keep-alive"),)
    if closes:
        by_hand = [each for each in by_hand if each[0] != "Connection" or each[1] == "close"]
        if asked.version != "HTTP/1.0" and not any(name == "Connection" for name, _ in by_hand):
            connection = (("Connection", "close"),)
    coding: Headers = (("Transfer-Encoding", "chunked"),) if chunked and asked.version != "HTTP/1.0" else ()
    headers = (*sorted([*by_hand, *added], key=lambda header: header[0]), *by_net, *connection, *coding)
    version = "HTTP/1.0" if asked.version == "HTTP/1.0" else head.version
    return replace(head, headers=headers, version=version), closes


def _first_own(head: Head) -> int:
    """Where the headers begin that net/http writes itself: at Date."""
    return next((at for at, (name, _) in enumerate(head.headers) if name.lower() == "date"), len(head.headers))


def model_of(request: Request) -> str:
    """The model that a request names: `name` where `model` is empty, as Ollama takes it; "" if it names none."""
    value = request.json if isinstance(request.json, dict) else {}
    found = value.get("model") or value.get("name")
    return found if isinstance(found, str) else ""


def as_named(recording: Recording, name: str) -> Recording:
    """The recording with the model as it was asked for: Ollama repeats the name in every record as it came."""
    recorded = model_of(recording.request)
    if not name or not recorded or name == recorded:
        return recording
    old, new = b'"model":' + go_json(recorded), b'"model":' + go_json(name)
    frames = tuple(Frame(at_s=frame.at_s, data=frame.data.replace(old, new)) for frame in recording.frames)
    size = sum(len(frame.data) for frame in frames)
    headers = tuple(
        (key, str(size) if key.lower() == "content-length" else value) for key, value in recording.response.headers
    )
    return replace(recording, frames=frames, response=replace(recording.response, headers=headers))
