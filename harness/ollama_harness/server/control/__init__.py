"""The control API: how a program in any language steers a server over HTTP, under /_harness/.

`Control.answer` is one blocking function from a request to a script, so any thread may run it, and it needs no socket.
It sees the server through the parts that it is given: the journal, the running programme, the recordings.
"""

from ollama_harness.server.control._lists import fault_rows, recording_row
from ollama_harness.server.control._verification import Verification, verification
from ollama_harness.server.control.control import Control, Controlled, check_token, is_loopback
from ollama_harness.server.control.serving import Calls

__all__ = [
    "Calls",
    "Control",
    "Controlled",
    "Verification",
    "check_token",
    "fault_rows",
    "is_loopback",
    "recording_row",
    "verification",
]
