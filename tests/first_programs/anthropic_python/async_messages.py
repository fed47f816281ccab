import asyncio

from anthropic import AsyncAnthropic

client = AsyncAnthropic()


async def main() -> None:
    message = await client.messages.create(
        max_tokens=1024,
        messages=[{"role": "user", "content": "Hello, how are you?"}],
        model="qwen3-coder",
    )
    print(message.content[0].text)


asyncio.run(main())
