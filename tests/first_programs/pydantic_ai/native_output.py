from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput
from pydantic_ai.models.ollama import OllamaModel
from pydantic_ai.providers.ollama import OllamaProvider


class Vehicle(BaseModel):
    name: str
    wheels: int


model = OllamaModel("gpt-oss:20b", provider=OllamaProvider())
agent = Agent(model, output_type=NativeOutput(Vehicle, description="Return a vehicle."))

print(agent.run_sync("What is a Ford Explorer?").output.model_dump_json())
