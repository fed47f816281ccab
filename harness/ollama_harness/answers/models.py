"""Names of models, whether they are there, and what they are able to do; and the endpoints that manage them.

Source: server/routes.go, server/create.go, server/images.go, types/model/name.go.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ollama_harness.answers.asked import Asked
from ollama_harness.answers.go_json import (
    ANY,
    BOOL,
    STRING,
    GoError,
    GoSlice,
    Map,
    Pointer,
    Struct,
    decode,
    fields,
)
from ollama_harness.answers.made_model import made_from
from ollama_harness.answers.model_name import ModelName, parse_name, stub_name
from ollama_harness.answers.model_use import (
    ModelFailure,
    Use,
    find_model,
    go_quote,
    missing_model,
    ref_name,
)
from ollama_harness.answers.reply import Reply, empty_reply, go_json, json_reply, stream_reply
from ollama_harness.answers.rule import Step, refusal
from ollama_harness.answers.world import MODELS_FOLDER, Model, World

__all__ = ["after"]

_ROUTES = "server/routes.go"

_SHOW = Struct(
    name="api.ShowRequest",
    fields=fields(model=STRING, system=STRING, template=STRING, verbose=BOOL, options=Map(of=ANY), name=STRING),
)
_PULL, _PUSH = (
    Struct(
        name=f"api.{name}Request",
        fields=fields(
            model=STRING, insecure=BOOL, username=STRING, password=STRING, stream=Pointer(to=BOOL), name=STRING
        ),
    )
    for name in ("Pull", "Push")
)
_CREATE = Struct(
    name="api.CreateRequest",
    fields=fields(
        model=STRING,
        stream=Pointer(to=BOOL),
        quantize=STRING,
        **{"from": STRING},
        files=Map(of=STRING),
        adapters=Map(of=STRING),
        template=STRING,
        license=ANY,
        system=STRING,
        parameters=Map(of=ANY),
        messages=GoSlice(of=ANY, name="[]api.Message"),
        name=STRING,
        quantization=STRING,
    ),
)
_COPY = Struct(name="api.CopyRequest", fields=fields(source=STRING, destination=STRING))
_DELETE = Struct(name="api.DeleteRequest", fields=fields(model=STRING, name=STRING))

_TYPES = {
    ("POST", "/api/show"): _SHOW,
    ("POST", "/api/pull"): _PULL,
    ("POST", "/api/push"): _PUSH,
    ("POST", "/api/create"): _CREATE,
    ("POST", "/api/copy"): _COPY,
    ("DELETE", "/api/delete"): _DELETE,
}


def _read(asked: Asked, world: World, path: str) -> dict[str, Any] | None:
    """The request to this path as its handler has it; None for another request, or a body that is refused."""
    type_ = _TYPES.get((asked.method, path))
    if type_ is None or asked.path != path:
        return None
    value = decode(asked.body, type_, world.version)
    return None if isinstance(value, GoError) else value


def _named(request: Mapping[str, Any]) -> str:
    """`model`, or `name` where it is empty."""
    return str(request["model"] or request["name"])


@refusal(
    "manage-body",
    Step.REQUEST,
    "the body is missing, no JSON, or of another type",
    "show-json-empty",
    "create-json-text",
    "delete-json-bad-escape",
    source=f"{_ROUTES}: c.ShouldBindJSON",
)
def _body(asked: Asked, world: World) -> Reply | None:
    type_ = _TYPES.get((asked.method, asked.path))
    if type_ is None:
        return None
    value = decode(asked.body, type_, world.version)
    if not isinstance(value, GoError):
        return None
    return json_reply(400, {"error": "missing request body" if value.text == "EOF" else value.text})


def _refused(failure: ModelFailure | None) -> Reply | None:
    return None if failure is None else json_reply(failure.status, {"error": failure.message})


# --- show, tags, ps, /v1/models ---------------------------------------------------------------------------------------


@refusal(
    "show-missing",
    Step.MODEL,
    "the model to show is not there, or its name is none",
    "show-missing",
    "show-model-blank",
    "show-model-slash",
    source=f"{_ROUTES}: ShowHandler, GetModelInfo",
)
def _show_missing(asked: Asked, world: World) -> Reply | None:
    if (request := _read(asked, world, "/api/show")) is None:
        return None
    return _refused(missing_model(Use.SHOW, _named(request), world))


@refusal(
    "show",
    Step.ANSWER,
    "what there is to say of a model",
    "show-model-registry",
    "show-json-two",
    source=f"{_ROUTES}: ShowHandler",
)
def _show(asked: Asked, world: World) -> Reply | None:
    if (request := _read(asked, world, "/api/show")) is None:
        return None
    if (model := find_model(_named(request), world)) is None or not model.show:
        return None
    return json_reply(200, model.show)


@refusal("tags", Step.ANSWER, "the models that are there, the last changed first", source=f"{_ROUTES}: ListHandler")
def _tags(asked: Asked, world: World) -> Reply | None:
    if asked.path != "/api/tags" or asked.method not in ("GET", "HEAD") or not world.changed:
        return None
    return json_reply(200, {"models": [_listed(model) for model in world.listed]})


def _listed(model: Model) -> dict[str, Any]:
    return {"name": model.name, "model": model.name, **model.entry}


@refusal(
    "v1-models",
    Step.ANSWER,
    "the models that are there, in OpenAI's shape",
    source="openai/openai.go: ToListCompletion",
)
def _v1_models(asked: Asked, world: World) -> Reply | None:
    if asked.method != "GET" or asked.path != "/v1/models" or not world.changed:
        return None
    data = [_v1_listed(model.name, model) for model in world.listed] or None
    return json_reply(200, {"object": "list", "data": data}, content_type="application/json", end=b"\n")


@refusal(
    "v1-model",
    Step.MODEL,
    "one model, in OpenAI's shape",
    "path-v1-models-smollm2-135m-3285-get",
    source="openai/openai.go: ToModel; middleware/openai.go: RetrieveMiddleware",
)
def _v1_model(asked: Asked, world: World) -> Reply | None:
    prefix = "/v1/models/"
    if asked.method != "GET" or not asked.path.startswith(prefix) or "/" in asked.path[len(prefix) :]:
        return None
    name = asked.path[len(prefix) :]
    if (failure := missing_model(Use.SHOW, name, world)) is not None:
        error = {"message": failure.message, "type": _v1_type(failure, world), "param": None, "code": None}
        return json_reply(failure.status, {"error": error}, content_type="application/json", end=b"\n")
    if (model := find_model(name, world)) is None:
        return None
    return json_reply(200, _v1_listed(name, model), content_type="application/json", end=b"\n")


def _v1_type(failure: ModelFailure, world: World) -> str:
    if not world.since("0.13.0"):
        return "api_error"
    return {400: "invalid_request_error", 404: "not_found_error"}.get(failure.status, "api_error")


def _v1_listed(name: str, model: Model) -> dict[str, Any]:
    owner = parse_name(model.name).namespace
    return {"id": name, "object": "model", "created": model.modified_s, "owned_by": owner}


# --- copy and delete --------------------------------------------------------------------------------------------------


@refusal(
    "copy",
    Step.MODEL,
    "a model copied, or why it cannot be",
    "copy-missing",
    "copy-model-registry",
    "copy-model-spaces",
    source=f"{_ROUTES}: CopyHandler",
)
def _copy(asked: Asked, world: World) -> Reply | None:
    if (request := _read(asked, world, "/api/copy")) is None:
        return None
    source, target = parse_name(request["source"]), parse_name(request["destination"])
    for word, name in (("source", source), ("destination", target)):
        if not name.is_valid:
            return json_reply(400, {"error": f"{word} {go_quote(request[word])} is invalid"})
    if (model := world.find(source)) is None:
        return json_reply(404, {"error": f"model {go_quote(request['source'])} not found"})
    return replace(empty_reply(200), world=world.with_model(model.called(target.short)))


@refusal(
    "delete",
    Step.MODEL,
    "a model deleted, or why it cannot be",
    "delete-missing",
    "delete-model-blank",
    "delete-model-spaces",
    source=f"{_ROUTES}: DeleteHandler",
)
def _delete(asked: Asked, world: World) -> Reply | None:
    if (request := _read(asked, world, "/api/delete")) is None:
        return None
    name = _named(request)
    parsed = ref_name(name, world)
    if isinstance(parsed, str):
        return json_reply(400, {"error": parsed})
    if not parsed.is_valid:
        return json_reply(400, {"error": f"name {go_quote(name)} is invalid"})
    if (model := world.find(parsed)) is None:
        return json_reply(404, {"error": f"model '{name}' not found"})
    return replace(empty_reply(200), world=world.without(model))


# --- pull and push ----------------------------------------------------------------------------------------------------


@refusal(
    "pull",
    Step.MODEL,
    "a model that no registry has, or whose registry cannot be reached",
    "pull-plain",
    "pull-model-unknown",
    "pull-model-spaces",
    source=f"{_ROUTES}: PullHandler; server/images.go: PullModel",
)
def _pull(asked: Asked, world: World) -> Reply | None:
    if (request := _read(asked, world, "/api/pull")) is None:
        return None
    name = ref_name(_named(request), world)
    if isinstance(name, str) and name.startswith("use "):
        return json_reply(400, {"error": name})
    if isinstance(name, str) or not (name := _pulled(request, world)).is_valid:
        return json_reply(400, {"error": "invalid model name"})
    if world.any_model or (name.key in world.pulled and request["insecure"]):
        return None  # the recording of a pull
    return _progress([{"status": "pulling manifest"}, _unreachable(name, world, request)], request, world)


def _pulled(request: Mapping[str, Any], world: World) -> ModelName:
    name = _named(request)
    parsed = parse_name(stub_name(name) if world.since("0.18.0") else name)
    return _as_there(parsed, world)


def _as_there(name: ModelName, world: World) -> ModelName:
    """A name with each part spelled as a model that is there has it: Ollama's `getExistingName`."""
    there = [parse_name(model.name) for model in world.models.values()]
    parts = {}
    for part in ("host", "namespace", "model", "tag"):
        text = getattr(name, part)
        parts[part] = next((getattr(one, part) for one in there if getattr(one, part).lower() == text.lower()), text)
    return ModelName(**parts)


