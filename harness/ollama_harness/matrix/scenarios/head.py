"""Scenarios: the head."""

from __future__ import annotations

from ollama_harness.faults import (
    add_header,
    drop_header,
    fatten_head,
    inform,
    redirect,
    replace_status_line,
    replace_with,
    replace_with_error,
    replace_with_text,
    set_header,
)
from ollama_harness.matrix.scenarios.scenario import ERRORS, SHORT, Requirement, Scenario, Source

_CLOUDFLARE = "https://developers.cloudflare.com/support/troubleshooting/http-status-codes/cloudflare-5xx-errors/"
_REDIRECT = Source(
    "https://www.rfc-editor.org/rfc/rfc9110#section-15.4",
    "A user agent MAY follow a redirect automatically, and SHOULD detect loops.",
)
_INFORMATIONAL = Source(
    "https://www.rfc-editor.org/rfc/rfc9110#section-15.2",
    "A client MUST be able to parse one or more 1xx answers before the final one, even if it expects none.",
)


_NOT_AN_OBJECT = Source(
    "https://github.com/ollama/ollama-python/pull/690",
    "An error body that is a JSON string, list or number makes the constructor of ResponseError itself crash.",
)


def _refused(status: int, summary: str, source: Source = ERRORS) -> Scenario:
    """A status with an error in Ollama's form."""
    return Scenario(
        name=f"status-{status}",
        summary=summary,
        recordings=SHORT,
        faults=(replace_with_error(status),),
        source=source,
    )


def _error_shape(name: str, summary: str, error: object) -> Scenario:
    return Scenario(
        name=f"error-{name}",
        summary=summary,
        recordings=SHORT,
        faults=(replace_with_error(500, error=error),),
        requirement=Requirement.SHOULD,
        source=ERRORS,
    )


TITLE = "The head: another program answers instead of Ollama, or the head is not what a client expects."

