import os

from llama_index.core.bridge.pydantic import BaseModel
from llama_index.core.llms import ChatMessage
from llama_index.llms.ollama import Ollama


class Song(BaseModel):
    """A song with name and artist."""

    name: str
    artist: str


llm = Ollama(model="llama3.1:latest", base_url=os.environ["OLLAMA_HOST"], request_timeout=120.0)
sllm = llm.as_structured_llm(Song)
*_, last = sllm.stream_chat([ChatMessage(role="user", content="Name a random song!")])
print(Song.model_validate(last.raw.model_dump()).model_dump_json())
