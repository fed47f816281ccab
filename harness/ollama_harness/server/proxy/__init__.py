"""A forward proxy with a journal, as many machines have one between a client and Ollama."""

from ollama_harness.server.proxy.fake_proxy import FakeProxy
from ollama_harness.server.proxy.forwarding import Forward
from ollama_harness.server.proxy.modes import MODES
from ollama_harness.server.proxy.target import route_of

__all__ = ["MODES", "FakeProxy", "Forward", "route_of"]
