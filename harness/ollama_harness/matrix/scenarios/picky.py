"""Scenarios: picky servers and proxies."""

from __future__ import annotations

from ollama_harness.faults import Fault, demand_first, demand_header, demand_spelling, forbid_header
from ollama_harness.matrix.scenarios.scenario import SHORT, Scenario, Source


def _picky(name: str, summary: str, demand: Fault, url: str, says: str) -> Scenario:
    return Scenario(name=f"picky-{name}", summary=summary, recordings=SHORT, faults=(demand,), source=Source(url, says))


#: What its library sends decides whether a client is refused (docs/clients.md). A client that is refused must raise.
#: One that is not must read the answer. Servers that close a kept connection, or answer in HTTP/1.0, are not picky: see
#: the sequences and the ends.
TITLE = "Picky: a server or proxy that answers only requests with a certain head, and refuses what others accept."

SCENARIOS = [
    # ------------------------------------------------------------------ the framing of the body
    _picky(
        "chunked",
        "411 to a body in chunks: only a Content-Length is accepted",
        forbid_header("Transfer-Encoding", "chunked", "nginx-411"),
        "https://github.com/nginx/unit/issues/445",
        "411 to requests with Transfer-Encoding: chunked, which Unit does not read.",
    ),
    _picky(
        "expect",
        "417 to Expect: 100-continue, before the body is read",
        forbid_header("Expect", "100-continue", "squid-417"),
        "https://github.com/EmpireProject/Empire/pull/55",
        "Squid 2.7 answers 417 to Expect: 100-continue, which .NET sends by default.",
    ),
    # ------------------------------------------------------------------ what the client accepts
    _picky(
        "accept",
        "406 to a request without Accept, or with one that lists neither JSON nor NDJSON",
        demand_header("Accept", "go-406", members="*/*, application/json, application/x-ndjson"),
        "https://github.com/cachethq/cachet/issues/1636",
        "A POST without the header Accept is answered with 406.",
    ),
    _picky(
        "accept-ndjson",
        "406 if Accept does not list NDJSON, the type of the answer",
        demand_header("Accept", "go-406", members="*/*, application/*, application/x-ndjson", or_absent=True),
        "https://github.com/d2iq-archive/mesos-dns/issues/450",
        "Accept: */* is answered in JSON, and Accept: application/json with 406.",
    ),
    # ------------------------------------------------------------------ the name of the client
    _picky(
        "agent-missing",
        "403 to a request without User-Agent",
        demand_header("User-Agent", "github-403"),
        "https://docs.github.com/en/rest/using-the-rest-api/getting-started-with-the-rest-api#user-agent",
        "Requests with no User-Agent header will be rejected.",
    ),
    _picky(
        "agent-requests",
        "403 by a firewall with the OWASP rules to python-requests",
        forbid_header("User-Agent", "python-requests", "nginx-403"),
        "https://github.com/bookwyrm-social/bookwyrm/issues/3108",
        "Rule 913101 of the OWASP Core Rule Set matches python-requests in User-Agent and blocks the request.",
    ),
    _picky(
        "agent-urllib",
        "403 by Cloudflare's browser check, error 1010, to Python-urllib",
        forbid_header("User-Agent", "Python-urllib", "cloudflare-1010"),
        "https://github.com/NethServer/ns8-core/pull/522",
        "User-Agent: Python-urllib is answered with 403 and error code: 1010.",
    ),
    _picky(
        "agent-httpx",
        "403 by Wikimedia's policy to python-httpx",
        forbid_header("User-Agent", "python-httpx", "wikimedia-403"),
        "https://github.com/simonw/llm/issues/1309",
        "Wikipedia answers 403 to the default User-Agent of httpx.",
    ),
    # ------------------------------------------------------------------ the form of the head
    _picky(
        "spelling",
        "400 to content-type in lower case: the server looks only for Content-Type",
        demand_spelling("Content-Type", "manticore-400"),
        "https://github.com/manticoresoftware/manticoresearch/issues/1027",
        "A lower-case content-type is answered with: Content-Type must be set.",
    ),
    _picky(
        "host-first",
        "403 and a challenge if Host is not the first header",
        demand_first("Host", "cloudflare-challenge"),
        "https://github.com/saleor/requests-hardened/issues/81",
        "Cloudflare answers a request whose Host is not first with a managed challenge, 403.",
    ),
]
