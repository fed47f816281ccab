"""Faults, grouped by where they strike. Importing this package fills the lists.

Each module's `__all__` is what it offers; nothing else names a fault or a place.
"""

from harness.faults.answers import ANSWERS as ANSWERS
from harness.faults.connection import *
from harness.faults.content import *
from harness.faults.demands import *
from harness.faults.framing import *
from harness.faults.head import *
from harness.faults.places import *
from harness.faults.registry import FAULTS as FAULTS
from harness.faults.registry import PLACES as PLACES
from harness.faults.registry import Fault as Fault
from harness.faults.registry import Kind as Kind
from harness.faults.registry import Place as Place
from harness.faults.registry import apply as apply
from harness.faults.timing import *
