import json

from openai import OpenAI

client = OpenAI()

tools = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Get current temperature for a given location.",
            "parameters": {
                "type": "object",
                "properties": {"location": {"type": "string", "description": "City and country e.g. Bogotá, Colombia"}},
                "required": ["location"],
                "additionalProperties": False,
            },
            "strict": True,
        },
    }
]

completion = client.chat.completions.create(
    model="llama3.1",
    messages=[{"role": "user", "content": "What is the weather like in Paris today?"}],
    tools=tools,
)
assert completion.choices[0].finish_reason == "tool_calls"
for call in completion.choices[0].message.tool_calls:
    assert call.id and call.type == "function"
    print(json.dumps({"name": call.function.name, "arguments": json.loads(call.function.arguments)}))
