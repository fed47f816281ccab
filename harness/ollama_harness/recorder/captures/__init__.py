"""Recordings of what other tools captured: `curl -i`, a HAR file, the raw bytes of a connection.

from ollama_harness.recorder.captures import read_captures

read_captures(Path("answer.txt")).recordings  # (Recording(id="unknown/answer", …),)
"""

from ollama_harness.recorder.captures.captured import Captures, read_captures

__all__ = ["Captures", "read_captures"]
