curl --fail --silent --show-error "$OLLAMA_HOST/api/generate" -d '{
  "model": "llama3.2",
  "prompt": "Why is the sky blue?",
  "stream": false
}'
