import json

from litellm import completion

tools = [
    {
        "type": "function",
        "function": {
            "name": "get_current_weather",
            "description": "Get the current weather in a given location",
            "parameters": {
                "type": "object",
                "properties": {
                    "location": {"type": "string", "description": "The city and state, e.g. San Francisco, CA"},
                    "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
                },
                "required": ["location"],
            },
        },
    }
]
response = completion(
    model="ollama_chat/llama3.1",
    messages=[{"role": "user", "content": "What's the weather like in Boston today?"}],
    tools=tools,
    stream=True,
)
for chunk in response:
    for call in chunk.choices[0].delta.tool_calls or []:
        print(json.dumps({"name": call.function.name, "arguments": json.loads(call.function.arguments)}))
