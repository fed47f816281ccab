import asyncio
import os

from llama_index.core.llms import ChatMessage
from llama_index.llms.ollama import Ollama

llm = Ollama(model="llama3.1:latest", base_url=os.environ["OLLAMA_HOST"], request_timeout=120.0)


async def main():
    print((await llm.achat([ChatMessage(role="user", content="What is your name?")])).message.content)
    async for r in await llm.astream_chat([ChatMessage(role="user", content="What is your name?")]):
        print(r.delta, end="")


asyncio.run(main())
