"""Drift: whether what a model sees and says now is distributed as it was on its training bars.

Nothing follows from a verdict by itself: it is shown and logged, and people decide.
"""

from bellwire.agents.drift.errors import DriftReferenceError
from bellwire.agents.drift.monitor import DriftMonitor
from bellwire.agents.drift.reference import ColumnReference, Reference
from bellwire.agents.drift.reference_file import (
    REFERENCE_FILE,
    carry_references,
    read_references,
    write_references,
)
from bellwire.agents.drift.report import ColumnScore, DriftReport, DriftVerdict
from bellwire.agents.drift.settings import DriftSettings

__all__ = [
    "REFERENCE_FILE",
    "ColumnReference",
    "ColumnScore",
    "DriftMonitor",
    "DriftReferenceError",
    "DriftReport",
    "DriftSettings",
    "DriftVerdict",
    "Reference",
    "carry_references",
    "read_references",
    "write_references",
]
