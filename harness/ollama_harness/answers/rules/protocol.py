"""What Go's HTTP server itself refuses, before any handler of Ollama's sees the request."""

from __future__ import annotations

import json

from ollama_harness.answers.asked import Asked
from ollama_harness.answers.go.go_request import Flaw
from ollama_harness.answers.reply import Reply, json_reply
from ollama_harness.answers.rules.rule import Step, refusal
from ollama_harness.answers.world import World

__all__: list[str] = []

_READ = "net/http, server.go (conn.serve, conn.readRequest)"
_PHRASES = {400: "Bad Request", 431: "Request Header Fields Too Large", 501: "Not Implemented"}
_PHRASES[505] = "HTTP Version Not Supported"


def _of_flaw(asked: Asked, *flaws: Flaw) -> Reply | None:
    """The reply that Go writes by hand: neither Date nor a length, and the connection is closed after it."""
    if asked.flaw is None or asked.flaw not in flaws:
        return None
    status, words = asked.flaw.value
    phrase = _PHRASES[status]
    reason = f"{phrase}: {words}" if words and status != 501 else phrase
    body = words if status == 501 else f"{status} {reason}"
    headers = (("Content-Type", "text/plain; charset=utf-8"), ("Connection", "close"))
    return Reply(status=status, reason=reason, body=body.encode(), headers=headers, closes=True, bare=True)


@refusal(
    "http-malformed",
    Step.PROTOCOL,
    "the bytes are no request that Go reads",
    "http-bad-method",
    "http-nul",
    "http-cl-bad",
    "http-cl-plus",
    "http-cl-differ",
    source=_READ,
)
def _malformed(asked: Asked, _world: World) -> Reply | None:
    return _of_flaw(asked, Flaw.MALFORMED)


@refusal(
    "http-too-large",
    Step.PROTOCOL,
    "the head is larger than 1 MiB",
    source="net/http, server.go (DefaultMaxHeaderBytes, errTooLarge)",
)
def _too_large(asked: Asked, _world: World) -> Reply | None:
    return _of_flaw(asked, Flaw.TOO_LARGE)


@refusal(
    "http-transfer-coding",
    Step.PROTOCOL,
    "a transfer coding other than chunked",
    source="net/http, transfer.go (parseTransferEncoding)",
)
def _coding(asked: Asked, _world: World) -> Reply | None:
    return _of_flaw(asked, Flaw.BAD_CODING)


@refusal(
    "http-version",
    Step.PROTOCOL,
    "a version of HTTP other than 1",
    "http-http20",
    source="net/http, server.go (http1ServerSupportsRequest)",
)
def _version(asked: Asked, _world: World) -> Reply | None:
    return _of_flaw(asked, Flaw.BAD_VERSION)


@refusal(
    "http-host",
    Step.PROTOCOL,
    "the Host header is missing, or has characters that no host has",
    "http-space-in-name",
    "host-user-localhost-14-get",
    "host-user-localhost-14-post",
    source=_READ,
)
def _host(asked: Asked, _world: World) -> Reply | None:
    return _of_flaw(asked, Flaw.NO_HOST, Flaw.BAD_HOST)


@refusal(
    "http-header-name",
    Step.PROTOCOL,
    "a blank in the name of a header",
    source=_READ,
)
def _header_name(asked: Asked, _world: World) -> Reply | None:
    return _of_flaw(asked, Flaw.BAD_NAME)


@refusal(
    "http-expectation",
    Step.PROTOCOL,
    "Expect asks for something else than 100-continue",
    "http-expect-foo",
    source="net/http, server.go (sendExpectationFailed)",
)
def _expectation(asked: Asked, _world: World) -> Reply | None:
    if not asked.header("Expect") or asked.has_token("Expect", "100-continue"):
        return None
    return Reply(status=417, headers=(("Connection", "close"),), closes=True)


@refusal(
    "http-asterisk",
    Step.PROTOCOL,
    "the target * asks for nothing of Ollama",
    "http-asterisk",
    source="net/http, server.go (globalOptionsHandler, ServeMux.ServeHTTP)",
)
def _asterisk(asked: Asked, _world: World) -> Reply | None:
    if asked.target != "*":
        return None
    if asked.method == "OPTIONS":
        return Reply(status=200, headers=(("Content-Length", "0"),))
    closes = asked.version >= "HTTP/1.1"
    return Reply(status=400, headers=(("Connection", "close"),) if closes else (), closes=closes)


#: Routes before whose handler a middleware reads the whole body, to see whether the model is one of the cloud.
_READ_WHOLE = (
    *("/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses", "/v1/messages"),
    *("/v1/images/generations", "/v1/images/edits"),
)


@refusal(
    "http-body-broken",
    Step.REQUEST,
    "the body ends before its value does, or its chunks cannot be read",
    source="net/http, transfer.go, internal/chunked.go; gin, binding/json.go; server/cloud_proxy.go (readRequestBody)",
)
def _broken_body(asked: Asked, world: World) -> Reply | None:
    if not asked.body_error or asked.method not in ("POST", "DELETE"):
        return None
    if world.since("0.18.0") and asked.path in _READ_WHOLE:
        return json_reply(400, {"error": asked.body_error})
    if not _is_cut(asked.body):
        return None
    if asked.path.startswith("/v1/"):
        error = {"message": asked.body_error, "type": "invalid_request_error", "param": None, "code": None}
        return json_reply(400, {"error": error})
    return json_reply(400, {"error": asked.body_error})


def _is_cut(body: bytes) -> bool:
    """Whether this is the beginning of a JSON value, and not the whole of one, or no JSON at all."""
    text = body.decode("utf-8", "replace")
    try:
        json.JSONDecoder().raw_decode(text.lstrip())
    except json.JSONDecodeError as error:
        return error.pos >= len(error.doc.rstrip()) or error.msg.startswith("Unterminated")
    except (ValueError, RecursionError):  # numbers and depths that Python does not read
        return False
    return False
