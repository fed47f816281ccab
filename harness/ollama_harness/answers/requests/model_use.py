"""Whether the model that a request names is there, and able to do what is asked: a status and Ollama's words if not.

The endpoints differ in their words, and OpenAI's and Anthropic's wrap those of chat, generate and embed in shapes of
their own. Source: server/routes.go (`ChatHandler`, `GenerateHandler`, `EmbedHandler`, `EmbeddingsHandler`,
`GetModelInfo`, `handleScheduleError`), server/model_resolver.go (since 0.18.0).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ollama_harness.answers.go.go_strconv import quote
from ollama_harness.answers.model_name import ConflictingSourceError, ModelName, ModelSource, parse_name, parse_ref
from ollama_harness.answers.world import Model, World

__all__ = [
    "REFS_SINCE",
    "ModelFailure",
    "Use",
    "find_model",
    "missing_model",
    "model_there",
    "ref_name",
    "unable_model",
]

#: Names say where their model is (`:cloud`), and what is no name is refused as such.
REFS_SINCE = "0.18.0"


class Use(StrEnum):
    """What a model is wanted for; the value is Ollama's word for it, where it has one."""

    CHAT = "chat"
    GENERATE = "generate"
    EMBED = "embed"  # /api/embed
    EMBEDDINGS = "embeddings"  # /api/embeddings
    SHOW = "show"


@dataclass(frozen=True, slots=True)
class ModelFailure:
    """An error: its status, and the text that stands at `error`."""

    status: int
    message: str


def find_model(name: str, world: World) -> Model | None:
    """The model that a request's `model` means."""
    parsed = ref_name(name, world)
    return None if isinstance(parsed, str) else world.find(parsed)


def model_there(name: str, world: World) -> Model | None:
    """The model that a name means, also one that is there because every name has one."""
    parsed = ref_name(name, world)
    return None if isinstance(parsed, str) else world.there(parsed)


def missing_model(use: Use, name: str, world: World) -> ModelFailure | None:
    """What is wrong with a request's `model`: missing, no name, of the cloud, or not there. None if it is there."""
    if world.since(REFS_SINCE):
        try:
            ref = parse_ref(name)
        except ConflictingSourceError as error:
            return ModelFailure(400, _conflicting(error))
        if ref is None:
            return _required(use, name)
        if not ref.name.is_valid:
            return ModelFailure(400, "invalid model name")
        if ref.source is ModelSource.CLOUD and not world.cloud:
            what = "remote model details are" if use is Use.SHOW else "remote model is"
            return ModelFailure(403, f"ollama cloud is disabled: {what} unavailable")
        parsed = ref.name
    else:
        parsed = parse_name(name)
        if not parsed.is_valid:
            return _invalid(use, name)
    if world.has_any(parsed) or _exact(use, parsed, world) is not None:
        return None
    return _not_found(use, name, parsed, world)


def unable_model(
    use: Use,
    name: str,
    world: World,
    *,
    tools: bool = False,
    insert: bool = False,
    thinking: bool = False,
    embeds: bool = False,
) -> ModelFailure | None:
    """What a model that is there cannot do of what is asked; `embeds` says that there is a text to embed."""
    if (model := find_model(name, world)) is None:
        return None
    able = model.capabilities
    if use in (Use.EMBED, Use.EMBEDDINGS):
        if not embeds or "embedding" in able or not world.since("0.30.0"):
            return None
        text = "This server does not support embeddings. Start it with `--embeddings`"
        return ModelFailure(501 if use is Use.EMBED else 500, text)
    thinks = thinking and world.since("0.9.0") and "thinking" not in able
    if thinks and world.since("0.12.5"):
        return ModelFailure(400, f"{quote(name)} does not support thinking")
    if "completion" not in able:
        return ModelFailure(400, f"{quote(name)} does not support {use}")
    lacks = [
        word
        for word, wanted in (("tools", tools), ("insert", insert), ("thinking", thinks))
        if wanted and word not in able
    ]
    if not lacks:
        return None
    what = "\n".join(lacks)
    return ModelFailure(400, f"{parse_name(model.name).full} does not support {what}")


def ref_name(name: str, world: World) -> ModelName | str:
    """The name that a text means, valid or not; or why it means none, in Ollama's words."""
    if not world.since(REFS_SINCE):
        return parse_name(name)
    try:
        ref = parse_ref(name)
    except ConflictingSourceError as error:
        return _conflicting(error)
    return "model is required" if ref is None else ref.name


def _conflicting(error: ConflictingSourceError) -> str:
    return f"use either :local or :cloud, not both: {quote(str(error))}"


def _exact(use: Use, parsed: ModelName, world: World) -> Model | None:
    """The model of a name. /api/embeddings alone does not look for one that is spelled with other cases."""
    model = world.find(parsed)
    if model is not None and use is Use.EMBEDDINGS and parse_name(model.name).full != parsed.full:
        return None
    return model


def _required(use: Use, name: str) -> ModelFailure:
    """The name is empty or blank, since 0.18.0."""
    if use in (Use.GENERATE, Use.EMBED):
        return ModelFailure(404, f"model '{name}' not found")
    return ModelFailure(400, "model is required")


def _invalid(use: Use, name: str) -> ModelFailure:
    """The name is none, before 0.18.0."""
    match use:
        case Use.GENERATE:
            return ModelFailure(404, f"model '{name}' not found")
        case Use.EMBED:
            return ModelFailure(404, f"model {quote(name)} not found, try pulling it first")
        case Use.SHOW:
            return ModelFailure(500, "invalid model path") if name else ModelFailure(400, "model is required")
        case Use.CHAT | Use.EMBEDDINGS:
            return ModelFailure(400, "model is required")


def _not_found(use: Use, name: str, parsed: ModelName, world: World) -> ModelFailure:
    if use in (Use.EMBED, Use.EMBEDDINGS) or (use is Use.CHAT and not world.since("0.12.0")):
        return ModelFailure(404, f"model {quote(name)} not found, try pulling it first")
    if use is Use.SHOW and world.since("0.30.0"):
        name = parsed.short
    return ModelFailure(404, f"model '{name}' not found")
