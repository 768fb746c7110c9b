"""What each process cost, as the operating system counts it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["ProcessCost", "process_cost"]

PROC: Final = Path("/proc")
# Fields of /proc/PID/stat counted after the command's closing parenthesis (proc(5)): state is 0.
USER_TICKS: Final = 11
SYSTEM_TICKS: Final = 12


@dataclass(frozen=True, slots=True)
class ProcessCost:
    """CPU and memory of one process since it began."""

    name: str
    pid: int
    cpu_seconds: float
    rss_bytes: int  # resident now
    peak_rss_bytes: int  # most that was ever resident


def process_cost(name: str, pid: int) -> ProcessCost | None:
    """Read the cost of a live process; None when it has ended or the system has no /proc."""
    try:
        stat = (PROC / str(pid) / "stat").read_text()
        status = (PROC / str(pid) / "status").read_text()
    except OSError:
        return None
    # The command may hold spaces and parentheses; fields begin after the last one.
    fields = stat.rpartition(")")[2].split()
    ticks = int(fields[USER_TICKS]) + int(fields[SYSTEM_TICKS])
    return ProcessCost(
        name=name,
        pid=pid,
        cpu_seconds=ticks / os.sysconf("SC_CLK_TCK"),
        rss_bytes=_kibibytes(status, "VmRSS"),
        peak_rss_bytes=_kibibytes(status, "VmHWM"),
    )


def _kibibytes(status: str, name: str) -> int:
    """Return a `Name:  123 kB` line in bytes; 0 when it is missing (a process that ends)."""
    for line in status.splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return 0