SCENARIOS = [
    # ------------------------------------------------------------------ statuses of Ollama
    _refused(400, "400: an invalid request"),
    _refused(
        401,
        "401: a cloud model without a key",
        Source("https://github.com/ollama/ollama/issues/16065", "401 from Ollama for a cloud model."),
    ),
    _refused(403, "403: a foreign origin"),
    _refused(404, "404: no such model"),
    _refused(
        405,
        "405: the wrong method",
        Source("https://www.rfc-editor.org/rfc/rfc9110#section-15.5.6", "405: the target does not support the method."),
    ),
    _refused(500, "500: the runner failed"),
    _refused(
        501,
        "501: not implemented",
        Source(
            "https://www.rfc-editor.org/rfc/rfc9110#section-15.6.2",
            "501: the server lacks the functionality that the request needs.",
        ),
    ),
    _refused(502, "502: a cloud model cannot be reached"),
    Scenario(
        name="status-429",
        summary="429 with Retry-After in seconds: the cloud's limit is reached",
        recordings=SHORT,
        faults=(replace_with_error(429, error="you have reached your usage limit", retry_after="2"),),
        source=Source(
            "https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3",
            "Retry-After is a number of seconds, or a date.",
        ),
    ),
    Scenario(
        name="status-503",
        summary="503 with Retry-After as a date",
        recordings=SHORT,
        faults=(
            replace_with_error(
                503,
                error="server busy, please try again.  maximum pending requests exceeded",
                retry_after="Fri, 31 Dec 1999 23:59:59 GMT",
            ),
        ),
        source=Source(
            "https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3",
            "Retry-After is a number of seconds, or a date.",
        ),
    ),
    # ------------------------------------------------------------------ errors in other shapes
    _error_shape("twice-encoded", "an error whose text is itself JSON", '{"error":{"message":"not found","code":404}}'),
    _error_shape("object", "an error that is an object, as OpenAI's is", {"message": "not found", "type": "api_error"}),
    _error_shape("list", "an error that is a list", ["not found"]),
    _error_shape("number", "an error that is a number", 7),
    _error_shape("empty-string", "an error whose text is empty", ""),
    *(
        Scenario(
            name=f"error-body-{name}",
            summary=f"500, and the body is {what}",
            recordings=SHORT,
            faults=(replace_with_text(text),),
            requirement=Requirement.SHOULD,
            source=_NOT_AN_OBJECT,
        )
        for name, what, text in (
            ("string", "a JSON string", '"not found"'),
            ("list", "a JSON list", '["not found"]'),
            ("number", "a JSON number", "404"),
            ("null", "null", "null"),
        )
    ),
    Scenario(
        name="error-null",
        summary="an error that is null",
        recordings=SHORT,
        faults=(replace_with_text('{"error":null}'),),
        requirement=Requirement.SHOULD,
        source=ERRORS,
    ),
    Scenario(
        name="error-empty-body",
        summary="500 without a body",
        recordings=SHORT,
        faults=(replace_with_error(500, error=None),),
        source=Source(
            "https://github.com/ollama/ollama-python/issues/83",
            "ResponseError (without error information).",
        ),
    ),
    # ------------------------------------------------------------------ another program answers
    Scenario(
        name="proxy-407",
        summary="407: a proxy needs a name and a password",
        recordings=SHORT,
        faults=(replace_with("proxy-407"),),
        source=Source(
            "https://www.rfc-editor.org/rfc/rfc9110#section-15.5.8",
            "407: the client must authenticate itself to use a proxy.",
        ),
    ),
    Scenario(
        name="privoxy-500",
        summary="500 Internal Privoxy Error, with its own reason phrase and page",
        recordings=SHORT,
        faults=(replace_with("privoxy-500"),),
        source=Source(
            "https://github.com/run-llama/llama_index/issues/14880",
            "500 Internal Privoxy Error for localhost:11434/api/chat while Privoxy runs.",
        ),
    ),
    Scenario(
        name="squid-403",
        summary="403 by Squid, an HTML page",
        recordings=SHORT,
        faults=(replace_with("squid-403"),),
        source=Source(
            "https://github.com/squid-cache/squid/blob/master/src/errorpage.cc",
            "Squid answers with text/html, X-Squid-Error and Via.",
        ),
    ),
    Scenario(
        name="squid-503",
        summary="503 by Squid: it cannot reach 127.0.0.1, which is its own machine",
        recordings=SHORT,
        faults=(replace_with("squid-503"),),
        source=Source(
            "https://github.com/ollama/ollama/issues/6719",
            "A proxy's page instead of Ollama's answer: Connection to 127.0.0.1 failed.",
        ),
    ),
    Scenario(
        name="nginx-413",
        summary="413 with nginx's HTML page: an image larger than client_max_body_size",
        recordings=SHORT,
        faults=(replace_with("nginx-413"),),
        source=Source(
            "https://github.com/clearml/clearml/issues/257",
            "nginx's 413 page seen by a Python client: the default limit is 1 MB.",
        ),
    ),
    Scenario(
        name="nginx-502",
        summary="502 with nginx's HTML page",
        recordings=SHORT,
        faults=(replace_with("nginx-502"),),
        source=Source(
            "https://github.com/Mintplex-Labs/anything-llm/issues/1722",
            "A gateway's HTML page where JSON was promised, in front of an Ollama that did not answer.",
        ),
    ),
    Scenario(
        name="nginx-504",
        summary="504 with nginx's HTML page",
        recordings=SHORT,
        faults=(replace_with("nginx-504"),),
        source=Source(
            "https://github.com/ollama/ollama/issues/465",
            "nginx in front of Ollama: every request from outside ends in 504.",
        ),
    ),
    *(
        Scenario(
            name=f"cloudflare-{status}",
            summary=f"{status} by Cloudflare: {why}",
            recordings=SHORT,
            faults=(replace_with(f"cloudflare-{status}"),),
            source=Source(f"{_CLOUDFLARE}error-{status}/", f"{status}: {why}."),
        )
        for status, why in (
            (520, "the origin sent an answer that Cloudflare cannot understand"),
            (521, "the origin refused the connection"),
            (522, "the origin did not answer the connection"),
            (523, "there is no route to the origin"),
        )
    ),
    Scenario(
        name="captive-portal",
        summary="200 with a login page",
        recordings=SHORT,
        faults=(replace_with("captive-portal"),),
        source=Source(
            "https://github.com/openwrt/packages/pull/16140",
            "A portal answers 200 text/html with a refresh to its login page.",
        ),
    ),
    # ------------------------------------------------------------------ redirects and informational answers
    *(
        Scenario(
            name=f"redirect-{status}",
            summary=f"{status} to the path of the answer",
            recordings=SHORT,
            faults=(redirect(status, "/elsewhere"),),
            requirement=Requirement.OBSERVE,
            source=_REDIRECT,
        )
        for status in (301, 302, 307, 308)
    ),
    Scenario(
        name="redirect-loop",
        summary="307 to the same path, for ever",
        recordings=("generate-cold",),
        faults=(redirect(307, "/api/generate"),),
        requirement=Requirement.SHOULD,
        source=_REDIRECT,
        over_v1={
            "recordings": ("v1-chat-france-stream",),
            "faults": (redirect(307, "/v1/chat/completions"),),
        },
    ),
    Scenario(
        name="inform-100",
        summary="100 Continue before the answer, although the client did not ask for it",
        recordings=SHORT,
        faults=(inform(100),),
        source=_INFORMATIONAL,
    ),
    Scenario(
        name="inform-103",
        summary="103 Early Hints before the answer",
        recordings=SHORT,
        faults=(inform(103),),
        source=_INFORMATIONAL,
    ),
    # ------------------------------------------------------------------ heads that are odd, or wrong
    Scenario(
        name="no-content-type",
        summary="no Content-Type",
        recordings=SHORT,
        faults=(drop_header("Content-Type"),),
        source=Source(
            "https://www.rfc-editor.org/rfc/rfc9110#section-8.3",
            "Without Content-Type a recipient may examine the data, or treat it as application/octet-stream.",
        ),
    ),
    Scenario(
        name="other-content-type",
        summary="NDJSON under text/html",
        recordings=SHORT,
        faults=(set_header("Content-Type", "text/html"),),
        source=Source(
            "https://github.com/bubbuild/bub-contrib/pull/55",
            "ollama.com answers JSON with Content-Type text/html.",
        ),
    ),
    Scenario(
        name="charset-latin-1",
        summary="charset=iso-8859-1 on a body in UTF-8",
        recordings=("generate-unicode",),
        faults=(set_header("Content-Type", "application/x-ndjson; charset=iso-8859-1"),),
        requirement=Requirement.SHOULD,
        source=Source(
            "https://www.rfc-editor.org/rfc/rfc8259#section-11",
            "JSON has no charset parameter: adding one has no effect on recipients that follow the standard.",
        ),
    ),
    Scenario(
        name="two-content-lengths",
        summary="two Content-Length headers that contradict each other",
        recordings=("chat-nonstream",),
        faults=(add_header("Content-Length", "5"),),
        source=Source(
            "https://www.rfc-editor.org/rfc/rfc9112#section-6.3",
            "An invalid Content-Length is an unrecoverable error: the user agent MUST discard the response.",
        ),
    ),
    Scenario(
        name="content-length-beside-chunks",
        summary="both Content-Length and Transfer-Encoding",
        recordings=SHORT,
        faults=(add_header("Content-Length", "5"),),
        requirement=Requirement.SHOULD,
        source=Source(
            "https://www.rfc-editor.org/rfc/rfc9112#section-6.3",
            "Transfer-Encoding overrides Content-Length; the message ought to be handled as an error.",
        ),
    ),
    Scenario(
        name="large-head",
        summary="a header of 64 KiB",
        recordings=SHORT,
        faults=(fatten_head(64 * 1024),),
        requirement=Requirement.OBSERVE,
        source=Source(
            "https://www.rfc-editor.org/rfc/rfc9110#section-5.4",
            "There is no limit on the size of a field; a client MAY discard what is larger than it wants to handle.",
        ),
    ),
    Scenario(
        name="bad-status-line",
        summary="a malformed status line",
        recordings=SHORT,
        faults=(replace_status_line("HTTP/1.1 abc OK"),),
        source=Source(
            "https://www.rfc-editor.org/rfc/rfc9112#section-4",
            "A status line is the version, a status of three digits and a reason.",
        ),
    ),
    Scenario(
        name="no-http",
        summary="a line of another protocol instead of the status line",
        recordings=SHORT,
        faults=(replace_status_line("SSH-2.0-OpenSSH_9.6"),),
        source=Source(
            "https://www.rfc-editor.org/rfc/rfc9112#section-4",
            "A status line is the version, a status of three digits and a reason.",
        ),
    ),
]
