"""Faults, grouped by where they strike. Importing this package fills the registry."""

from harness.faults.body import drop_terminal_record, error_line_after_record
from harness.faults.connection import cut_after_record, cut_inside_record, reset_after_record
from harness.faults.head import replace_with_bad_gateway
from harness.faults.registry import REGISTRY, Fault, FaultKind, apply
from harness.faults.timing import delay_first_byte, slow_records, stall_after_record

__all__ = [
    "REGISTRY",
    "Fault",
    "FaultKind",
    "apply",
    "cut_after_record",
    "cut_inside_record",
    "delay_first_byte",
    "drop_terminal_record",
    "error_line_after_record",
    "replace_with_bad_gateway",
    "reset_after_record",
    "slow_records",
    "stall_after_record",
]
