import instructor
from openai import OpenAI
from pydantic import BaseModel


class User(BaseModel):
    name: str
    email: str


client = instructor.from_openai(OpenAI(), mode=instructor.Mode.JSON)
*_, last = client.chat.completions.create_partial(
    model="llama3.2",
    response_model=User,
    messages=[{"role": "user", "content": "Extract: John Doe, john@example.org"}],
)
print(User.model_validate(last.model_dump()).model_dump_json())
