"""What a client can depend on in the recordings of a version."""

from harness.shapes.base import Chunking, FieldShape, Kind, Newline, RecordShape, Shape
from harness.shapes.reading import shape
from harness.shapes.version import Version

__all__ = ["Chunking", "FieldShape", "Kind", "Newline", "RecordShape", "Shape", "Version", "shape"]
