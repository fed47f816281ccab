import asyncio
import json

from langchain_ollama import OllamaEmbeddings

embed = OllamaEmbeddings(model="nomic-embed-text")


async def main():
    vectors = await embed.aembed_documents(["Document 1...", "Document 2..."])
    print(json.dumps([len(vector) for vector in (*vectors, await embed.aembed_query("The meaning of life is 42"))]))


asyncio.run(main())
