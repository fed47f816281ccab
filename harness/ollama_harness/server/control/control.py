"""The calls of the control API, and whom it answers.

A web page must not be able to use it. A page can make a browser send requests to this machine, and by DNS rebinding
even read the answers. Such a request names the page's own host, or carries `Origin` or `Sec-Fetch-Site`; and none with
a body can be sent as JSON without asking first. So each of these is refused. Where a token is needed, it is what proves
the right to ask, and the Host may be any: in a container the server has a name of its own.
"""

from __future__ import annotations

import hmac
import importlib.resources
import ipaddress
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ollama_harness.answers import Asked
from ollama_harness.files.json_text import parse_json
from ollama_harness.script.script import Script
from ollama_harness.server._connection import RequestTooLarge
from ollama_harness.server._running_programme import RunningProgramme, Where
from ollama_harness.server.control._answering import ControlAnswer, ControlError, Query
from ollama_harness.server.control._journal_calls import entries_of, entry_of
from ollama_harness.server.control._lists import fault_rows, recording_row
from ollama_harness.server.control._programme_calls import programme_json, put_rules, remove_rule
from ollama_harness.server.control._verification import Verification
from ollama_harness.server.journal import Journal
from ollama_harness.server.programme import Scenarios
from ollama_harness.server.recorded_answers import RecordedAnswers

__all__ = ["Control", "Controlled", "check_token", "is_loopback"]

PREFIX = "/_harness"
_TOKEN = re.compile("[A-Za-z0-9._~+/=-]+")
_LISTS = f"GET {PREFIX}/openapi.json lists the calls"


@dataclass(frozen=True, slots=True, kw_only=True)
class Controlled:
    """The parts of a server that are steered. `host` is where it listens; the functions ask and change the server."""

    host: str
    journal: Journal
    programme: RunningProgramme
    recorded: RecordedAnswers
    url: Callable[[], str]
    reset: Callable[[], None]
    verify: Callable[[bool], Verification]
    scenarios: Callable[[], Scenarios | None]


