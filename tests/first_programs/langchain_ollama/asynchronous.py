import asyncio

from langchain_ollama import ChatOllama

model = ChatOllama(model="llama3.1")


async def main():
    print((await model.ainvoke("Hello how are you!")).content)
    async for chunk in model.astream("Say hello world!"):
        print(chunk.content, end="")
    for message in await model.abatch([("human", "Say hello world!"), ("human", "Say goodbye world!")]):
        print(message.content)


asyncio.run(main())
