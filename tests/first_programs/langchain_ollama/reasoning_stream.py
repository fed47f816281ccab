import json

from langchain_ollama import ChatOllama

llm = ChatOllama(model="gpt-oss:20b")
full = None
for chunk in llm.stream("how many r in the word strawberry?", reasoning="low"):
    full = chunk if full is None else full + chunk
print(json.dumps({"thinking": full.additional_kwargs["reasoning_content"], "text": full.content}))
