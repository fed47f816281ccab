import os

from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

model = OpenAIChatModel("llama3.2", provider=OpenAIProvider(base_url=os.environ["OLLAMA_BASE_URL"], api_key="ollama"))
print(Agent(model).run_sync("Where were the olympics held in 2012?").output)