def _unreachable(name: ModelName, world: World, request: Mapping[str, Any]) -> dict[str, Any]:
    """The error of asking a registry for a manifest, as `pull` and `create` report it."""
    if name.host in world.registries and request.get("insecure"):
        return {"error": "pull model manifest: file does not exist"}
    url = f"{_url(name, request)}/manifests/{name.tag}"
    return {"error": f'pull model manifest: Get "{url}": {_dialled(name.host, world)}'}


def _url(name: ModelName, request: Mapping[str, Any]) -> str:
    scheme = "http" if request.get("insecure") else "https"
    return f"{scheme}://{name.host}/v2/{name.namespace}/{name.model}"


def _dialled(host: str, world: World) -> str:
    """What Go's net says of a registry that is not there: nothing answers at an address, no name is known."""
    if host in world.registries:  # it was recorded, and speaks HTTP only
        return "tls: first record does not look like a TLS handshake"
    bare, _, port = host.partition(":")
    if bare == "localhost" or re.fullmatch(r"\d+(\.\d+){3}", bare):
        address = "127.0.0.1" if bare == "localhost" else bare
        return f"dial tcp {address}:{port or 443}: connect: connection refused"
    return f"dial tcp: lookup {bare} on {_RESOLVER}: no such host"


#: The resolver of the machine that the recorded requests were made on.
_RESOLVER = "10.255.255.53:53"


