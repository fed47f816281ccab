"""What Ollama refuses before it reads a body: Host, Origin, paths that are not there, methods that they do not have.

Three layers follow each other. Go's ServeMux redirects paths that are not clean. Gin looks up the route: it redirects a
slash too many, and takes note of 404 or 405. Then come Ollama's middlewares, for all requests that were not redirected,
those to no route too: CORS, which answers OPTIONS from an origin that it knows, and the check of Host. So an answer of
either has the Allow header of a 405, and a 404 has the headers of CORS.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from functools import cache, lru_cache

from ollama_harness.answers.asked import Asked
from ollama_harness.answers.go.go_url import GoUrl, clean_path, split_host_port
from ollama_harness.answers.reply import Reply, text_reply
from ollama_harness.answers.rules.routes import routing
from ollama_harness.answers.rules.rule import Step, refusal
from ollama_harness.answers.world import World
from ollama_harness.recordings.recording import Headers

__all__ = ["cors_headers"]

_REDIRECTS = {301: "Moved Permanently", 307: "Temporary Redirect"}
_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&#34;", "'": "&#39;"}

_PRIVATE = tuple(map(ipaddress.ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")))
_LOCAL_NAMES = (".localhost", ".local", ".internal")

_METHODS = "GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS"
_ALLOWED = "Authorization,Content-Type,User-Agent,Accept,X-Requested-With"
_STAINLESS_OLD = (
    *("Lang", "Package-Version", "Os", "Arch", "Retry-Count", "Runtime", "Runtime-Version", "Async"),
    *("Helper-Method", "Poll-Helper", "Custom-Poll-Interval"),
)
_STAINLESS = sorted([*_STAINLESS_OLD, "Timeout"])
_HOSTS = ("localhost", "127.0.0.1", "0.0.0.0")


# ------------------------------------------------------------------------------------------------ redirects


@refusal(
    "path-not-clean",
    Step.GUARD,
    "empty or dot segments in the path: the way is to the clean path",
    "path-api-api-tags-ca44-get",
    "path-api-tags-6eab-head",
    "show-double",
    source="net/http, server.go (ServeMux.findHandler): 307 since Go 1.26, with which all recorded servers were built",
)
def _not_clean(asked: Asked, _world: World) -> Reply | None:
    url = asked.url
    path = url.escaped_path
    if asked.method == "CONNECT":
        return None
    cleaned = clean_path(path)
    if path == cleaned:
        return None
    return _redirect(asked, 307, str(GoUrl(path=cleaned, query=url.query or None)))


@refusal(
    "connect-without-path",
    Step.GUARD,
    "CONNECT to a host: Go's mux has nothing for it, and Ollama never sees it",
    source="net/http, server.go (ServeMux.findHandler, NotFound)",
)
def _connect(asked: Asked, _world: World) -> Reply | None:
    if asked.method != "CONNECT" or asked.url.path:
        return None
    headers = (("X-Content-Type-Options", "nosniff"),)
    return text_reply(404, "404 page not found\n", content_type="text/plain; charset=utf-8", headers=headers)


@refusal(
    "path-trailing-slash",
    Step.GUARD,
    "a slash too many at the end of the path: the way is to the path without it",
    "chat-slash",
    "embed-slash",
    source="gin 1.10.0, gin.go (redirectTrailingSlash): 301 for GET, 307 for others",
)
def _trailing_slash(asked: Asked, world: World) -> Reply | None:
    path = asked.url.path
    if asked.method == "CONNECT" or routing(world.version).without_slash(asked.method, path) is None:
        return None
    if prefix := _forwarded_prefix(asked):
        path = f"{prefix}/{path}"
    return _redirect(asked, 301 if asked.method == "GET" else 307, str(asked.url.with_path(path[:-1])))


def _forwarded_prefix(asked: Asked) -> str:
    """X-Forwarded-Prefix as gin takes it."""
    given = asked.header("X-Forwarded-Prefix")
    if not given or (cleaned := clean_path(given) if given.startswith("/") else given) == ".":
        return ""
    return re.sub("/{2,}", "/", re.sub("[^a-zA-Z0-9/-]+", "", cleaned.rstrip("/") or "/"))


def _redirect(asked: Asked, status: int, to: str) -> Reply:
    """Source: net/http, server.go (`Redirect`)."""
    if not re.match("[A-Za-z][A-Za-z0-9+.-]*:|//", to):
        path, mark, query = to.partition("?")
        to = clean_path(path) + mark + query
    location = "".join(char if char < "\x80" else f"%{ord(char):x}" for char in to)
    headers: Headers = (("Location", location),)
    if asked.method not in ("GET", "HEAD"):
        return Reply(status=status, headers=headers)
    headers = (("Content-Type", "text/html; charset=utf-8"), *headers)
    link = "".join(_HTML.get(char, char) for char in to)
    body = f'<a href="{link}">{_REDIRECTS[status]}</a>.\n\n' if asked.method == "GET" else ""
    return Reply(status=status, headers=headers, body=body.encode("latin-1"))


# ------------------------------------------------------------------------------------------------ middlewares


@refusal(
    "origin-not-allowed",
    Step.GUARD,
    "the Origin header is of a page that Ollama does not know",
    "origin-null-4-post",
    "origin-https-evil-example-20-get",
    "origin-http-evil-example-19-preflight",
    source="gin-contrib/cors 1.7.2 (applyCors); envconfig/config.go (AllowedOrigins)",
)
def _origin(asked: Asked, world: World) -> Reply | None:
    return Reply(status=403, headers=_allow(asked, world)) if _is_foreign(asked, world) else None


@refusal(
    "preflight",
    Step.GUARD,
    "a browser asks what a page may send",
    "origin-http-localhost-16-preflight",
    "origin-file-7-preflight",
    source="gin-contrib/cors 1.7.2 (handlePreflight); server/routes.go (corsConfig)",
)
def _preflight(asked: Asked, world: World) -> Reply | None:
    if asked.method != "OPTIONS" or not _crosses(asked):
        return None
    if world.since("0.6.6"):
        names = [_ALLOWED, "Openai-Beta", *(f"X-Stainless-{name}" for name in _STAINLESS)]
    else:
        names = [_ALLOWED, *(f"X-Stainless-{name}" for name in _STAINLESS_OLD)]
    headers = (
        ("Access-Control-Allow-Headers", ",".join(names)),
        ("Access-Control-Allow-Methods", _METHODS),
        ("Access-Control-Max-Age", "43200"),
        *_allow(asked, world),
        *cors_headers(asked, world),
    )
    if not _any_origin(world):
        headers += (("Vary", "Access-Control-Request-Method"), ("Vary", "Access-Control-Request-Headers"))
    return Reply(status=204, headers=headers)


@refusal(
    "host-not-allowed",
    Step.GUARD,
    "the Host header names another machine, and Ollama listens on loopback",
    "host-evil-example-11434-18-post",
    "host-localhost--10-get",
    source="server/routes.go (allowedHostsMiddleware)",
)
def _host(asked: Asked, world: World) -> Reply | None:
    if not world.loopback:
        return None
    host = split_host_port(asked.host)
    if _is_near_address(host) or _is_local_name(host):
        return None
    return Reply(status=403, headers=_with_cors(asked, world))


@refusal(
    "options-by-name",
    Step.GUARD,
    "OPTIONS of a host that is named, not numbered, is answered by the check of Host",
    source="server/routes.go (allowedHostsMiddleware)",
)
def _options(asked: Asked, world: World) -> Reply | None:
    if asked.method != "OPTIONS" or not world.loopback or _is_near_address(split_host_port(asked.host)):
        return None
    return Reply(status=204, headers=_with_cors(asked, world))


@refusal(
    "method-not-allowed",
    Step.GUARD,
    "the route is there, but not for this method",
    "chat-method-get",
    "path-api-tags-0b96-post",
    "path-api-blobs-x-ffb4-get",
    source="gin 1.10.0, gin.go (HandleMethodNotAllowed); server/routes.go",
    since="0.7.0",
)
def _method(asked: Asked, world: World) -> Reply | None:
    if not _allow(asked, world):
        return None
    return text_reply(405, "405 method not allowed", headers=_with_cors(asked, world))


@refusal(
    "route-not-found",
    Step.GUARD,
    "there is no such route",
    "path-api-nosuch-49dc-post",
    "path-metrics-b4bb-get",
    "chat-upper",
    source="gin 1.10.0, gin.go (serveError); before 0.7.0 for a method that a route does not have, too",
)
def _route(asked: Asked, world: World) -> Reply | None:
    if asked.method in routing(world.version).methods(asked.url.path):
        return None
    return text_reply(404, "404 page not found", headers=_with_cors(asked, world))


def _allow(asked: Asked, world: World) -> Headers:
    """The Allow header, where the route has other methods than this."""
    methods = routing(world.version).methods(asked.url.path) if world.since("0.7.0") else ()
    return (("Allow", ", ".join(methods)),) if methods and asked.method not in methods else ()


def _with_cors(asked: Asked, world: World) -> Headers:
    return (*_allow(asked, world), *cors_headers(asked, world))


def cors_headers(asked: Asked, world: World) -> Headers:
    """What CORS adds to any answer of a handler: nothing, or that this origin may read it."""
    if not _crosses(asked) or _is_foreign(asked, world):
        return ()
    if _any_origin(world):
        return (("Access-Control-Allow-Origin", "*"),)
    return (("Access-Control-Allow-Origin", asked.header("Origin") or ""), ("Vary", "Origin"))


def _crosses(asked: Asked) -> bool:
    """Whether the request comes from a page of another origin."""
    if not (origin := asked.header("Origin")):
        return False
    return origin not in (f"http://{asked.host}", f"https://{asked.host}")


def _is_foreign(asked: Asked, world: World) -> bool:
    if not _crosses(asked) or _any_origin(world):
        return False
    origin = asked.header("Origin") or ""
    exact, wild = _allowed(world.origins, world.since("0.5.13"))
    return origin not in exact and not any(_fits(origin, before, after) for before, after in wild)


def _fits(origin: str, before: str, after: str) -> bool:
    return origin.startswith(before) and origin.endswith(after)


def _any_origin(world: World) -> bool:
    return "*" in world.origins


@cache
def _allowed(origins: tuple[str, ...], vscode_file: bool) -> tuple[frozenset[str], tuple[tuple[str, str], ...]]:  # noqa: FBT001
    """The origins that are allowed: those of the user and Ollama's own; those with a star as what stands around it."""
    schemes = ["app", "file", "tauri", "vscode-webview", *(["vscode-file"] if vscode_file else [])]
    listed = [f"{scheme}://{host}{port}" for host in _HOSTS for scheme in ("http", "https") for port in ("", ":*")]
    listed += [*origins, *(f"{scheme}://*" for scheme in schemes)]
    wild = tuple((one.partition("*")[0], one.partition("*")[2]) for one in listed if "*" in one)
    return frozenset(one.strip().lower() for one in listed), wild


@lru_cache(maxsize=256)
def _is_near_address(host: str) -> bool:
    """Whether this is an address of this machine, or of a private network (`netip.Addr`)."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_loopback or address.is_unspecified or any(address in network for network in _PRIVATE)


def _is_local_name(host: str) -> bool:
    host = host.lower()
    return host in ("", "localhost", _machine_name()) or host.endswith(_LOCAL_NAMES)


@cache
def _machine_name() -> str:
    return socket.gethostname().lower()
