import json

from langchain_ollama import ChatOllama
from pydantic import BaseModel, Field


class Multiply(BaseModel):
    """Multiply two integers."""

    a: int = Field(..., description="First integer")
    b: int = Field(..., description="Second integer")


chat = ChatOllama(model="llama3.1").bind_tools([Multiply])
full = None
for chunk in chat.stream("What is 45*67"):
    full = chunk if full is None else full + chunk
for call in full.tool_calls:
    print(json.dumps({"name": call["name"], "arguments": call["args"]}))
