"""Models that come from elsewhere or are made: pull, push, create, and the files that create is made of.

No registry can be reached but those that a recorded pull was answered by. Source: server/routes.go, server/create.go,
server/images.go.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ollama_harness.answers._likeness import digest_of
from ollama_harness.answers.asked import Asked
from ollama_harness.answers.go.go_strconv import quote
from ollama_harness.answers.model_name import ModelName, parse_name, stub_name
from ollama_harness.answers.reply import Reply, empty_reply, go_json, json_reply, stream_reply
from ollama_harness.answers.requests.manage_request import asked_name, read_request
from ollama_harness.answers.requests.model_use import ref_name
from ollama_harness.answers.rules._made_model import made_from, pulled_model
from ollama_harness.answers.rules.models import as_there
from ollama_harness.answers.rules.rule import ROUTES_GO, Step, refusal
from ollama_harness.answers.world import MODELS_FOLDER, Model, World

__all__ = ["brought"]


# --- pull and push ----------------------------------------------------------------------------------------------------


@refusal(
    "pull",
    Step.MODEL,
    "a model that no registry has, or whose registry cannot be reached",
    "pull-plain",
    "pull-missing-layer",
    "pull-model-unknown",
    "pull-model-spaces",
    source=f"{ROUTES_GO}: PullHandler; server/images.go: PullModel",
    paths=("/api/pull",),
)
def _pull(asked: Asked, world: World) -> Reply | None:
    if (request := read_request(asked, world, "/api/pull")) is None:
        return None
    name = ref_name(asked_name(request), world)
    if isinstance(name, str) and name.startswith("use "):
        return json_reply(400, {"error": name})
    if isinstance(name, str) or not (name := _pulled(request, world)).is_valid:
        return json_reply(400, {"error": "invalid model name"})
    if name.key in world.incomplete and request["insecure"]:
        return _progress([{"status": "pulling manifest"}, {"error": "file does not exist"}], request, world)
    if world.any_model or (name.key in world.pulled and request["insecure"]):
        return None
    return _progress([{"status": "pulling manifest"}, _unreachable(name, world, request)], request, world)


@refusal(
    "pulled",
    Step.ANSWER,
    "a model that a registry has: the layers that are not there yet, bit by bit, and the others as a whole",
    "pull-stream",
    "pull-nonstream",
    "pull-again",
    source="server/images.go: PullModel; server/download.go: downloadBlob",
    paths=("/api/pull",),
)
def _pulls(asked: Asked, world: World) -> Reply | None:
    if (request := read_request(asked, world, "/api/pull")) is None:
        return None
    name = _pulled(request, world)
    model, is_there = pulled_model(name, world), world.find(name) is not None
    config = f"sha256:{digest_of(' '.join(model.layers))}"
    records: list[dict[str, Any]] = [{"status": "pulling manifest"}]
    for at, (digest, total) in enumerate({**model.layers, config: _CONFIG_BYTES}.items()):
        record = {"status": f"pulling {digest[7:19]}", "digest": digest, "total": total}
        steps = _STEPS if at == 0 else 1
        if is_there or digest in world.layers:
            records.append({**record, "completed": total})
        elif not world.since(_QUICK_SINCE):
            records += [{**record, "completed": total * step // steps} for step in range(1, steps + 1)]
        elif at < 2:  # what is whole before the next look at it is not reported
            records += [{**record, "completed": total * step // steps} for step in range(1, steps)] or [record]
    records += [{"status": text} for text in ("verifying sha256 digest", "writing manifest", "success")]
    return _progress(records, request, world)


#: How often the weights are reported while they come, and how long the manifest's own file is.
_STEPS, _CONFIG_BYTES = 10, 277

#: Since here a download ends as soon as all of it is there. Before, each layer was reported as a whole, too.
_QUICK_SINCE = "0.30.0"


def _pulled(request: Mapping[str, Any], world: World) -> ModelName:
    name = asked_name(request)
    parsed = parse_name(stub_name(name) if world.since("0.18.0") else name)
    return as_there(parsed, world)


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
    source=f"{ROUTES_GO}: PushHandler; server/images.go: PushModel",
    paths=("/api/push",),
)
def _push(asked: Asked, world: World) -> Reply | None:
    if (request := read_request(asked, world, "/api/push")) is None:
        return None
    if not (text := asked_name(request)):
        return json_reply(400, {"error": "model is required"})
    name = as_there(parse_name(text), world)
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
    paths=("/api/create",),
)
def _create(asked: Asked, world: World) -> Reply | None:
    if (request := read_request(asked, world, "/api/create")) is None:
        return None
    name = parse_name(asked_name(request))
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
    if (base := world.there(base_name)) is None:
        records = [{"status": "pulling manifest"}, _unreachable(base_name, world, {})]
        if not world.since("0.12.0"):  # it went on after the error
            records += [{"status": "writing manifest"}, {"status": "success"}]
        return _progress(records, request, world)
    made = made_from(base, as_there(name, world).short, request)
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


# --- blobs ---------------------------------------------------------------------------------------------------------

_BLOBS = "/api/blobs/"
_DIGEST = re.compile(r"sha256[:-][0-9a-fA-F]{64}")


@refusal(
    "blob",
    Step.MODEL,
    "a file that is there, or not, or is another than its digest says",
    "blob-digest-mismatch",
    "blob-head-missing",
    source=f"{ROUTES_GO}: HeadBlobHandler, CreateBlobHandler",
    paths=(_BLOBS,),
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
    if asked.method == "HEAD" and plain in world.recorded:
        return empty_reply(200)
    if asked.method == "HEAD":
        return json_reply(404, {"error": f"blob {quote(digest)} not found"})
    got = f"sha256:{hashlib.sha256(asked.body).hexdigest()}"
    if got != digest:
        return json_reply(400, {"error": f"digest mismatch, expected {quote(digest)}, got {quote(got)}"})
    return replace(empty_reply(201), world=world.with_blob(digest))


def brought(asked: Asked, world: World) -> Model | None:
    """The model that a good answer to this request brings: one that is pulled, or made of files."""
    if (request := read_request(asked, world, "/api/pull")) is not None:
        name = _pulled(request, world)
    elif (request := read_request(asked, world, "/api/create")) is not None and request["files"]:
        name = as_there(parse_name(asked_name(request)), world)
    else:
        return None
    return pulled_model(name, world) if name.is_valid else None
