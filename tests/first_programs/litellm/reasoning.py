import json

from litellm import completion

response = completion(
    model="ollama_chat/deepseek-r1",
    messages=[{"role": "user", "content": "What is the capital of France?"}],
    reasoning_effort="low",
)
message = response.choices[0].message
print(json.dumps({"thinking": message.reasoning_content, "text": message.content}))
