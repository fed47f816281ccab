import json

from openai import OpenAI

client = OpenAI()

embeddings = client.embeddings.create(
    model="nomic-embed-text",
    input="why is the sky blue?",
    encoding_format="float",
    dimensions=64,
)
print(json.dumps([len(one.embedding) for one in embeddings.data]))
