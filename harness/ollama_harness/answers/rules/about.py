"""What the server says of itself, whatever models there are: that it runs, its version, its cloud, its account.

Source: server/routes.go (`GenerateRoutes`, `StatusHandler`, `WhoamiHandler`, `WebSearchExperimentalHandler`).
"""

from __future__ import annotations

from ollama_harness.answers.asked import Asked
from ollama_harness.answers.reply import Reply, json_reply, text_reply
from ollama_harness.answers.rules.rule import ROUTES_GO, Step, refusal
from ollama_harness.answers.world import World

__all__: list[str] = []


@refusal(
    "root",
    Step.ANSWER,
    "the server runs",
    "root-get",
    "root-head",
    source=f"{ROUTES_GO}: GenerateRoutes",
    paths=("/",),
)
def _root(asked: Asked, _world: World) -> Reply | None:
    if asked.path != "/" or asked.method not in ("GET", "HEAD"):
        return None
    return text_reply(200, "Ollama is running", content_type="text/plain; charset=utf-8")


@refusal(
    "version",
    Step.ANSWER,
    "the version of the server",
    "version",
    "version-head",
    source=f"{ROUTES_GO}: GenerateRoutes",
    paths=("/api/version",),
)
def _version(asked: Asked, world: World) -> Reply | None:
    if asked.path != "/api/version" or asked.method not in ("GET", "HEAD"):
        return None
    return json_reply(200, {"version": world.version})


@refusal(
    "status",
    Step.ANSWER,
    "the cloud is off",
    "status",
    source=f"{ROUTES_GO}: StatusHandler",
    since="0.16.2",
    paths=("/api/status",),
)
def _status(asked: Asked, world: World) -> Reply | None:
    if asked.path != "/api/status" or asked.method != "GET" or world.cloud:
        return None
    return json_reply(200, {"cloud": {"disabled": True, "source": "env"}})


@refusal(
    "me",
    Step.MODEL,
    "there is no account, and since 0.18.0 no cloud to ask for it",
    "me",
    source=f"{ROUTES_GO}: WhoamiHandler",
    since="0.12.0",
    paths=("/api/me",),
)
def _me(asked: Asked, world: World) -> Reply | None:
    if asked.method != "POST" or asked.path != "/api/me" or world.cloud:
        return None
    return json_reply(503, {"error": "account unavailable"}) if world.since("0.18.0") else json_reply(200, None)


#: What is asked of the cloud for a program, and Ollama's words for it.
_WEB = {"/api/experimental/web_search": "web search", "/api/experimental/web_fetch": "web fetch"}


@refusal(
    "web",
    Step.MODEL,
    "the web is searched by the cloud, which is off",
    source=f"{ROUTES_GO}: WebSearchExperimentalHandler, WebFetchExperimentalHandler; ollama/ollama#14753",
    since="0.18.0",
    paths=tuple(_WEB),
)
def _web(asked: Asked, world: World) -> Reply | None:
    what = _WEB.get(asked.path)
    if what is None or asked.method != "POST" or world.cloud:
        return None
    if not asked.body.strip():
        return json_reply(400, {"error": "missing request body"})
    return json_reply(403, {"error": f"ollama cloud is disabled: {what} is unavailable"})
