import json
import os

from llama_index.core.base.llms.types import ChatMessage, TextBlock, ThinkingBlock
from llama_index.llms.ollama import Ollama

llm = Ollama(model="qwen3:8b", base_url=os.environ["OLLAMA_HOST"], request_timeout=360.0, thinking=True)
blocks = llm.chat([ChatMessage(role="user", content="What is 32 / 4?")]).message.blocks
said = {
    "thinking": "".join(block.content for block in blocks if isinstance(block, ThinkingBlock)),
    "text": "".join(block.text for block in blocks if isinstance(block, TextBlock)),
}
print(json.dumps(said))
