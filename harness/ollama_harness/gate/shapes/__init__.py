"""What a client can depend on in the recordings of a version."""

from ollama_harness.gate.shapes.from_recording import shape
from ollama_harness.gate.shapes.shape import Chunking, FieldShape, Newline, RecordKind, RecordShape, Shape
from ollama_harness.gate.shapes.version import VersionShapes

__all__ = ["Chunking", "FieldShape", "Newline", "RecordKind", "RecordShape", "Shape", "VersionShapes", "shape"]
