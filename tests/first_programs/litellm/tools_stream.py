import json

import litellm

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
messages = [{"role": "user", "content": "What's the weather like in Boston today?"}]
chunks = list(litellm.completion(model="ollama_chat/llama3.1", messages=messages, tools=tools, stream=True))
response = litellm.stream_chunk_builder(chunks, messages=messages)
for call in response.choices[0].message.tool_calls or []:
    print(json.dumps({"name": call.function.name, "arguments": json.loads(call.function.arguments)}))
