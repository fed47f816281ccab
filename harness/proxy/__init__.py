"""A forward proxy with a journal: what stands between a client and Ollama on many machines."""

from harness.proxy.fake_proxy import FakeProxy
from harness.proxy.forwarding import Forward
from harness.proxy.modes import MODES
from harness.proxy.target import way

__all__ = ["MODES", "FakeProxy", "Forward", "way"]
