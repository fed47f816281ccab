import json

from ollama import ListResponse
from ollama import list as list_models

response: ListResponse = list_models()
print(json.dumps([model.model for model in response.models if model.size and model.details.family]))
