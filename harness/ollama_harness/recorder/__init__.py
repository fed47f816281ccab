"""The recorder: asks a live Ollama and keeps every frame with its time.

    from ollama_harness.recorder import record

    take = record("http://127.0.0.1:11434", out=Path("recordings"), model="smollm2:135m")
    take.ids  # ("0.32.15/generate-stream", …)

It reads plain sockets through h11, one connection an exchange, and no setting of a proxy concerns it. The body goes to
the disk as it comes; an answer that is longer than a recording may be is broken off, and leaves nothing behind.
"""

from ollama_harness.recorder.planning import Failure, Plan, models_of, plan
from ollama_harness.recorder.probes import Probe, ProbeSet, default_probes, load_probes
from ollama_harness.recorder.session import TIMEOUT_S, Progress, RecordedSession, record

__all__ = [
    "TIMEOUT_S",
    "Failure",
    "Plan",
    "Probe",
    "ProbeSet",
    "Progress",
    "RecordedSession",
    "default_probes",
    "load_probes",
    "models_of",
    "plan",
    "record",
]