@refusal(
    "push",
    Step.MODEL,
    "a model that is not there, or whose registry cannot be reached",
    "push-missing",
    "push-model-absent",
    "push-model-blank",
    source=f"{_ROUTES}: PushHandler; server/images.go: PushModel",
)
def _push(asked: Asked, world: World) -> Reply | None:
    if (request := _read(asked, world, "/api/push")) is None:
        return None
    if not (text := _named(request)):
        return json_reply(400, {"error": "model is required"})
    name = _as_there(parse_name(text), world)
    records: list[dict[str, Any]] = [{"status": "retrieving manifest"}]
    if (model := world.find(name)) is not None:
        url = f"{_url(name, request)}/blobs/{model.weights}"
        records.append({"error": f'Head "{url}": {_dialled(name.host, world)}'})
        return _progress(records, request, world)
    records.append({"status": "couldn't retrieve manifest"})
    if name.is_valid:
        text = f"open {MODELS_FOLDER}/manifests/{name.path}: no such file or directory"
    else:
        text = f"unqualified name: {name.full}" if world.since("0.18.0") else "file does not exist"
    return _progress([*records, {"error": text}], request, world)


def _progress(records: list[dict[str, Any]], request: Mapping[str, Any], world: World) -> Reply:
    """Progress as pull, push and create report it: a stream, or the last record alone.

    Before 0.12.6 an error is a line even where nothing was sent before it.
    """
    errors = [record for record in records if "error" in record]
    status = int(errors[0].get("status", 500)) if errors else 200
    if request["stream"] is False:
        value = {"error": errors[0]["error"]} if errors else records[-1]
        return json_reply(status, value, content_type="application/json")
    if not world.since("0.12.6"):
        return stream_reply(records)
    if errors and records[0] is errors[0]:
        body = go_json({"error": errors[0]["error"]})
        return Reply(status=status, body=body, headers=(("Content-Type", "application/json"),), chunked=True)
    return stream_reply({"error": record["error"]} if "error" in record else record for record in records)


