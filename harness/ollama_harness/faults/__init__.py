"""Faults, grouped by where they strike. Importing this package fills the lists of faults and places.

Each module's `__all__` names its faults and places; there is no other list of names.
"""

from ollama_harness.faults.content import *
from ollama_harness.faults.definition import FAULTS as FAULTS
from ollama_harness.faults.definition import PLACES as PLACES
from ollama_harness.faults.definition import Fault as Fault
from ollama_harness.faults.definition import FaultKind as FaultKind
from ollama_harness.faults.definition import Place as Place
from ollama_harness.faults.definition import apply as apply
from ollama_harness.faults.disconnects import *
from ollama_harness.faults.events import *
from ollama_harness.faults.framing import *
from ollama_harness.faults.head import *
from ollama_harness.faults.intermediaries import INTERMEDIARIES as INTERMEDIARIES
from ollama_harness.faults.picky import *
from ollama_harness.faults.places import *
from ollama_harness.faults.timing import *
