import asyncio
import json

import instructor
from openai import AsyncOpenAI
from pydantic import BaseModel


class User(BaseModel):
    name: str
    age: int


client = instructor.from_openai(AsyncOpenAI(), mode=instructor.Mode.TOOLS)


async def main():
    users = client.chat.completions.create_iterable(
        model="qwen2.5",
        response_model=User,
        messages=[{"role": "user", "content": "Extract: Jason is 25 years old, and Sarah is 30."}],
    )
    print(json.dumps([user.model_dump() async for user in users]))


asyncio.run(main())
