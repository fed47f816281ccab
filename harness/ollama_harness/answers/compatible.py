"""Requests to the endpoints of OpenAI's and Anthropic's kind: bodies, fields, and errors in their shapes."""
