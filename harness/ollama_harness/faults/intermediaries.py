"""Answers of programs between the client and Ollama (proxies, gateways, login pages), as they really send them."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

from ollama_harness.recordings.recording import Headers
from ollama_harness.script.message_parts import Head
from ollama_harness.script.script import ConnectionEnd

__all__ = ["INTERMEDIARIES", "IntermediaryResponse", "nginx_page", "phrase"]


@dataclass(frozen=True, slots=True)
class IntermediaryResponse:
    """A whole answer, except the value of Content-Length."""

    head: Head
    body: bytes = b""
    how: ConnectionEnd = ConnectionEnd.KEEP_OPEN


_HTML = ("Content-Type", "text/html")


def phrase(status: int) -> str:
    """The reason phrase of RFC 9110, or "" for a status that is not registered."""
    return next((known.phrase for known in HTTPStatus if known == status), "")


def nginx_page(status: int, reason: str, *fields: tuple[str, str]) -> IntermediaryResponse:
    """nginx's built-in page, without a charset, with CRLF: src/http/ngx_http_special_response.c."""
    title = f"{status} {reason}".encode()
    body = (
        b"<html>\r\n<head><title>%b</title></head>\r\n<body>\r\n<center><h1>%b</h1></center>\r\n"
        b"<hr><center>nginx/1.24.0</center>\r\n</body>\r\n</html>\r\n" % (title, title)
    )
    headers = (
        ("Server", "nginx/1.24.0"),
        ("Date", ""),
        _HTML,
        ("Content-Length", ""),
        ("Connection", "keep-alive"),
        *fields,
    )
    return IntermediaryResponse(Head(status, reason, headers), body)


def _cloudflare(status: int) -> IntermediaryResponse:
    """Cloudflare's answer to a client that is no browser: one line of text; `<none>` really is the reason phrase."""
    headers = (
        ("Date", ""),
        ("Content-Type", "text/plain; charset=UTF-8"),
        ("Content-Length", ""),
        ("Connection", "keep-alive"),
        ("Cache-Control", "private, max-age=0, no-store, no-cache, must-revalidate, post-check=0, pre-check=0"),
        ("Expires", "Thu, 01 Jan 1970 00:00:01 GMT"),
        ("Referrer-Policy", "same-origin"),
        ("X-Frame-Options", "SAMEORIGIN"),
        ("Server", "cloudflare"),
        ("CF-RAY", "875ab2ff4bf8963f-SJC"),
    )
    return IntermediaryResponse(Head(status, "<none>", headers), b"error code: %d\n" % status)


def _refusal(status: int, reason: str, media_type: str, body: bytes, *fields: tuple[str, str]) -> IntermediaryResponse:
    """A refusal of a server that keeps the connection open."""
    headers: Headers = (*fields, ("Date", ""), ("Content-Type", media_type), ("Content-Length", ""))
    return IntermediaryResponse(Head(status, reason, headers), body)


def _squid(status: int, reason: str, error: str, text: bytes) -> IntermediaryResponse:
    """Squid's error page, shortened: src/errorpage.cc."""
    body = (
        b"<!DOCTYPE html>\n<html><head><title>ERROR: The requested URL could not be retrieved</title></head>\n"
        b"<body><h1>ERROR</h1><p>%b</p></body></html>\n" % text
    )
    headers = (
        ("Server", "squid/5.7"),
        ("Mime-Version", "1.0"),
        ("Date", ""),
        ("Content-Type", "text/html;charset=utf-8"),
        ("Content-Length", ""),
        ("X-Squid-Error", error),
        ("Vary", "Accept-Language"),
        ("Content-Language", "en"),
        ("Via", "1.1 proxy (squid/5.7)"),
    )
    return _closing(status, reason, body, *headers)


def _closing(status: int, reason: str, body: bytes, *fields: tuple[str, str]) -> IntermediaryResponse:
    headers: Headers = (*fields, ("Connection", "close"))
    return IntermediaryResponse(Head(status, reason, headers), body, ConnectionEnd.CLOSE)


#: Cloudflare's page for a client that does not look like a browser, shortened. Its documentation names the header.
_CHALLENGE = b'<!DOCTYPE html><html lang="en-US"><head><title>Just a moment...</title></head><body></body></html>\n'

#: Squid up to 3.1 speaks HTTP/1.0 and cannot fulfil an Expect: src/client_side.c.
_SQUID_27 = (
    ("Server", "squid/2.7.STABLE9"),
    ("Date", ""),
    ("Content-Type", "text/html"),
    ("Content-Length", ""),
    ("X-Squid-Error", "ERR_INVALID_REQ 0"),
    ("Via", "1.1 proxy (squid/2.7.STABLE9)"),
    ("Connection", "close"),
)

