import os

import instructor
from pydantic import BaseModel


class UserDetail(BaseModel):
    name: str
    age: int


client = instructor.from_provider(
    "ollama/llama3.2", mode=instructor.Mode.JSON, base_url=os.environ["OLLAMA_HOST"] + "/v1"
)
user = client.create(
    messages=[{"role": "user", "content": "Jason is 30 years old"}],
    response_model=UserDetail,
)
print(user.model_dump_json())
