import json

from ollama import chat


def get_temperature(city: str) -> str:
    """Get the current temperature for a city

    Args:
      city: The name of the city

    Returns:
      The current temperature for the city
    """
    temperatures = {
        "New York": "22°C",
        "London": "15°C",
        "Tokyo": "18°C",
    }
    return temperatures.get(city, "Unknown")


response = chat(
    model="qwen3",
    messages=[{"role": "user", "content": "What is the temperature in New York?"}],
    tools=[get_temperature],
)
for call in response.message.tool_calls or []:
    print(json.dumps({"name": call.function.name, "arguments": dict(call.function.arguments)}))
