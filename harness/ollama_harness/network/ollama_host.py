"""What OLLAMA_HOST means: to the Python client, and to the Ollama server, which read it by different rules.

Both take `host`, `host:port` and `http://host:port/path`. They differ where people are surprised:

| OLLAMA_HOST         | the Python client connects to | the server listens on          |
|---------------------|-------------------------------|--------------------------------|
| `0.0.0.0`           | `http://0.0.0.0:11434`        | every interface, port 11434    |
| `:8080`             | `http://127.0.0.1:8080`       | every interface, port 8080     |
| `"127.0.0.1:8080"`  | ValueError: a quote in a port | 127.0.0.1:8080: quotes go      |
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

__all__ = ["ollama_server_address", "ollama_url"]

DEFAULT_PORT = 11434
SCHEME_PORTS = {"http": 80, "https": 443}


def ollama_url(host: str | None) -> str:
    """The base URL of `ollama.Client()` where OLLAMA_HOST, or the argument `host`, is this. No slash ends it.

    Raises:
        ValueError: as the client does, for a port that is no number from 0 to 65535 and for unpaired brackets.
    """
    text = host or ""
    scheme, _, rest = text.partition("://")
    if not rest:
        scheme, rest, port = "http", text, DEFAULT_PORT
    else:
        port = SCHEME_PORTS.get(scheme, DEFAULT_PORT)
    parts = urllib.parse.urlsplit(f"{scheme}://{rest}")
    name = parts.hostname or "127.0.0.1"
    port = parts.port or port  # port 0 is no port to the client
    if _is_ipv6(name):
        name = f"[{name}]"
    path = parts.path.strip("/")
    return f"{scheme}://{name}:{port}/{path}" if path else f"{scheme}://{name}:{port}"


def ollama_server_address(host: str | None) -> str:
    """Where `ollama serve` listens where OLLAMA_HOST is this: `host:port`, as Go's `net.Listen` takes it.

    Without a host it is every interface. Never raises: what the server cannot read becomes a default.
    """
    text = (host or "").strip().strip("\"'").strip()
    scheme, found, rest = text.partition("://")
    if not found:
        scheme, rest = ("https", "ollama.com:443") if text == "ollama.com" else ("http", text)
    # A port without a scheme is 11434; a scheme says its own port, even where there is none in the text.
    default = SCHEME_PORTS.get(scheme, DEFAULT_PORT) if found else DEFAULT_PORT
    authority = rest.partition("/")[0]
    name, port = _split_host_port(authority) or (_address(authority) or authority or "127.0.0.1", str(default))
    if not re.fullmatch(r"[+-]?[0-9]+", port) or not 0 <= int(port) <= 65535:
        port = str(default)
    return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"


def _split_host_port(text: str) -> tuple[str, str] | None:
    """Go's net.SplitHostPort; None where it returns an error."""
    if bracketed := re.fullmatch(r"\[([^\[\]]*)\]:([^:\[\]]*)", text):
        return bracketed[1], bracketed[2]
    if plain := re.fullmatch(r"([^:\[\]]*):([^:\[\]]*)", text):
        return plain[1], plain[2]
    return None


def _address(text: str) -> str | None:
    """Go's net.ParseIP(strings.Trim(text, "[]")).String(); None where that is nil."""
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
