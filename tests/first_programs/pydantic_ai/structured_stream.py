import asyncio

from pydantic import BaseModel
from pydantic_ai import Agent


class UserProfile(BaseModel):
    name: str
    dob: str | None = None
    bio: str | None = None


agent = Agent("ollama:qwen3", output_type=UserProfile)


async def main():
    user_input = "My name is Ben, I was born on January 28th 1990, I like the chain the dog and the pyramid."
    async with agent.run_stream(user_input) as result:
        async for profile in result.stream_output():
            assert profile
        print((await result.get_output()).model_dump_json())


asyncio.run(main())
