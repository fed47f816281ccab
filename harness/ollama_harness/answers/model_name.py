"""Names of models as Ollama reads them: `[host/][namespace/]model[:tag]`, what is missing filled in.

A name is cut from its end, and a part that a separator promises and that is not there is `!MISSING!`, which is not
valid. Source: types/model/name.go (`ParseName`, `IsValid`, `DisplayShortest`), internal/modelref (`ParseRef`, since
0.18.0).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property, lru_cache

__all__ = ["ConflictingSourceError", "ModelName", "ModelRef", "ModelSource", "parse_name", "parse_ref", "stub_name"]

_HOST, _NAMESPACE, _TAG = "registry.ollama.ai", "library", "latest"
_MISSING = "!MISSING!"

#: What each part may be, with its greatest length: a host may hold `:`, a namespace no `.`.
_VALID_HOST = re.compile(r"\w[\w.:-]{0,349}", re.ASCII)
_VALID_NAMESPACE = re.compile(r"\w[\w-]{0,79}", re.ASCII)
_VALID_PART = re.compile(r"\w[\w.-]{0,79}", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class ModelName:
    """A name in its four parts. Ollama compares names without case: `key`."""

    host: str = _HOST
    namespace: str = _NAMESPACE
    model: str
    tag: str = _TAG

    @cached_property
    def is_valid(self) -> bool:
        """Whether each part has letters and a length that Ollama takes."""
        return (
            _VALID_HOST.fullmatch(self.host) is not None
            and _VALID_NAMESPACE.fullmatch(self.namespace) is not None
            and _VALID_PART.fullmatch(self.model) is not None
            and _VALID_PART.fullmatch(self.tag) is not None
        )

    @property
    def full(self) -> str:
        """All four parts, as Ollama's `String` writes them."""
        return f"{self.host}/{self.namespace}/{self.model}:{self.tag}"

    @property
    def short(self) -> str:
        """The name as Ollama lists it: without the default host and namespace, always with its tag."""
        if self.host.lower() != _HOST:
            return self.full
        if self.namespace.lower() != _NAMESPACE:
            return f"{self.namespace}/{self.model}:{self.tag}"
        return f"{self.model}:{self.tag}"

    @property
    def path(self) -> str:
        """The file of its manifest, below the folder `manifests`."""
        return f"{self.host}/{self.namespace}/{self.model}/{self.tag}"

    @cached_property
    def key(self) -> str:
        """What is the same for two names that Ollama takes for one."""
        return self.full.lower()


@lru_cache(maxsize=256)
def parse_name(text: str) -> ModelName:
    """Any text as a name, its missing parts filled in; it need not be valid."""
    tag = ""
    if text.rfind(":") > text.rfind("/"):
        text, tag = _cut(text, ":")
    tag = tag or _TAG
    if "/" not in text:
        return ModelName(model=text, tag=tag)
    text, model = _cut(text, "/")
    if "/" not in text:
        return ModelName(namespace=text or _NAMESPACE, model=model, tag=tag)
    text, namespace = _cut(text, "/")
    _, scheme, host = text.partition("://")
    return ModelName(host=(host if scheme else text) or _HOST, namespace=namespace, model=model, tag=tag)


def _cut(text: str, separator: str) -> tuple[str, str]:
    before, _, after = text.rpartition(separator)
    return before or _MISSING, after or _MISSING


class ModelSource(StrEnum):
    """Where a name itself says that its model is."""

    UNSPECIFIED = ""
    LOCAL = "local"
    CLOUD = "cloud"


class ConflictingSourceError(ValueError):
    """A name says both `:local` and `:cloud`, or one of them twice. Its text is Ollama's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRef:
    """A name without what says where the model is: `:cloud`, `-cloud` at the end of a tag, `:local`."""

    base: str
    source: ModelSource

    @property
    def name(self) -> ModelName:
        return parse_name(self.base)

    @property
    def stub(self) -> str:
        """The name that a model of the cloud is pulled by: with `-cloud` behind its tag, or `:cloud` for its tag."""
        if self.source is not ModelSource.CLOUD:
            return self.base
        return self.base + ("-cloud" if self.base.rfind(":") > self.base.rfind("/") else ":cloud")


@lru_cache(maxsize=256)
def parse_ref(text: str) -> ModelRef | None:
    """A name, white space around it taken off, and where its model is. None for an empty one: "model is required".

    Raises:
        ConflictingSourceError: it says twice where the model is.
    """
    text = text.strip(_GO_SPACE)
    if not text:
        return None
    base, source = _source(text)
    if source is not ModelSource.UNSPECIFIED and _source(base)[1] is not ModelSource.UNSPECIFIED:
        raise ConflictingSourceError(text)
    return ModelRef(base=base, source=source)


def stub_name(text: str) -> str:
    """The name that is pulled for this one: "" if it has none, or says twice where its model is."""
    try:
        ref = parse_ref(text)
    except ConflictingSourceError:
        return ""
    return "" if ref is None else ref.stub


def _source(text: str) -> tuple[str, ModelSource]:
    before, colon, suffix = text.rpartition(":")
    suffix = suffix.strip(_GO_SPACE)
    match suffix.lower():
        case _ if not colon:
            return text, ModelSource.UNSPECIFIED
        case "cloud":
            return before, ModelSource.CLOUD
        case "local":
            return before, ModelSource.LOCAL
        case end if end.endswith("-cloud") and "/" not in end:
            return f"{before}:{suffix[: -len('-cloud')]}", ModelSource.CLOUD
    return text, ModelSource.UNSPECIFIED


#: What Go's strings.TrimSpace takes off. Python's strip would also take U+001C to U+001F.
_GO_SPACE = "\t\n\v\f\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"
