"""What a model says, and how each API of each version of Ollama puts it into records."""
