import json

from openai import OpenAI

client = OpenAI()

tools = [
    {
        "type": "function",
        "name": "get_horoscope",
        "description": "Get today's horoscope for an astrological sign.",
        "parameters": {
            "type": "object",
            "properties": {
                "sign": {"type": "string", "description": "An astrological sign like Taurus or Aquarius"},
            },
            "required": ["sign"],
        },
    },
]

response = client.responses.create(
    model="qwen3:8b",
    tools=tools,
    input=[{"role": "user", "content": "What is my horoscope? I am an Aquarius."}],
)
for item in response.output:
    if item.type == "function_call":
        assert item.call_id
        print(json.dumps({"name": item.name, "arguments": json.loads(item.arguments)}))
