"""What another process of this machine uses, read from /proc."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
# Fields of /proc/PID/stat, counted from the one after the command's closing parenthesis (proc(5)).
_UTIME: Final = 11
_STIME: Final = 12
_RSS: Final = 21


@dataclass(frozen=True, slots=True)
class ProcessUsage:
    """CPU time and memory of a process at one moment."""

    cpu_seconds: float
    """User and system time since its start."""
    rss_bytes: int
    """Resident set."""


def usage_of(pid: int) -> ProcessUsage | None:
    """Return what a process uses; None when it is gone or /proc does not tell."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The command may hold spaces and parentheses itself.
    fields = stat.rpartition(")")[2].split()
    ticks = int(fields[_UTIME]) + int(fields[_STIME])
    return ProcessUsage(ticks / _TICKS_PER_SECOND, int(fields[_RSS]) * _PAGE_BYTES)
