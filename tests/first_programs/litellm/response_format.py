from litellm import completion
from pydantic import BaseModel


class CalendarEvent(BaseModel):
    name: str
    date: str
    participants: list[str]


response = completion(
    model="ollama_chat/deepseek-r1",
    messages=[{"role": "user", "content": "Alice and Bob are going to a science fair on Friday."}],
    response_format=CalendarEvent,
)
print(CalendarEvent.model_validate_json(response.choices[0].message.content).model_dump_json())
