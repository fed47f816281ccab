import json

from langchain_ollama import ChatOllama

llm = ChatOllama(model="llama3.1", temperature=0)
structured_llm = llm.with_structured_output(None, method="json_mode")
answer = structured_llm.invoke(
    "Answer the following question. Make sure to return a JSON blob with keys 'answer' and 'justification'.\n\n"
    "What's heavier a pound of bricks or a pound of feathers?"
)
print(json.dumps(answer))
