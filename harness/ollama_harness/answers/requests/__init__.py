"""Requests as Ollama understands them: decoded by type and version, and those of other APIs translated to its own."""
