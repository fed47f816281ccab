"""Faults, grouped by where they strike. Importing this package fills the registry.

Each module's `__all__` is what it offers; nothing else names a fault.
"""

from harness.faults.body import *
from harness.faults.connection import *
from harness.faults.head import *
from harness.faults.registry import REGISTRY as REGISTRY
from harness.faults.registry import Fault as Fault
from harness.faults.registry import FaultKind as FaultKind
from harness.faults.registry import apply as apply
from harness.faults.timing import *
