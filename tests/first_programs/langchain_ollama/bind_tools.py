import json

from langchain_core.tools import tool
from langchain_ollama import ChatOllama


@tool
def validate_user(user_id: int, addresses: list[str]) -> bool:
    """Validate user using historical addresses.

    Args:
        user_id (int): the user ID.
        addresses (List[str]): Previous addresses as a list of strings.
    """
    return True


llm = ChatOllama(model="gpt-oss:20b", temperature=0).bind_tools([validate_user])
result = llm.invoke(
    "Could you validate user 123? They previously lived at 123 Fake St in Boston MA and 234 Pretend Boulevard in "
    "Houston TX."
)
for call in result.tool_calls:
    print(json.dumps({"name": call["name"], "arguments": call["args"]}))
