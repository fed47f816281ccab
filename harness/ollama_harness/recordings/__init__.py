"""What a real Ollama sent: recordings as values, their files, the store that finds them, and their secrets."""
