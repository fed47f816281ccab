"""Scenarios: the connection."""

from __future__ import annotations

from ollama_harness.faults import (
    before_head,
    close_at,
    close_on_accept,
    inside_head,
    never_read,
    refuse,
    reset_at,
    reset_on_accept,
    stall_at,
)
from ollama_harness.matrix.scenarios.scenario import SHORT, STREAMS, Scenario, Source

_NETWORK_PROBLEM = Source(
    "https://requests.readthedocs.io/en/latest/user/quickstart/#errors-and-exceptions",
    "A network problem (a refused connection, …) raises an exception that the documentation names.",
)

TITLE = "The connection: there is none, it is silent, or it ends before an answer has begun."

SCENARIOS = [
    Scenario(
        name="refused",
        summary="nothing listens: Ollama is not running",
        recordings=STREAMS,
        faults=(refuse(),),
        source=Source(
            "https://github.com/ollama/ollama-python/issues/112",
            "WinError 10061, actively refused: 'I forgot to start the ollama server'.",
        ),
    ),
    Scenario(
        name="closed-on-accept",
        summary="the connection is accepted and closed before anything is read",
        recordings=SHORT,
        faults=(close_on_accept(),),
        source=_NETWORK_PROBLEM,
    ),
    Scenario(
        name="reset-on-accept",
        summary="the connection is accepted and reset before anything is read",
        recordings=SHORT,
        faults=(reset_on_accept(),),
        source=Source(
            "https://github.com/ollama/ollama/issues/4055",
            "An existing connection was forcibly closed by the remote host (WinError 10054), with Ollama.",
        ),
    ),
    Scenario(
        name="never-read",
        summary="the connection is accepted, and nothing is ever read from it",
        recordings=SHORT,
        faults=(never_read(),),
        read_timeout_s=1.0,
        source=Source(
            "https://github.com/ollama/ollama-python/issues/483",
            "A call hung for more than four hours: without a timeout set, nothing ends it.",
        ),
    ),
    Scenario(
        name="never-answered",
        summary="the request is read, and nothing is ever answered",
        recordings=SHORT,
        faults=(stall_at(before_head()),),
        read_timeout_s=1.0,
        source=Source(
            "https://github.com/ollama/ollama-python/issues/483",
            "A call hung for more than four hours: without a timeout set, nothing ends it.",
        ),
    ),
    Scenario(
        name="cut-before-head",
        summary="the request is read, then FIN without a byte",
        recordings=STREAMS,
        faults=(close_at(before_head()),),
        source=Source(
            "https://github.com/ollama/ollama-python/issues/436",
            "RemoteProtocolError: Server disconnected without sending a response.",
        ),
    ),
    Scenario(
        name="reset-before-head",
        summary="the request is read, then RST without a byte",
        recordings=SHORT,
        faults=(reset_at(before_head()),),
        source=Source(
            "https://github.com/ollama/ollama/issues/3047",
            "After some exchanges ConnectionResetError (WinError 10054) before any answer.",
        ),
    ),
    Scenario(
        name="cut-inside-head",
        summary="FIN in the middle of the head",
        recordings=SHORT,
        faults=(close_at(inside_head()),),
        source=Source(
            "https://www.rfc-editor.org/rfc/rfc9112#section-8",
            "A client that receives an incomplete response MUST record it as incomplete.",
        ),
    ),
    Scenario(
        name="reset-inside-head",
        summary="RST in the middle of the head",
        recordings=SHORT,
        faults=(reset_at(inside_head()),),
        source=_NETWORK_PROBLEM,
    ),
]
