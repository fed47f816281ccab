"""Canaries: clients that are wrong on purpose. Each must earn exactly its verdict, or the harness cannot be trusted.

Two are perfect, one of records and one of pieces. All others read with one of these, and spoil the result in one way.
"""

from __future__ import annotations

from ollama_harness.clients.canaries import _of_pieces, _of_records

CLIENTS = [*_of_records.CLIENTS, *_of_pieces.CLIENTS]
