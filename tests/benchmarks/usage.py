"""What processes used while a load was applied: CPU, memory, and the machine's other work."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import psutil
from tests.benchmarks.process import Reply


class Used(Protocol):
    """A process of a measurement."""

    @property
    def role(self) -> str:
        """What it is for its system."""

    @property
    def pid(self) -> int:
        """Its id; what it has started counts with it."""


@contextmanager
def measured_usage(workers: Sequence[Used]) -> Iterator[Reply]:
    """Give a reply that is filled when the block ends."""
    processes = {worker.role: family(worker.pid) for worker in workers}
    before = {role: _cpu_seconds(members) for role, members in processes.items()}
    machine_before = psutil.cpu_times()
    usage: Reply = {}
    yield usage
    machine_after = psutil.cpu_times()
    for role, members in processes.items():
        usage[role] = {
            "cpu_seconds": round(_cpu_seconds(members) - before[role], 3),
            "rss_bytes": rss_bytes(members),
        }
    own = sum(used["cpu_seconds"] for used in usage.values())
    usage["others"] = {"cpu_share": _share_of_others(machine_before, machine_after, own)}


def family(pid: int) -> list[psutil.Process]:
    """Give a process and what it has started: a coordinator on Kafka counts with its broker."""
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def rss_bytes(members: Sequence[psutil.Process]) -> int:
    """Give the resident memory of processes; what they share counts for each."""
    return sum(member.memory_info().rss for member in members)


def _share_of_others(before: Any, after: Any, own_seconds: float) -> float:
    """Give the part of the machine's CPU time that was used and not by this measurement."""
    total: float = sum(after) - sum(before)
    idle: float = after.idle + after.iowait - before.idle - before.iowait
    return round(max(total - idle - own_seconds, 0.0) / max(total, 1e-9), 3)


def _cpu_seconds(members: list[psutil.Process]) -> float:
    times = [member.cpu_times() for member in members]
    return sum(each.user + each.system for each in times)
