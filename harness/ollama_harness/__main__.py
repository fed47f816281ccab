import os
import sys

# `python -m` puts the current directory first, as it does for pip, which takes it away again too: a `queue.py` of the
# user's must not be taken for the standard library's.
if sys.path[0] in ("", os.getcwd()):  # noqa: PTH109 - without an import that could find the user's modules
    del sys.path[0]

from ollama_harness.cli import main

if __name__ == "__main__":
    main()
