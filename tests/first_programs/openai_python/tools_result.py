import json

from openai import OpenAI

client = OpenAI()


def get_weather(latitude, longitude):
    return {"temperature": 14, "latitude": latitude, "longitude": longitude}


tools = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Get current temperature for provided coordinates in celsius.",
            "parameters": {
                "type": "object",
                "properties": {"latitude": {"type": "number"}, "longitude": {"type": "number"}},
                "required": ["latitude", "longitude"],
                "additionalProperties": False,
            },
            "strict": True,
        },
    }
]
messages = [{"role": "user", "content": "What's the weather like in Paris today?"}]
completion = client.chat.completions.create(model="llama3.1", messages=messages, tools=tools)
messages.append(completion.choices[0].message)
for tool_call in completion.choices[0].message.tool_calls:
    result = get_weather(**json.loads(tool_call.function.arguments))
    messages.append({"role": "tool", "tool_call_id": tool_call.id, "content": json.dumps(result)})
completion = client.chat.completions.create(model="llama3.1", messages=messages, tools=tools)
print(completion.choices[0].message.content)
