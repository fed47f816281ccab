"""Requests to Ollama's own endpoints: bodies decoded as Go does it, and their fields validated."""
