"""How near the fake is to a real Ollama: requests that real servers answered, and recordings left out one by one."""
