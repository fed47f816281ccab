"""The edges: files are read, with one clear error, and written whole or not at all; text is made safe to print."""
