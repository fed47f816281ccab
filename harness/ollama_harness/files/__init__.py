"""Files: read with one clear error, written whole or not at all, locked; and text made safe to print."""
