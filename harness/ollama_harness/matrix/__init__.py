"""Scenarios × clients: cells, how they are run, their results, and the known issues."""
