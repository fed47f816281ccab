import os

from litellm import completion

response = completion(
    model="ollama/llama2",
    messages=[{"content": "respond in 20 words. who are you?", "role": "user"}],
    api_base=os.environ["OLLAMA_HOST"],
    stream=True,
)
for chunk in response:
    print(chunk["choices"][0]["delta"].content or "", end="")
