"""Scenarios × clients: cells, runs, results, and known issues."""
