import asyncio

from pydantic_ai import Agent

agent = Agent("ollama:qwen3")


async def main():
    async with agent.run_stream('Where does "hello world" come from?') as result:
        async for text in result.stream_text(delta=True):
            print(text, end="")


asyncio.run(main())
