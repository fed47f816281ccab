"""The doctor: the route of each client from this machine, whether it arrives, and what fixes it if not."""
