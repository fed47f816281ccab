"""What Ollama refuses, and what the state of its models decides: one decorated function a rule."""
