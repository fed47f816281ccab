"""The control API: how a program in any language steers a server over HTTP, under /_harness/.

`Control.answer` is one blocking function from a request to a script, so any thread may run it, and it needs no socket.
It sees the server through the parts that it is given: the journal, the running programme, the recordings.
"""

from ollama_harness.server.control._verification import Verification, verification
from ollama_harness.server.control.control import Control, Controlled, is_loopback

__all__ = ["Control", "Controlled", "Verification", "is_loopback", "verification"]
