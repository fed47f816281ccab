"""Scenarios: several exchanges of one session."""

from __future__ import annotations

from ollama_harness.faults import (
    after_record,
    append_bytes,
    before_head,
    close_after_answer,
    close_at,
    count_body,
    lock_step,
    replace_with_error,
    reset_after_answer,
    reset_at,
    set_header,
    stall_at,
)
from ollama_harness.matrix.scenarios.scenario import (
    INCOMPLETE,
    SHORT,
    STREAMS,
    STREAMS_V1,
    Requirement,
    Scenario,
    Source,
)

_PERSISTENT = Source(
    "https://www.rfc-editor.org/rfc/rfc9112#section-9.3",
    "HTTP/1.1 connections are persistent: one carries many requests.",
)
_RETRY = Source(
    "https://www.rfc-editor.org/rfc/rfc9110#section-9.2.2",
    "A client SHOULD NOT automatically retry a request with a method that is not idempotent.",
)
_STALE = Source(
    "https://github.com/psf/requests/issues/4664",
    "RemoteDisconnected on a kept connection that the server has closed.",
)
_LEFTOVERS = Source(
    "https://www.rfc-editor.org/rfc/rfc9112#section-6.3",
    "A client MUST NOT treat bytes after a message as a separate response.",
)

TITLE = "Sequences: several exchanges in one session, in which one answer may affect the next."

SCENARIOS = [
    Scenario(
        name="reuse",
        summary="four exchanges one after the other",
        recordings=("generate-cold", "chat-nonstream"),
        then=((), (), ()),
        source=_PERSISTENT,
    ),
    Scenario(
        name="prompt",
        summary="three exchanges, in which the client is never idle before its request or after the answer",
        recordings=SHORT,
        then=((), ()),
        most_idle_s=1.0,  # in each of the three exchanges, because a busy machine may slow down one
        requirement=Requirement.SHOULD,
        source=Source(
            "https://github.com/ollama/ollama/issues/6233",
            "Each request took two seconds longer than the server needed, because of the client.",
        ),
    ),
    Scenario(
        name="stale-closed",
        summary="the server closes the connection after the first answer, before the second request",
        recordings=("generate-cold", "chat-nonstream"),
        faults=(close_after_answer(),),
        then=((),),
        requirement=Requirement.SHOULD,
        source=_STALE,
    ),
    Scenario(
        name="stale-reset",
        summary="the server resets the connection after the first answer, before the second request",
        recordings=("generate-cold", "chat-nonstream"),
        faults=(reset_after_answer(),),
        then=((),),
        requirement=Requirement.SHOULD,
        source=_STALE,
    ),
    Scenario(
        name="reuse-cut",
        summary="the server reads the second request of a connection, and closes it without a byte",
        recordings=("generate-cold", "chat-nonstream"),
        then=((close_at(before_head()),),),
        requirement=Requirement.SHOULD,
        source=_RETRY,
    ),
    Scenario(
        name="reuse-reset",
        summary="the server reads the second request of a connection, and resets it without a byte",
        recordings=("generate-cold", "chat-nonstream"),
        then=((reset_at(before_head()),),),
        requirement=Requirement.SHOULD,
        source=_RETRY,
    ),
    Scenario(
        name="close-announced",
        summary="Connection: close, and the server closes: the next request needs another connection",
        recordings=("generate-cold", "chat-nonstream"),
        faults=(set_header("Connection", "close"), close_after_answer()),
        then=((),),
        source=Source(
            "https://www.rfc-editor.org/rfc/rfc9112#section-9.6",
            "A server that sends close closes the connection after that response.",
        ),
    ),
    Scenario(
        name="close-not-meant",
        summary="Connection: close, but the server does not close",
        recordings=SHORT,
        faults=(set_header("Connection", "close"),),
        then=((),),
        source=Source(
            "https://www.rfc-editor.org/rfc/rfc9112#section-9.6",
            "A client that receives close MUST NOT send further requests on that connection.",
        ),
    ),
    Scenario(
        name="leftovers",
        summary="another answer follows the first, before the second request",
        recordings=("generate-cold", "chat-nonstream"),
        faults=(append_bytes(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"),),
        then=((),),
        source=_LEFTOVERS,
    ),
    Scenario(
        name="leftovers-of-length",
        summary="a Content-Length too small: the rest of the first answer comes before the second",
        recordings=("chat-nonstream",),
        faults=(count_body(off_by=-1),),
        then=((),),
        source=_LEFTOVERS,
    ),
    Scenario(
        name="fail-then-succeed",
        summary="503 with Retry-After, then the answer",
        recordings=STREAMS,
        faults=(replace_with_error(503, error="server busy", retry_after="1"),),
        then=((),),
        source=Source(
            "https://github.com/ollama/ollama/pull/4144",
            "503 when the server is too busy: the next request may succeed.",
        ),
    ),
    Scenario(
        name="fail-twice-then-succeed",
        summary="cut twice, then the answer",
        recordings=SHORT,
        faults=(close_at(after_record(3)),),
        then=((reset_at(after_record(3)),), ()),
        source=INCOMPLETE,
    ),
    Scenario(
        name="succeed-then-fail",
        summary="an answer, then one that is cut",
        recordings=SHORT,
        then=((close_at(after_record(3)),),),
        source=INCOMPLETE,
    ),
    Scenario(
        name="meanwhile",
        summary="a second request, answered completely while the first answer waits",
        recordings=STREAMS,
        faults=(lock_step(),),
        then=((),),
        meanwhile_after=3,
        source=Source(
            "https://www.rfc-editor.org/rfc/rfc9112#section-9.4",
            "A client may open several connections, so that one request does not have to wait for another.",
        ),
    ),
    Scenario(
        name="early-break",
        summary="the user stops after three records: the client closes the answer, and can be used again",
        recordings=STREAMS,
        faults=(stall_at(after_record(3)),),
        then=((),),
        stop_after=3,
        source=Source(
            "https://github.com/ollama/ollama/issues/9813",
            "Ollama keeps generating until the connection of the request is closed.",
        ),
        # In each dialect three pieces of text have come by then.
        over_v1={"recordings": STREAMS_V1, "faults": (stall_at(after_record(9)),)},
    ),
]
