"""Predicts the route of a client's request, and the rule of its library that decides it. Nothing is sent.

How it works: a prediction repeats the decisions of the library's own code, in the same order, on `Settings` instead of
this machine. So it can predict for any system, any version of Python and any settings, also for settings that a user
only considers. No function of a library that reads the machine is called; libraries only parse URLs. Each prediction
names the setting that decided, and one sentence for people. tests/test_predicted.py compares the predictions with the
real libraries, on random settings, and the matrix compares them with the routes that real processes took.

Each module holds the rules of one library, and a summary of them in `IN_WORDS`:

    stdlib_proxies.py       the proxies that Python itself finds; all libraries use them
    _stdlib_bypass.py       the hosts that Python itself excludes, for urllib and in part for requests
    prediction_urllib.py    urllib.request.urlopen
    prediction_requests.py  requests.Session
    prediction_httpx.py     httpx.Client, httpx.AsyncClient, ollama.Client, ollama.AsyncClient
    prediction_base.py      the texts that all predictions share
    ollama_host.py          OLLAMA_HOST, as the Python client and as the server read it

The sources of the libraries:
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

#: These read the settings for each request. The others read them once, when a client is made.
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
    """The route of a request to `url`, an absolute URL with a host. None means OLLAMA_HOST, for Ollama's clients.

    `installed` holds the optional packages that are there: PySocks (for requests) and socksio (for httpx).
    `python` and `names` matter only if urllib or requests read a list of Windows or macOS. Since 3.11.9 and 3.12.3
    hosts are not resolved for that. Before, `names` gives the answers of name resolution.

    Raises:
        ValueError: for a client that is not in CLIENTS, or without a URL if the client is not Ollama's.
    """
    names = names or NameResolution()
    match client:  # each case imports its own module, because importing httpx and requests is slow
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
            if url is None or host is not None:  # OLLAMA_HOST is read when ollama is imported, for any URL
                try:
                    url = url or ollama_url(host)
                    _ = httpx.URL(ollama_url(host)).host
                except (ValueError, httpx.InvalidURL) as error:
                    kind = "httpx.InvalidURL" if isinstance(error, httpx.InvalidURL) else "ValueError"
                    value = hidden(host or "")
                    because = f"Making {client} raises {kind}: OLLAMA_HOST is {value!r}, which is not an address."
                    return PredictedRoute(
                        route=Route.NOWHERE, rule="ollama._client._parse_host: refuses OLLAMA_HOST", because=because
                    )
            return httpx_route(settings, url, client=client, installed=installed)
    raise ValueError(f"no prediction for {client!r} with the URL {url!r}: clients are {', '.join(CLIENTS)}")
