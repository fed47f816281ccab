"""The recorder sends requests to a live Ollama and keeps every frame of the answers with its time.

    from ollama_harness.recorder import record

    session = record("http://127.0.0.1:11434", out=Path("recordings"), model="smollm2:135m")
    session.ids  # ("0.32.15/generate-stream", …)

It reads plain sockets through h11, with one connection for each exchange, and ignores all proxy settings. The body is
written to disk as it arrives. If an answer is longer than a recording may be, the exchange is aborted and its files are
deleted.

`FolderKeeper` keeps what a server sends on from a live Ollama. What another tool captured becomes recordings, too:
`read_captures` reads it, and `keep` writes it.
"""

from ollama_harness.recorder.captures import Captures, read_captures
from ollama_harness.recorder.folder_keeper import FolderKeeper
from ollama_harness.recorder.planning import Failure, Plan, models_of, plan
from ollama_harness.recorder.probes import Probe, ProbeSet, default_probes, load_probes
from ollama_harness.recorder.recording_writer import keep
from ollama_harness.recorder.session import TIMEOUT_S, Progress, RecordedSession, record

__all__ = [
    "TIMEOUT_S",
    "Captures",
    "Failure",
    "FolderKeeper",
    "Plan",
    "Probe",
    "ProbeSet",
    "Progress",
    "RecordedSession",
    "default_probes",
    "keep",
    "load_probes",
    "models_of",
    "plan",
    "read_captures",
    "record",
]
