from langchain_ollama import ChatOllama

json_model = ChatOllama(model="llama3.1", format="json")
print(
    json_model.invoke(
        "Return a query for the weather in a random location and time of day with two keys: location and time_of_day. "
        "Respond using JSON only."
    ).content
)
