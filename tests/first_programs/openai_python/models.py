import json

from openai import OpenAI

client = OpenAI()

assert client.models.retrieve("llama3.2").id == "llama3.2"
print(json.dumps([model.id for model in client.models.list()]))
