import os

from llama_index.core.llms import ChatMessage
from llama_index.llms.ollama import Ollama

llm = Ollama(model="llama3.1:latest", base_url=os.environ["OLLAMA_HOST"], request_timeout=120.0)
messages = [
    ChatMessage(role="system", content="You are a pirate with a colorful personality."),
    ChatMessage(role="user", content="What is your name?"),
]
for r in llm.stream_chat(messages):
    print(r.delta, end="")
