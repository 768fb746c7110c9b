"""What each process cost, as the operating system counts it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bellwire.runtime.usage import usage_of

__all__ = ["ProcessCost", "costs_of"]


@dataclass(frozen=True, slots=True)
class ProcessCost:
    """CPU and memory of one process since it began."""

    name: str
    pid: int
    cpu_seconds: float
    rss_bytes: int


def costs_of(processes: Iterable[tuple[str, int]]) -> list[ProcessCost]:
    """Read the cost of each (name, pid) that still runs."""
    costs = []
    for name, pid in processes:
        usage = usage_of(pid)
        if usage is not None:
            costs.append(ProcessCost(name, pid, usage.cpu_seconds, usage.rss_bytes))
    return costs
