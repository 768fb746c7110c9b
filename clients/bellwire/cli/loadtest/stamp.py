"""The head of every payload of a load test: whose message it is, which one, and when it was due."""

from __future__ import annotations

from struct import Struct
from typing import Final

__all__ = ["STAMP", "STAMP_BYTES"]

# Run, level, publisher, sequence, intended send time in ns of CLOCK_MONOTONIC, which is one clock
# for all processes of a machine.
STAMP: Final = Struct("<IHHQQ")
STAMP_BYTES: Final = STAMP.size
