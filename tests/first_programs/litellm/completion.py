import os

from litellm import completion

response = completion(
    model="ollama/llama2",
    messages=[{"content": "respond in 20 words. who are you?", "role": "user"}],
    api_base=os.environ["OLLAMA_HOST"],
)
assert response.choices[0].finish_reason == "stop"
print(response.choices[0].message.content)