class Control:
    """Answers the calls of the control API. With a `token`, each call must bring it.

    `answer` may block, as long as a call waits for requests; `end_waits` makes all such calls return.

    Raises: ValueError, for a token that no header can have.
    """

    def __init__(self, controlled: Controlled, *, token: str | None = None) -> None:
        self._controlled, self._token = controlled, None if token is None else check_token(token)
        self._is_stopping = threading.Event()

    @staticmethod
    def is_for(asked: Asked) -> bool:
        """Whether a request is a call of the control API."""
        return (
            PREFIX in asked.target
            and asked.flaw is None
            and (asked.raw_path == PREFIX or asked.raw_path.startswith(f"{PREFIX}/"))
        )

    def begin(self) -> None:
        """Let calls wait from now on."""
        self._is_stopping.clear()

    def end_waits(self) -> None:
        """Have every call that waits return soon, and none wait until `begin`."""
        self._is_stopping.set()

    def answer(self, asked: Asked) -> Script:
        """What is played to a call."""
        try:
            self._refuse_others(asked)
            return self._called(asked).script(asked.method)
        except ControlError as error:
            return error.answer.script(asked.method)

    @staticmethod
    def too_large(error: RequestTooLarge, method: str) -> Script:
        """What is played to a call whose body is not read."""
        return ControlAnswer(error.status, {"error": f"{error}; send less than 256 MB"}).script(method)

    # ------------------------------------------------------------------------------------- whom it answers

    def _refuse_others(self, asked: Asked) -> None:
        """Refuse a web page, and a program that does not bring the token.

        Raises: ControlError.
        """
        if asked.header("Origin") is not None or asked.header("Sec-Fetch-Site") not in (None, "none"):
            raise ControlError(403, "a web page cannot use the control API; call it from your test's own process")
        if self._token is not None:
            scheme, _, given = (asked.header("Authorization") or "").partition(" ")
            is_it = hmac.compare_digest(given.encode("latin-1", "replace"), self._token.encode())
            if scheme.lower() != "bearer" or not is_it:
                problem = (
                    "the token is missing or wrong; send Authorization: Bearer TOKEN with the one of --control-token"
                )
                raise ControlError(401, problem, ("WWW-Authenticate", 'Bearer realm="ollama-harness"'))
        elif not self._is_known(asked.host):
            raise ControlError(403, f"the Host is {asked.host[:60]!r}; call the server as 127.0.0.1 or localhost")

    def _is_known(self, host: str) -> bool:
        name = _without_port(host)
        return is_loopback(name) or name.lower() == self._controlled.host.lower()

    # ------------------------------------------------------------------------------------- the calls

    def _called(self, asked: Asked) -> ControlAnswer:
        query = Query(asked.query)
        methods = self._calls(asked.path.removeprefix(PREFIX), query, asked)
        if not methods:
            raise ControlError(404, f"there is no {asked.path[:60]}; {_LISTS}")
        if asked.method not in methods:
            allowed = ", ".join(methods)
            raise ControlError(405, f"{asked.method[:20]} is no method of this call; use {allowed}", ("Allow", allowed))
        return methods[asked.method]()

    def _calls(self, path: str, query: Query, asked: Asked) -> dict[str, Callable[[], ControlAnswer]]:
        """The calls of a path by their methods."""
        one, journal, programme = self._controlled, self._controlled.journal, self._controlled.programme

        def plain(make: Callable[[], Any]) -> Callable[[], ControlAnswer]:
            """A call without parameters; None is no content."""

            def call() -> ControlAnswer:
                query.no_more()
                made = make()
                if isinstance(made, ControlAnswer):
                    return made
                return ControlAnswer(204) if made is None else ControlAnswer(200, made)

            return call

        match path.split("/")[1:]:
            case ["health"]:
                return {"GET": plain(self._health)}
            case ["reset"]:
                return {"POST": plain(one.reset)}
            case ["openapi.json"]:
                return {"GET": plain(openapi)}
            case ["programme"]:
                put = lambda: put_rules(programme, _json(asked), Where.INSTEAD)  # noqa: E731
                return {"GET": plain(lambda: programme_json(programme)), "PUT": plain(put)}
            case ["programme", "rules"]:
                return {"POST": lambda: self._add(query, asked)}
            case ["programme", "rules", id_]:
                return {"DELETE": plain(lambda: remove_rule(programme, id_))}
            case ["journal"]:
                get = lambda: entries_of(journal, query, self._is_stopping.is_set)  # noqa: E731
                return {"GET": get, "DELETE": plain(journal.clear)}
            case ["journal", id_]:
                return {"GET": plain(lambda: entry_of(journal, id_))}
            case ["recordings"]:
                rows = lambda: {"recordings": list(map(recording_row, one.recorded.recordings))}  # noqa: E731
                return {"GET": plain(rows)}
            case ["scenarios"]:
                return {"GET": plain(self._scenarios)}
            case ["faults"]:
                return {"GET": plain(lambda: {"faults": list(fault_rows())})}
            case ["verify"]:
                return {"GET": lambda: self._verify(query)}
        return {}

    def _health(self) -> dict[str, str]:
        from ollama_harness import __version__

        one = self._controlled
        return {"status": "ok", "harness": __version__, "ollama": one.recorded.version, "url": one.url()}

    def _add(self, query: Query, asked: Asked) -> ControlAnswer:
        at = query.choice("at", (Where.FIRST, Where.END))
        query.no_more()
        return put_rules(self._controlled.programme, _json(asked), Where(at or Where.FIRST))

    def _scenarios(self) -> dict[str, list[dict[str, Any]]]:
        scenarios = self._controlled.scenarios()
        rows = [] if scenarios is None else scenarios.summaries
        return {
            "scenarios": [
                {"name": one.name, "group": one.group, "summary": one.summary, "routes": list(one.routes)}
                for one in rows
            ]
        }

    def _verify(self, query: Query) -> ControlAnswer:
        strict = query.flag("strict") or False
        query.no_more()
        return ControlAnswer(200, self._controlled.verify(strict).as_json())


def check_token(text: str) -> str:
    """The token, if a header can have it (RFC 6750 section 2.1).

    Raises: ValueError.
    """
    if not _TOKEN.fullmatch(text):
        raise ValueError("the token is empty, or has other signs than letters, digits and -._~+/=; give such a one")
    return text


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that listens here, as far as the name or address itself shows it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def openapi() -> dict[str, Any]:
    """The description of the API, in OpenAPI 3.1."""
    text = importlib.resources.files(__package__).joinpath("openapi.json").read_text("utf-8")
    value: dict[str, Any] = json.loads(text)
    return value


def _json(asked: Asked) -> Any:
    """The JSON value of a call.

    Raises: ControlError.
    """
    kind = (asked.header("Content-Type") or "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ControlError(415, f"the Content-Type is {kind[:60]!r}; send Content-Type: application/json")
    if asked.body_error:
        raise ControlError(400, f"the body broke off: {asked.body_error}; send it whole")
    try:
        return parse_json(asked.body)
    except ValueError as error:
        raise ControlError(400, f"request body: is no JSON: {error}; send a rule, or an object with rules") from None


def _without_port(host: str) -> str:
    """The name or address in a Host header; an IPv6 address without its brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0] if host.count(":") <= 1 else host
