curl --fail --silent --show-error "$OLLAMA_HOST/api/version"
