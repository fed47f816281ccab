"""What an Ollama of a version answers to any request: what it refuses, and in which words.

One way leads through it. Each step is a pure function of a request and a world: it answers, or it leaves the request to
the next step.
"""

from ollama_harness.answers._recorded_world import world_of
from ollama_harness.answers.answering import Answer, answer
from ollama_harness.answers.asked import Asked
from ollama_harness.answers.effects import after
from ollama_harness.answers.reply import Reply, go_json, json_reply, text_reply
from ollama_harness.answers.rules.rule import RULES, Refusal, Step, refusal
from ollama_harness.answers.world import Model, World, parse_model

__all__ = [
    "RULES",
    "Answer",
    "Asked",
    "Model",
    "Refusal",
    "Reply",
    "Step",
    "World",
    "after",
    "answer",
    "go_json",
    "json_reply",
    "parse_model",
    "refusal",
    "text_reply",
    "world_of",
]
