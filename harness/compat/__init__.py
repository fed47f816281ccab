"""Compatibility rules: what may change on the wire from one version of Ollama to the next, and how much it matters."""

from harness.compat import answers, clients, fields, head, stream, values
from harness.compat.base import RULES, Answer, Change, Exchange, Level, Rule, rules_about

__all__ = ["RULES", "Answer", "Change", "Exchange", "Level", "Rule", "rules_about"]

_MODULES = (answers, head, stream, fields, values, clients)
