"""A gateway before Ollama: it has Ollama below a path, lets in only requests with a key, and gives up after a silence.

It answers before anything of Ollama's does, but after what Go's HTTP server refuses. As nginx does, it looks for the
path first, and then for the key, also of a preflight. What passes is answered as without it, and the answer is not
changed: a redirect of Ollama's leads out of the prefix, as behind nginx, whose default rewrites absolute ones only.

The times of a script are known before it is played. So a gateway that gives up, as nginx does after its
`proxy_read_timeout`, is another script: its 504 if the silence comes before the head, or else the same with a FIN.
"""

from __future__ import annotations

import hmac
import json
import math
import re
from dataclasses import dataclass, replace

from ollama_harness.faults.intermediaries import IntermediaryResponse, nginx_page
from ollama_harness.recordings.recording import Headers
from ollama_harness.script.http1 import RequestHead
from ollama_harness.script.message_parts import Head, Raw
from ollama_harness.script.script import ConnectionEnd, Script, ScriptEnd, Segment

__all__ = ["Gateway", "check_idle_timeout", "check_prefix"]

_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)+")

#: RFC 6750 section 3; nginx's auth_jwt sends the same: nginx.org/en/docs/http/ngx_http_auth_jwt_module.html.
_CHALLENGE = ("WWW-Authenticate", 'Bearer realm="ollama"')


def check_prefix(text: str) -> str:
    """The prefix, if a path can begin with it.

    Raises: ValueError.
    """
    if not _PREFIX.fullmatch(text):
        raise ValueError(f"{text!r} is no path that others can be below; give one such as /ollama")
    return text


def check_idle_timeout(seconds: float) -> float:
    """The longest silence, if it is one.

    Raises: ValueError.
    """
    if not 0 < seconds < math.inf:
        raise ValueError(f"{seconds} s is no time after which a gateway gives up; give more than 0")
    return seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """What it demands of requests, and the longest silence of Ollama's. Without any of these all passes."""

    prefix: str = ""
    key: str | None = None
    idle_timeout_s: float | None = None

    def behind(self, head: RequestHead) -> RequestHead | None:
        """The head as Ollama sees it; None if it is not for a path below the prefix."""
        if not self.prefix:
            return head
        if not head.target.startswith(f"{self.prefix}/"):
            return None
        return replace(head, target=head.target.removeprefix(self.prefix))

    def refusal(self, head: RequestHead, *, scheme: str) -> tuple[Script, str] | None:
        """What it answers to a request that does not pass, and why; None if it passes."""
        behind = self.behind(head)
        if behind is None:
            return self._elsewhere(head, scheme)
        given = _header(head, "authorization")
        if self.key is None or hmac.compare_digest(given.encode(), f"Bearer {self.key}".encode()):
            return None
        why = "it has no key" if not given else "it has another key"
        if behind.target.startswith("/v1/"):
            return _script(_like_openai(is_missing=not given), head), f"the gateway refuses it: {why}"
        return _script(nginx_page(401, "Authorization Required", _CHALLENGE), head), f"the gateway refuses it: {why}"

    def patient(self, script: Script, head: RequestHead, *, waited_s: float = 0.0) -> Script:
        """What comes through of an answer: the script itself, if the gateway never gives up.

        The request has waited `waited_s` for its turn, and the times count from then.
        """
        idle_s, segments, ending = self.idle_timeout_s, script.segments, script.ending
        if idle_s is None:
            return script
        last_s = -waited_s
        for index, segment in enumerate(segments):
            if segment.at_s - last_s >= idle_s:
                return self._given_up(script, head, index, last_s + idle_s)
            last_s = segment.at_s
        never_ends = ending.how in (ConnectionEnd.HOLD, ConnectionEnd.IGNORE)
        waits_for_end = ending.how in (ConnectionEnd.CLOSE, ConnectionEnd.RESET, ConnectionEnd.HALF_CLOSE)
        if never_ends or (waits_for_end and ending.at_s - last_s >= idle_s):
            return self._given_up(script, head, len(segments), last_s + idle_s)
        return script

    @staticmethod
    def _given_up(script: Script, head: RequestHead, index: int, at_s: float) -> Script:
        at_s = max(0.0, at_s)
        if index:
            cut = script.cut(index, ConnectionEnd.CLOSE)
            return replace(cut, ending=ScriptEnd(how=ConnectionEnd.CLOSE, at_s=at_s))
        return _script(nginx_page(504, "Gateway Time-out"), head).timed(lambda *_: at_s)

    def _elsewhere(self, head: RequestHead, scheme: str) -> tuple[Script, str]:
        path, _, query = head.target.partition("?")
        if path == self.prefix:
            # nginx.org/en/docs/http/ngx_http_core_module.html#location: a prefix without its last slash.
            to = f"{scheme}://{_header(head, 'host')}{self.prefix}/{'?' if query else ''}{query}"
            return _script(nginx_page(301, "Moved Permanently", ("Location", to)), head), "the gateway adds a slash"
        why = f"the gateway has Ollama below {self.prefix} only"
        return _script(nginx_page(404, "Not Found"), head), why


def _like_openai(*, is_missing: bool) -> IntermediaryResponse:
    """401 as OpenAI's API answers it, without the addresses and the key that it names.

    Source: chatboxai/chatbox#98 (no key), continuedev/continue#11409 (a wrong one).
    """
    text = "Incorrect API key provided."
    if is_missing:
        text = (
            "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer "
            "auth (i.e. Authorization: Bearer YOUR_KEY)."
        )
    code = None if is_missing else "invalid_api_key"
    error = {"message": text, "type": "invalid_request_error", "param": None, "code": code}
    body = json.dumps({"error": error}, indent=4).encode() + b"\n"
    headers: Headers = (("Date", ""), ("Content-Type", "application/json; charset=utf-8"), _CHALLENGE)
    return IntermediaryResponse(Head(401, "Unauthorized", (*headers, ("Content-Length", ""))), body)


def _script(given: IntermediaryResponse, request: RequestHead) -> Script:
    closes = request.wants_close
    head = given.head.with_header("Content-Length", str(len(given.body)))
    head = head.with_header("Connection", "close" if closes else "keep-alive")
    parts = (head,) if request.method == "HEAD" else (head, Raw(given.body))
    how = ConnectionEnd.CLOSE if closes else ConnectionEnd.KEEP_OPEN
    return Script(method=request.method, segments=(Segment(0.0, parts),), ending=ScriptEnd(how=how, at_s=0.0))


def _header(head: RequestHead, name: str) -> str:
    return next((value for key, value in head.headers if key.lower() == name), "")
