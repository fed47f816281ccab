"""Which way a client's request goes, and by which of its library's rules: computed from the settings, nothing is sent.

One module holds one library's rules, and the short of them in `IN_WORDS`:

    stdlib.py               which proxies there are: Python's own rules, the ground of all the others
    stdlib_bypass.py        which hosts go past them: Python's own rules, for urllib and, in part, requests
    predicted_urllib.py     urllib.request.urlopen
    predicted_requests.py   requests.Session
    predicted_httpx.py      httpx.Client, httpx.AsyncClient, ollama.Client, ollama.AsyncClient
    ollama_host.py          OLLAMA_HOST, as the Python client and as the server read it

The libraries' sources, which these follow line by line and which tests/test_predicted.py holds them against:
https://github.com/python/cpython/blob/main/Lib/urllib/request.py,
https://github.com/psf/requests/blob/main/src/requests/utils.py,
https://github.com/encode/httpx/blob/master/httpx/_utils.py,
https://github.com/ollama/ollama-python/blob/main/ollama/_client.py.
"""

from __future__ import annotations

import sys

from ollama_harness.network._stdlib_bypass import NameResolution
from ollama_harness.network.ollama_host import ollama_url
from ollama_harness.network.prediction_base import hidden
from ollama_harness.network.route import PredictedRoute, Route
from ollama_harness.network.settings import Settings

__all__ = ["CLIENTS", "READ_FOR_EACH_REQUEST", "NameResolution", "predicted"]

CLIENTS = ("urllib", "requests", "httpx", "httpx-async", "ollama", "ollama-async")

#: These read the settings for each request; the others once, when a client is made.
READ_FOR_EACH_REQUEST = ("urllib", "requests")


def predicted(
    client: str,
    settings: Settings,
    url: str | None = None,
    *,
    installed: frozenset[str] = frozenset(),
    python: tuple[int, ...] = sys.version_info[:3],
    names: NameResolution | None = None,
) -> PredictedRoute:
    """The way of a request to `url`, an absolute URL with a host; None is what OLLAMA_HOST says, for Ollama's clients.

    `installed` holds the optional packages that the client finds: of PySocks (requests) and socksio (httpx).
    `python` and `names` matter only for urllib and requests where they read a list of Windows or macOS: from 3.11.9
    and 3.12.3 on, hosts are no longer resolved for it; before, `names` says to what.

    Raises:
        ValueError: for a client that is none of CLIENTS, or no URL where the client is not Ollama's.
    """
    names = names or NameResolution()
    match client:  # each imports its library's module only when it is asked for: httpx and requests take their time
        case "urllib" if url is not None:
            from ollama_harness.network.prediction_urllib import urllib_route

            return urllib_route(settings, url, python=python, names=names)
        case "requests" if url is not None:
            from ollama_harness.network.prediction_requests import requests_route

            return requests_route(settings, url, installed=installed, python=python, names=names)
        case "httpx" | "httpx-async" if url is not None:
            from ollama_harness.network.prediction_httpx import httpx_route

            return httpx_route(settings, url, client=client, installed=installed)
        case "ollama" | "ollama-async":
            import httpx

            from ollama_harness.network.prediction_httpx import httpx_route

            host = settings.variable("OLLAMA_HOST")
            if url is None or host is not None:  # it is read when ollama is imported, whatever the URL
                try:
                    url = url or ollama_url(host)
                    _ = httpx.URL(ollama_url(host)).host
                except (ValueError, httpx.InvalidURL) as error:
                    kind = "httpx.InvalidURL" if isinstance(error, httpx.InvalidURL) else "ValueError"
                    because = (
                        f"Making {client} raises {kind}: OLLAMA_HOST is {hidden(host or '')!r}, which is no address."
                    )
                    return PredictedRoute(
                        route=Route.NOWHERE, rule="ollama._client._parse_host: refuses OLLAMA_HOST", because=because
                    )
            return httpx_route(settings, url, client=client, installed=installed)
    raise ValueError(f"no prediction for {client!r} with the URL {url!r}: clients are {', '.join(CLIENTS)}")
