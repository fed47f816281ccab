"""Secrets in recordings: found by their form or by the name before them, and blanked byte for byte."""

from ollama_harness.recordings.secrets.patterns import PATTERNS, SecretPattern, home_pattern, name_pattern
from ollama_harness.recordings.secrets.redaction import (
    Redactor,
    find,
    redact,
    redact_headers,
    redact_meta,
    redact_request,
    secrets_in,
)

__all__ = [
    "PATTERNS",
    "Redactor",
    "SecretPattern",
    "find",
    "home_pattern",
    "name_pattern",
    "redact",
    "redact_headers",
    "redact_meta",
    "redact_request",
    "secrets_in",
]
