"""The routes of each version of Ollama, and how gin finds one.

Source: server/routes.go, `GenerateRoutes`, of the five recorded versions; gin 1.10.0, tree.go (`getValue`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from ollama_harness.recordings.versions import order

__all__ = ["Routing", "routing"]

#: The order in which Ollama registers its first route of each method: so an Allow header lists them.
_METHODS = ("HEAD", "GET", "POST", "DELETE")


@dataclass(frozen=True, slots=True)
class _Route:
    """Methods (HEAD, GET, ...) of a path, whose last segment may be a parameter, and the versions that have it."""

    methods: str
    path: str
    since: str = ""
    before: str = ""

    def holds_in(self, version: str) -> bool:
        here = order(version)
        return (not self.since or order(self.since) <= here) and (not self.before or here < order(self.before))


_ROUTES = (
    _Route("HEAD GET", "/"),
    _Route("HEAD GET", "/api/version"),
    _Route("GET", "/api/status", since="0.16.2"),
    _Route("POST", "/api/pull"),
    _Route("POST", "/api/push"),
    _Route("HEAD GET", "/api/tags"),
    _Route("POST", "/api/show"),
    _Route("DELETE", "/api/delete"),
    _Route("POST", "/api/me", since="0.12.0"),
    _Route("POST", "/api/signout", since="0.12.1"),
    _Route("DELETE", "/api/user/keys/:encodedKey", since="0.12.0"),
    _Route("POST", "/api/create"),
    _Route("HEAD POST", "/api/blobs/:digest"),
    _Route("POST", "/api/copy"),
    _Route("POST", "/api/experimental/web_search", since="0.18.0"),
    _Route("POST", "/api/experimental/web_fetch", since="0.18.0"),
    _Route("GET", "/api/experimental/model-recommendations", since="0.24.0"),
    _Route("GET", "/api/ps"),
    _Route("POST", "/api/generate"),
    _Route("POST", "/api/chat"),
    _Route("POST", "/api/embed"),
    _Route("POST", "/api/embeddings"),
    _Route("POST", "/v1/chat/completions"),
    _Route("POST", "/v1/completions"),
    _Route("POST", "/v1/embeddings"),
    _Route("GET", "/v1/models"),
    _Route("GET", "/v1/models/:model"),
    _Route("POST", "/v1/responses", since="0.13.3"),
    _Route("POST", "/v1/images/generations", since="0.14.3", before="0.32.6"),
    _Route("POST", "/v1/images/edits", since="0.14.3", before="0.32.6"),
    _Route("POST", "/v1/audio/transcriptions", since="0.20.0"),
    _Route("POST", "/v1/messages", since="0.14.0"),
)


@dataclass(frozen=True, slots=True)
class Routing:
    """The routes of one version: those of a fixed path, and those whose path ends with a parameter, by prefix."""

    fixed: dict[str, tuple[str, ...]]
    open_ended: dict[str, tuple[str, ...]]

    def methods(self, path: str) -> tuple[str, ...]:
        """The methods that a path has, in the order in which Allow lists them."""
        if found := self.fixed.get(path):
            return found
        prefix, _, parameter = path.rpartition("/")
        return self.open_ended.get(prefix, ()) if parameter else ()

    def without_slash(self, method: str, path: str) -> str | None:
        """The path to which gin redirects one that ends with a slash too many; None if there is no such route."""
        return path[:-1] if path.endswith("/") and method in self.methods(path[:-1]) and path != "/" else None


@cache
def routing(version: str) -> Routing:
    """The routes of a version of Ollama."""
    fixed: dict[str, tuple[str, ...]] = {}
    open_ended: dict[str, tuple[str, ...]] = {}
    for route in _ROUTES:
        if route.holds_in(version):
            methods = tuple(sorted(route.methods.split(), key=_METHODS.index))
            path, colon, _ = route.path.partition("/:")
            (open_ended if colon else fixed)[path] = methods
    return Routing(fixed, open_ended)
