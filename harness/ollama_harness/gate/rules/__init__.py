"""Compatibility rules: what may change on the wire from one version of Ollama to the next, and how much it matters."""

from ollama_harness.gate.rules import (
    client_outcomes,
    library_changes,
    record_fields,
    response_head,
    responses,
    stream,
    values,
)
from ollama_harness.gate.rules.rule import RULES, Change, Level, ResponseKind, Rule, VersionExchange, rules_about

__all__ = ["RULES", "Change", "Level", "ResponseKind", "Rule", "VersionExchange", "rules_about"]

_MODULES = (responses, response_head, stream, record_fields, values, client_outcomes, library_changes)
