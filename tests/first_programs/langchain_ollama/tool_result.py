from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from langchain_ollama import ChatOllama


@tool
def get_weather(location: str) -> str:
    """Get the weather for a location."""
    return "It's sunny and 75 degrees."


llm = ChatOllama(model="llama3.1").bind_tools([get_weather])
messages = [HumanMessage("What is the weather in San Francisco, CA?")]
called = llm.invoke(messages)
messages += [called, *(get_weather.invoke(call) for call in called.tool_calls)]
assert len(messages) > 2, "no tool was called"
print(llm.invoke(messages).content)
