"""Benchmarks of the fake server. One command: `python benchmarks/run.py` (or `python -m benchmarks`)."""
