import json
import os

from llama_index.core.tools import FunctionTool
from llama_index.llms.ollama import Ollama


def generate_song(name: str, artist: str) -> str:
    """Generates a song with provided name and artist."""
    return f"{name} by {artist}"


llm = Ollama(model="llama3.1:latest", base_url=os.environ["OLLAMA_HOST"], request_timeout=120.0)
response = llm.chat_with_tools([FunctionTool.from_defaults(fn=generate_song)], user_msg="Pick a random song for me")
for call in llm.get_tool_calls_from_response(response):
    print(json.dumps({"name": call.tool_name, "arguments": call.tool_kwargs}))
