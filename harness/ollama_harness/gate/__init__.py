"""Two versions of Ollama, compared: what they send, and how the clients handle it."""
