import instructor
from openai import OpenAI
from pydantic import BaseModel, Field


class Character(BaseModel):
    name: str
    age: int
    fact: list[str] = Field(..., description="A list of facts about the character")


# enables `response_model` in create call
client = instructor.from_openai(OpenAI(), mode=instructor.Mode.JSON)

resp = client.chat.completions.create(
    model="llama2",
    messages=[{"role": "user", "content": "Tell me about the Harry Potter"}],
    response_model=Character,
)
print(resp.model_dump_json(indent=2))
