import json

from pydantic_ai import Agent
from pydantic_ai.messages import TextPart, ThinkingPart
from pydantic_ai.models.ollama import OllamaModel
from pydantic_ai.models.openai import OpenAIChatModelSettings

agent = Agent(OllamaModel("qwen3"), model_settings=OpenAIChatModelSettings(openai_reasoning_effort="low"))
parts = agent.run_sync("How many r's are in the word strawberry?").response.parts
said = {
    "thinking": "".join(part.content for part in parts if isinstance(part, ThinkingPart)),
    "text": "".join(part.content for part in parts if isinstance(part, TextPart)),
}
print(json.dumps(said))