# --- create -----------------------------------------------------------------------------------------------------------


@refusal(
    "create",
    Step.MODEL,
    "a model made of another, or why it cannot be",
    "create-nothing",
    "create-from-missing",
    "create-model-dots",
    "create-json-two",
    source="server/create.go: CreateHandler, parseFromModel, createModel",
)
def _create(asked: Asked, world: World) -> Reply | None:
    if (request := _read(asked, world, "/api/create")) is None:
        return None
    name = parse_name(_named(request))
    if not name.is_valid:
        return json_reply(400, {"error": "invalid model name"})
    if not request["from"]:
        if request["files"]:
            return _create_from_files(request, world)
        text = "neither 'from' or 'files' was specified"
        return _progress([{"error": text, "status": 400}], request, world)
    base_name = parse_name(request["from"])
    if not base_name.is_valid:
        return _progress([{"error": "invalid model name", "status": 400}], request, world)
    if (base := world.find(base_name)) is None:
        records = [{"status": "pulling manifest"}, _unreachable(base_name, world, {})]
        if not world.since("0.12.0"):  # it went on after the error
            records += [{"status": "writing manifest"}, {"status": "success"}]
        return _progress(records, request, world)
    made = made_from(base, _as_there(name, world).short, request)
    kept = [layer for layer in base.layers if layer in made.layers]
    new = [layer for layer in made.layers if layer not in base.layers]
    records = [{"status": f"using existing layer {layer}"} for layer in kept]
    records += [
        {"status": f"{'using existing' if layer in world.layers else 'creating new'} layer {layer}"} for layer in new
    ]
    records += [{"status": "writing manifest"}, {"status": "success"}]
    return replace(_progress(records, request, world), world=world.with_model(made))


def _create_from_files(request: Mapping[str, Any], world: World) -> Reply | None:
    """Files are known by their digests; one that was not uploaded is missed."""
    for digest in request["files"].values():
        if not _DIGEST.fullmatch(digest):
            return _progress([{"error": "invalid digest format"}], request, world)
        if digest not in world.blobs | world.recorded:
            path = f"{MODELS_FOLDER}/blobs/{digest.replace(':', '-')}"
            return _progress([{"error": f"open {path}: no such file or directory"}], request, world)
    return None


# --- blobs and the account --------------------------------------------------------------------------------------------

_BLOBS = "/api/blobs/"
_DIGEST = re.compile(r"sha256[:-][0-9a-fA-F]{64}")


@refusal(
    "blob",
    Step.MODEL,
    "a file that is there, or not, or is another than its digest says",
    "blob-digest-mismatch",
    "blob-head-missing",
    source=f"{_ROUTES}: HeadBlobHandler, CreateBlobHandler",
)
def _blob(asked: Asked, world: World) -> Reply | None:
    digest = asked.path.removeprefix(_BLOBS)
    if asked.method not in ("HEAD", "POST") or digest == asked.path or "/" in digest or not digest:
        return None
    if not _DIGEST.fullmatch(digest):
        return json_reply(400, {"error": "invalid digest format"})
    plain = digest.replace("-", ":", 1)
    if plain in world.blobs or plain in world.layers:
        return empty_reply(200)
    if asked.method == "HEAD":
        return None if plain in world.recorded else json_reply(404, {"error": f"blob {go_quote(digest)} not found"})
    got = f"sha256:{hashlib.sha256(asked.body).hexdigest()}"
    if got != digest:
        return json_reply(400, {"error": f"digest mismatch, expected {go_quote(digest)}, got {go_quote(got)}"})
    return replace(empty_reply(201), world=world.with_blob(digest))


@refusal("me", Step.MODEL, "no cloud to ask for the account", source=f"{_ROUTES}: WhoamiHandler", since="0.12.0")
def _me(asked: Asked, world: World) -> Reply | None:
    if asked.method != "POST" or asked.path != "/api/me" or world.cloud:
        return None
    return json_reply(503, {"error": "account unavailable"})


def after(asked: Asked, world: World) -> World:
    """The world after a recording answered this request with success: a model that was pulled is there."""
    if (request := _read(asked, world, "/api/pull")) is None:
        return world
    name = _pulled(request, world)
    if not name.is_valid or world.find(name) is not None:
        return world
    return world.with_model(world.model(name.full))
