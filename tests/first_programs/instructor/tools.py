import instructor
from openai import OpenAI
from pydantic import BaseModel


class ExtractUser(BaseModel):
    name: str
    age: int


client = instructor.from_openai(OpenAI(), mode=instructor.Mode.TOOLS)

user = client.chat.completions.create(
    model="llama3.1",
    response_model=ExtractUser,
    messages=[{"role": "user", "content": "Extract: John is 25 years old."}],
)
print(user.model_dump_json())
