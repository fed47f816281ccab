from typing import Literal

from ollama import chat
from pydantic import BaseModel


class Pet(BaseModel):
    name: str
    animal: Literal["cat", "dog"]
    age: int
    color: str | None
    favorite_toy: str | None


class PetList(BaseModel):
    pets: list[Pet]


response = chat(
    model="llama3.1",
    messages=[
        {
            "role": "user",
            "content": "I have two pets. A cat named Luna who is 5 years old and loves playing with yarn. She has "
            "grey fur. I also have a 2 year old black cat named Loki who loves tennis balls.",
        }
    ],
    format=PetList.model_json_schema(),
    options={"temperature": 0},
)
print(PetList.model_validate_json(response.message.content).model_dump_json())
