import asyncio
import os

from llama_index.core.agent.workflow import FunctionAgent
from llama_index.llms.ollama import Ollama


def multiply(a: float, b: float) -> float:
    """Useful for multiplying two numbers."""
    return a * b


agent = FunctionAgent(
    tools=[multiply],
    llm=Ollama(model="llama3.1", base_url=os.environ["OLLAMA_HOST"], request_timeout=360.0),
    system_prompt="You are a helpful assistant that can multiply two numbers.",
)


async def main():
    print(await agent.run("What is 1234 * 4567?"))


asyncio.run(main())
