import asyncio

import litellm


async def async_ollama():
    response = await litellm.acompletion(
        model="ollama_chat/llama2", messages=[{"content": "what's the weather", "role": "user"}], stream=True
    )
    async for chunk in response:
        print(chunk.choices[0].delta.content or "", end="")


asyncio.run(async_ollama())
