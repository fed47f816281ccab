from openai import OpenAI
from pydantic import BaseModel

client = OpenAI()


class CalendarEvent(BaseModel):
    name: str
    date: str
    participants: list[str]


with client.chat.completions.stream(
    model="llama3.1",
    messages=[
        {"role": "system", "content": "Extract the event information."},
        {"role": "user", "content": "Alice and Bob are going to a science fair on Friday."},
    ],
    response_format=CalendarEvent,
) as stream:
    pieces = [event.delta for event in stream if event.type == "content.delta"]
    assert "".join(pieces) == stream.get_final_completion().choices[0].message.content
    print(stream.get_final_completion().choices[0].message.parsed.model_dump_json())
