"""The recorder: asks a live Ollama and keeps every frame with its time.

    from harness.recorder import record

    take = record("http://127.0.0.1:11434", out=Path("recordings"), model="smollm2:135m")
    take.ids  # ("0.32.15/generate-stream", …)

It reads plain sockets through h11, one connection an exchange, and no setting of a proxy concerns it. Memory does not
grow with the length of a stream: body and frames go to the disk as they come.
"""

from harness.recorder.probes import Probe, ProbeSet, default_probes, load_probes
from harness.recorder.session import TIMEOUT_S, Failure, Progress, Take, record

__all__ = [
    "TIMEOUT_S",
    "Failure",
    "Probe",
    "ProbeSet",
    "Progress",
    "Take",
    "default_probes",
    "load_probes",
    "record",
]
