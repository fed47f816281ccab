"""The doctor: which way would each client go from this machine, does it arrive, and what fixes it if not."""
