curl --fail --silent --show-error "$OLLAMA_HOST/api/embed" -d '{
  "model": "all-minilm",
  "input": ["Why is the sky blue?", "Why is the grass green?"]
}'
