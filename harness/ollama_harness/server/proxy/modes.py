"""What a proxy does, by name: it forwards, or it gives the same answer to every request."""

from __future__ import annotations

from ollama_harness.faults import add_header, apply, redirect, replace_with, replace_with_text
from ollama_harness.script.message_parts import Head, Raw
from ollama_harness.script.script import ConnectionEnd, Script, ScriptEnd, Segment
from ollama_harness.server.proxy.forwarding import Forward

__all__ = ["MODES", "error_page", "only"]

#: A script of any answer, which a proxy's answer replaces.
_ANY = Script(
    method="POST",
    segments=(Segment(0.0, (Head(200, "OK", ()),)),),
    ending=ScriptEnd(how=ConnectionEnd.KEEP_OPEN, at_s=0.0),
)
_PASSWORD_PAGE = "<html><head><title>407</title></head><body><h1>Proxy Authentication Required</h1></body></html>\n"


def only(data: bytes, how: ConnectionEnd = ConnectionEnd.CLOSE) -> Script:
    """A script of these bytes and this ending, without HTTP."""
    segments = (Segment(0.0, (Raw(data),)),) if data else ()
    return Script(method="POST", segments=segments, ending=ScriptEnd(how=how, at_s=0.0))


def error_page(status: int, text: str) -> Script:
    """The proxy's answer when it cannot forward."""
    return replace_with_text(f"{text}\n", status=status, content_type="text/plain; charset=utf-8")(_ANY)


#: The sources of the answers are in `faults.intermediaries`. The Location of the redirect is relative (RFC 9110 section
#: 10.2.2 allows it), so a client that follows it comes back to this proxy and reaches nothing else on the machine.
MODES: dict[str, Script | Forward] = {
    "forwards": Forward(),
    "buffers": Forward(buffers=True),
    "adds-chunking": Forward(framing="chunked"),
    "strips-chunking": Forward(framing="close"),
    "http-1.0": Forward(version="HTTP/1.0"),
    "gzips": Forward(gzips=True),
    "refuses": replace_with("proxy-502")(_ANY),
    "html-403": replace_with("squid-403")(_ANY),
    "html-407": apply(
        _ANY,
        [
            replace_with_text(_PASSWORD_PAGE, status=407, content_type="text/html"),
            add_header("Proxy-Authenticate", 'Basic realm="proxy"'),
        ],
    ),
    "privoxy-500": replace_with("privoxy-500")(_ANY),
    "squid-503": replace_with("squid-503")(_ANY),
    "redirect-302": redirect(302, "/login")(_ANY),
    "captive-portal-200": replace_with("captive-portal")(_ANY),
    "empty": only(b""),
    "reset": only(b"", ConnectionEnd.RESET),
    "hang": only(b"", ConnectionEnd.HOLD),
}
