"""What Ollama refuses before it reads a body: Host, Origin, paths that are not there, methods that they do not have."""
