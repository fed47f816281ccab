import os

from ollama import Client

client = Client(host=os.environ["OLLAMA_HOST"], headers={"x-some-header": "some-value"})
response = client.chat(
    model="gemma3",
    messages=[
        {
            "role": "user",
            "content": "Why is the sky blue?",
        },
    ],
)
print(response.message.content)
