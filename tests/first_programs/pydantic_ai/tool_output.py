from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.models.ollama import OllamaModel


class CityLocation(BaseModel):
    city: str
    country: str


agent = Agent(OllamaModel("llama3.2"), output_type=CityLocation)

result = agent.run_sync("Where were the olympics held in 2012?")
assert result.usage.output_tokens
print(result.output.model_dump_json())