_LOGIN = (
    b'<html><head><meta http-equiv="refresh" content="0; url=https://portal.example/login?dst=http://127.0.0.1/">'
    b"</head><body></body></html>\n"
)

#: From cgi_error_no_template in Privoxy's cgi.c, with its typing error "file(s)in".
_PRIVOXY = b"""<html>
<head>
 <title>500 Internal Privoxy Error</title>
 <link rel="shortcut icon" href="http://config.privoxy.org/error-favicon.ico" type="image/x-icon"></head>
<body>
<h1>500 Internal Privoxy Error</h1>
<p>Privoxy encountered an error while processing your request:</p>
<p><b>Could not load template file <code>no-server-data</code> or one of its included components.</b></p>
<p>Please contact your proxy administrator.</p>
<p>If you are the proxy administrator, please put the required file(s)in the <code><i>(confdir)</i>/templates</code> \
directory.  The location of the <code><i>(confdir)</i></code> directory is specified in the main Privoxy \
<code>config</code> file.  (It's typically the Privoxy install directory).</p>
</body>
</html>
"""

#: The answers by name; `replace_with` and the faults of a picky server take these names.
INTERMEDIARIES: dict[str, IntermediaryResponse] = {
    # Local proxy programs (Clash, V2Ray) send this when the target refuses: no body, and the connection ends.
    "proxy-502": _closing(502, "Bad Gateway", b""),
    "proxy-407": _closing(407, "Proxy Authentication Required", b"", ("Proxy-Authenticate", 'Basic realm="proxy"')),
    "privoxy-500": _closing(
        500,
        "Internal Privoxy Error",
        _PRIVOXY,
        ("Content-Length", ""),
        _HTML,
        ("Cache-Control", "no-cache"),
        ("Date", ""),
        ("Expires", "Sat, 17 Jun 2000 12:00:00 GMT"),
        ("Pragma", "no-cache"),
    ),
    "squid-403": _squid(403, "Forbidden", "ERR_ACCESS_DENIED 0", b"Access Denied."),
    "squid-503": _squid(
        503,
        "Service Unavailable",
        "ERR_CONNECT_FAIL 111",
        b"Connection to 127.0.0.1 failed. The system returned: <i>(111) Connection refused</i>",
    ),
    "squid-417": IntermediaryResponse(
        Head(417, "Expectation failed", _SQUID_27, "HTTP/1.0"),
        b"<HTML><HEAD><TITLE>ERROR: The requested URL could not be retrieved</TITLE></HEAD>\n"
        b"<BODY><H1>ERROR</H1><P><STRONG>Invalid Request</STRONG></P></BODY></HTML>\n",
        ConnectionEnd.CLOSE,
    ),
    "nginx-403": nginx_page(403, "Forbidden"),
    "nginx-404": nginx_page(404, "Not Found"),
    "nginx-411": nginx_page(411, "Length Required"),
    "nginx-413": nginx_page(413, "Request Entity Too Large"),
    "nginx-502": nginx_page(502, "Bad Gateway"),
    "nginx-504": nginx_page(504, "Gateway Time-out"),
    **{f"cloudflare-{status}": _cloudflare(status) for status in range(520, 525)},
    "cloudflare-1010": _refusal(
        403, "Forbidden", "text/plain; charset=UTF-8", b"error code: 1010", ("Server", "cloudflare")
    ),
    "cloudflare-challenge": _refusal(
        403,
        "Forbidden",
        "text/html; charset=UTF-8",
        _CHALLENGE,
        ("Server", "cloudflare"),
        ("cf-mitigated", "challenge"),
    ),
    "github-403": _refusal(
        403,
        "Forbidden",
        "text/html; charset=utf-8",
        b"Request forbidden by administrative rules. Please make sure your request has a User-Agent header "
        b"(http://developer.github.com/v3/#user-agent-required). Check https://developer.github.com for other possible "
        b"causes.\r\n",
    ),
    "go-406": _refusal(406, "Not Acceptable", "text/plain; charset=utf-8", b"406: Not Acceptable"),
    "manticore-400": _refusal(
        400, "Bad Request", "application/json; charset=UTF-8", b'{"error":"Content-Type must be set"}'
    ),
    "wikimedia-403": _refusal(
        403,
        "Forbidden",
        "text/plain",
        b"Please set a user-agent and respect our robot policy https://w.wiki/4wJS. See also T400119\n",
    ),
    "captive-portal": _closing(200, "OK", _LOGIN, ("Content-Type", "text/html; charset=utf-8")),
    "empty-200": IntermediaryResponse(Head(200, "OK", (("Content-Type", "application/x-ndjson"), ("Date", "")))),
}
