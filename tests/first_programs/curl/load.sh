curl --fail --silent --show-error "$OLLAMA_HOST/api/generate" -d '{
  "model": "llama3.2"
}'
