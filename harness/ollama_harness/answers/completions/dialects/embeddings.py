"""Vectors of texts, as /api/embed, /api/embeddings and /v1/embeddings write them, and read back from recorded answers.

All APIs have one vector of a text, in their own forms:

* /api/embed and /v1/embeddings send it with a length of 1, as float32; /api/embeddings sends it as the model gives it,
  as float64. Before 0.30.0 that has another length, so a recorded one tells which;
* `encoding_format` base64 since 0.12.4: the packed float32.

Without a text there are no durations, because the model is not asked.

Source: the recordings; server/routes.go (`EmbedHandler`, `EmbeddingsHandler`), openai/openai.go (`ToEmbeddingList`).
"""

from __future__ import annotations

import struct
from base64 import b64decode, b64encode
from dataclasses import dataclass
from functools import lru_cache

from ollama_harness.answers.completions.dialects.dialect import made_recording
from ollama_harness.answers.completions.wanted import Wanted
from ollama_harness.answers.go.go_float import float32_texts, float64_text, pack_float32, unpack_float32
from ollama_harness.answers.reply import go_json
from ollama_harness.files.json_text import parse_json
from ollama_harness.recordings.recording import Frame, Recording, Request

__all__ = ["EMBEDDING_ROUTES", "Embedding", "embedded", "read_embedding", "whole_embedding"]

_OPENAI = "/v1/embeddings"
EMBEDDING_ROUTES = ("/api/embed", "/api/embeddings", _OPENAI)

_BASE64_SINCE = "0.12.4"


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedding:
    """An answer: a vector for each text, as packed float32, little-endian.

    `prompt_tokens` were read. `end_s` is when the answer comes, in seconds since the request was sent.
    """

    vectors: tuple[bytes, ...] = ()
    prompt_tokens: int = 0
    total_ns: int = 0
    load_ns: int = 0
    end_s: float = 0.0


# --- reading ----------------------------------------------------------------------------------------------------------


def read_embedding(recording: Recording) -> Embedding | None:
    """The vectors that a recorded answer holds; None if it has none, as an error or an answer of another route."""
    if recording.request.path not in EMBEDDING_ROUTES or recording.response.status != 200 or not recording.frames:
        return None
    try:
        value = parse_json(recording.body)
        match recording.request.path:
            case "/api/embed":
                found = value["embeddings"]
            case "/api/embeddings":
                found = [value["embedding"]] if value["embedding"] else []
            case _:
                found = [each["embedding"] for each in value["data"]]
        usage = value.get("usage", {})
        return Embedding(
            vectors=tuple(b64decode(each) if isinstance(each, str) else pack_float32(each) for each in found),
            prompt_tokens=int(value.get("prompt_eval_count", usage.get("prompt_tokens", 0))),
            total_ns=int(value.get("total_duration", 0)),
            load_ns=int(value.get("load_duration", 0)),
            end_s=recording.frames[-1].at_s,
        )
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError, struct.error):
        return None  # a recording of the user's own may hold anything


# --- writing ----------------------------------------------------------------------------------------------------------


def embedded(embedding: Embedding, wanted: Wanted, *, request: Request, name: str) -> Recording:
    """The answer to a request for vectors as a recording called `name`."""
    frame = Frame(at_s=embedding.end_s, data=whole_embedding(embedding, wanted))
    media_type = "application/json" if wanted.path == _OPENAI else "application/json; charset=utf-8"
    return made_recording(
        (frame,),
        (("Content-Type", media_type),),
        version=wanted.version,
        end_s=embedding.end_s,
        request=request,
        name=name,
    )


def whole_embedding(embedding: Embedding, wanted: Wanted) -> bytes:
    """The body of the answer."""
    model, vectors = go_json(wanted.model).decode(), embedding.vectors
    match wanted.path:
        case "/api/embeddings":
            body = f'{{"embedding":{_float64(vectors[0]) if vectors else "[]"}}}'
        case "/v1/embeddings":
            form = _base64 if _is_base64(wanted) else _float32
            data = ",".join(
                f'{{"object":"embedding","embedding":{form(vector)},"index":{index}}}'
                for index, vector in enumerate(vectors)
            )
            tokens = embedding.prompt_tokens
            usage = f'{{"prompt_tokens":{tokens},"total_tokens":{tokens}}}'
            body = f'{{"object":"list","data":[{data}],"model":{model},"usage":{usage}}}\n'
        case _:
            metrics = {
                "total_duration": embedding.total_ns,
                "load_duration": embedding.load_ns,
                "prompt_eval_count": embedding.prompt_tokens,
            }
            said = "".join(f',"{key}":{number}' for key, number in metrics.items() if number)
            body = f'{{"model":{model},"embeddings":[{",".join(map(_float32, vectors))}]{said}}}'
    return body.encode()


def _is_base64(wanted: Wanted) -> bool:
    return str(wanted.body.get("encoding_format")).lower() == "base64" and wanted.since(_BASE64_SINCE)


@lru_cache(maxsize=512)
def _float32(vector: bytes) -> str:
    return f"[{','.join(float32_texts(vector))}]"


@lru_cache(maxsize=512)
def _float64(vector: bytes) -> str:
    return f"[{','.join(map(float64_text, unpack_float32(vector)))}]"


def _base64(vector: bytes) -> str:
    return f'"{b64encode(vector).decode()}"'
