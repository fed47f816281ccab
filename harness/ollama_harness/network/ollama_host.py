"""OLLAMA_HOST as the Python client and as the Ollama server read it. Their rules differ.

Both read `host`, `host:port` and `http://host:port/path` in the same way. They differ in these forms:

| OLLAMA_HOST         | the Python client connects to | the server listens on          |
|---------------------|-------------------------------|--------------------------------|
| `0.0.0.0`           | `http://0.0.0.0:11434`        | every interface, port 11434    |
| `:8080`             | `http://127.0.0.1:8080`       | every interface, port 8080     |
| `"127.0.0.1:8080"`  | ValueError: a quote in a port | 127.0.0.1:8080, without quotes |
| `::1`               | ValueError: `:1` is no port   | [::1]:11434                    |
| `localhost:99999`   | ValueError                    | localhost:11434                |
| `localhost:0`       | `http://localhost:11434`      | localhost, any free port       |

Sources: `_parse_host` in https://github.com/ollama/ollama-python/blob/main/ollama/_client.py,
`Host` in https://github.com/ollama/ollama/blob/main/envconfig/config.go,
`SplitHostPort` in https://pkg.go.dev/net#SplitHostPort.
"""

from __future__ import annotations

import ipaddress
import re
import urllib.parse

__all__ = ["go_client_url", "ollama_server_address", "ollama_url"]

DEFAULT_PORT = 11434
SCHEME_PORTS = {"http": 80, "https": 443}


def ollama_url(host: str | None) -> str:
    """The base URL of `ollama.Client()` for a value of OLLAMA_HOST or of its argument `host`. No slash ends it.

    Raises:
        ValueError: as the client does, for a port that is not a number from 0 to 65535, and for unpaired brackets.
    """
    text = host or ""
    scheme, _, rest = text.partition("://")
    if not rest:
        scheme, rest, port = "http", text, DEFAULT_PORT
    else:
        port = SCHEME_PORTS.get(scheme, DEFAULT_PORT)
    parts = urllib.parse.urlsplit(f"{scheme}://{rest}")
    name = parts.hostname or "127.0.0.1"
    port = parts.port or port  # the client treats port 0 as no port
    if _is_ipv6(name):
        name = f"[{name}]"
    path = parts.path.strip("/")
    return f"{scheme}://{name}:{port}/{path}" if path else f"{scheme}://{name}:{port}"


def ollama_server_address(host: str | None) -> str:
    """The address at which `ollama serve` listens for a value of OLLAMA_HOST: `host:port`, as for Go's `net.Listen`.

    Without a host it is every interface. This never raises: the server replaces what it cannot read by a default.
    """
    return _as_go(host)[1]


def go_client_url(host: str | None) -> str:
    """The base URL of Ollama's command line and of `api.ClientFromEnvironment`. It may be none that can be reached.

    An address that is every interface is left as it is here. Go connects to the loopback then, and so do versions of
    Ollama that replace it.
    """
    scheme, address, path = _as_go(host)
    return f"{scheme}://{address}/{path}" if path else f"{scheme}://{address}"


def _as_go(host: str | None) -> tuple[str, str, str]:
    """Scheme, `host:port`, and the path without its first slash."""
    text = (host or "").strip().strip("\"'").strip()
    scheme, found, rest = text.partition("://")
    if not found:
        scheme, rest = ("https", "ollama.com:443") if text == "ollama.com" else ("http", text)
    # Without a scheme the default port is 11434. With a scheme it is the port of that scheme.
    default = SCHEME_PORTS.get(scheme, DEFAULT_PORT) if found else DEFAULT_PORT
    authority, _, path = rest.partition("/")
    name, port = _split_host_port(authority) or (_address(authority) or authority or "127.0.0.1", str(default))
    if not re.fullmatch(r"[+-]?[0-9]+", port) or not 0 <= int(port) <= 65535:
        port = str(default)
    return scheme, f"[{name}]:{port}" if ":" in name else f"{name}:{port}", path


def _split_host_port(text: str) -> tuple[str, str] | None:
    """Go's net.SplitHostPort; None if it returns an error."""
    if bracketed := re.fullmatch(r"\[([^\[\]]*)\]:([^:\[\]]*)", text):
        return bracketed[1], bracketed[2]
    if plain := re.fullmatch(r"([^:\[\]]*):([^:\[\]]*)", text):
        return plain[1], plain[2]
    return None


def _address(text: str) -> str | None:
    """Go's net.ParseIP(strings.Trim(text, "[]")).String(); None if that is nil."""
    text = text.strip("[]")
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if "%" in text:  # a zone
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def _is_ipv6(name: str) -> bool:
    try:
        return isinstance(ipaddress.ip_address(name), ipaddress.IPv6Address)
    except ValueError:
        return False
