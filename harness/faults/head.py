"""Faults of the head: something else answers in Ollama's place."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from harness.errors import FaultDoesNotApply
from harness.faults.registry import fault
from harness.parts import Head, Raw
from harness.script import Ending, HowItEnds, Script, Send

__all__ = ["replace_with_bad_gateway"]

_NGINX_HTML = (
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n"
    b"<hr><center>nginx/1.24.0</center>\r\n</body>\r\n</html>\r\n"
)

_BAD_GATEWAYS = {
    # What local proxy programs (Clash, V2Ray) send when the target refuses: no body, and the connection is over.
    "proxy": ((("Connection", "close"), ("Content-Length", "0")), b"", HowItEnds.CLOSE),
    # nginx's built-in page, as in front of an Ollama that is down.
    "nginx": (
        (
            ("Server", "nginx/1.24.0"),
            ("Date", ""),
            ("Content-Type", "text/html"),
            ("Content-Length", str(len(_NGINX_HTML))),
            ("Connection", "keep-alive"),
        ),
        _NGINX_HTML,
        HowItEnds.KEEP_OPEN,
    ),
}


@fault(where="the whole answer", what="replace the response", by="proxy")
def replace_with_bad_gateway(script: Script, by: Literal["proxy", "nginx"]) -> Script:
    """Answer 502 Bad Gateway instead, as a local proxy program (empty body) or as nginx (HTML) does."""
    if script.head is None:
        raise FaultDoesNotApply("there is no answer to replace: this script sends no head")
    if by not in _BAD_GATEWAYS:
        raise FaultDoesNotApply(f"nobody answers as {by!r} here; known are {', '.join(_BAD_GATEWAYS)}")
    headers, body, how = _BAD_GATEWAYS[by]
    parts = (Head(502, "Bad Gateway", headers), *((Raw(body),) if body and script.method != "HEAD" else ()))
    at_s = script.sends[0].at_s
    return replace(script, sends=(Send(at_s, parts),), ending=Ending(how=how, at_s=at_s))
