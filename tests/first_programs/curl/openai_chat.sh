curl --fail --silent --show-error -X POST "$OPENAI_BASE_URL/chat/completions" \
-H "Content-Type: application/json" \
-d '{
  "model": "llama3.2",
  "messages": [
    {
      "role": "system",
      "content": "You are a helpful assistant."
    },
    {
      "role": "user",
      "content": "Hello!"
    }
  ]
}'
