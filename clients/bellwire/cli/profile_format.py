"""What a profile may be: its formats and bounds, for the options of the verb."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

__all__ = ["RATE_DEFAULT", "RATE_MAX", "SECONDS_DEFAULT", "SECONDS_MAX", "ProfileFormat"]

SECONDS_DEFAULT: Final = 10
SECONDS_MAX: Final = 3_600  # py-spy keeps every distinct stack in memory until the end.
# Per second. A stack each 4 ms: 2,500 in ten seconds, so that one per cent is still 25 of them.
RATE_DEFAULT: Final = 250
# Each sample stops the process for a moment; above this it measures itself.
RATE_MAX: Final = 1_000


class ProfileFormat(StrEnum):
    """What is written."""

    FLAMEGRAPH = "flamegraph"
    """An SVG for a browser: hover, click to zoom, Ctrl-F to search."""
    SPEEDSCOPE = "speedscope"
    """JSON for the speedscope viewer, with the order of time."""
    RAW = "raw"
    """One line a stack, `frame;frame;frame count`, for other tools."""

    @property
    def suffix(self) -> str:
        """End of the file's name."""
        return {"flamegraph": ".svg", "speedscope": ".speedscope.json", "raw": ".txt"}[self.value]
