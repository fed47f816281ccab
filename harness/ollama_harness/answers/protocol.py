"""What Go's HTTP server itself refuses, before any handler of Ollama's sees the request."""
