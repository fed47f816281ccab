"""`python benchmarks/run.py`, from any directory: the same as `python -m benchmarks` in the repository."""

import runpy
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    runpy.run_module("benchmarks", run_name="__main__")
