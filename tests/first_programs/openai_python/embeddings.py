import json

from openai import OpenAI

client = OpenAI()

embeddings = client.embeddings.create(
    model="all-minilm",
    input=["why is the sky blue?", "why is the grass green?"],
)
print(json.dumps([len(one.embedding) for one in embeddings.data]))
