from openai import OpenAI
from pydantic import BaseModel

client = OpenAI()


class FriendInfo(BaseModel):
    name: str
    age: int
    is_available: bool


class FriendList(BaseModel):
    friends: list[FriendInfo]


completion = client.chat.completions.parse(
    temperature=0,
    model="llama3.1:8b",
    messages=[
        {
            "role": "user",
            "content": "I have two friends. The first is Ollama 22 years old busy saving the world, and the second is "
            "Alonso 23 years old and wants to hang out. Return a list of friends in JSON format",
        }
    ],
    response_format=FriendList,
)
print(completion.choices[0].message.parsed.model_dump_json())
