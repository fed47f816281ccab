"""What a real Ollama sent: recordings as values, their files, the store that holds them, and their secrets."""
