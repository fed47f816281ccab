from langchain_ollama import ChatOllama
from pydantic import BaseModel, Field


class AnswerWithJustification(BaseModel):
    """An answer to the user question along with justification for the answer."""

    answer: str
    justification: str | None = Field(default=..., description="A justification for the answer.")


llm = ChatOllama(model="llama3.1", temperature=0)
structured_llm = llm.with_structured_output(AnswerWithJustification, method="function_calling")
answer = structured_llm.invoke("What weighs more a pound of bricks or a pound of feathers")
print(answer.model_dump_json())
