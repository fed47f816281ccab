import json

from openai import OpenAI

client = OpenAI()

response = client.chat.completions.create(
    model="gpt-oss:20b",
    reasoning_effort="high",
    messages=[{"role": "user", "content": "How many r's are in the word strawberry?"}],
)
message = response.choices[0].message
print(json.dumps({"thinking": message.reasoning, "text": message.content}))
