"""What the coordinator, the machine and the workers used while a load was applied."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bellwire.client.admin import Admin
from bellwire.runtime.usage import usage_of

__all__ = [
    "CoordinatorSample",
    "MachineSample",
    "machine_sample",
    "sample_coordinator",
    "worker_cpu_seconds",
]

NANOSECONDS_PER_SECOND: Final = 1e9
# Fields of the first line of /proc/stat after its name (proc(5)); all are clock ticks.
_IDLE: Final = 3
_IOWAIT: Final = 4
_STOLEN_END: Final = 8  # Guest time, which follows, is in user time already.


@dataclass(frozen=True, slots=True)
class CoordinatorSample:
    """What the coordinator says of itself at one moment."""

    time_ns: int
    """CLOCK_MONOTONIC."""
    cpu_seconds: float
    rss_bytes: int
    commits: int
    commit_us_p50: int
    commit_us_p99: int
    uncommitted_messages: int
    """Appended to the topic and not on the disk yet."""
    dropped_messages: int
    """Because a subscriber of the topic could not keep up."""
    low_offset_min: int
    """Oldest offset kept, of the partition that has let go of the fewest."""


async def sample_coordinator(admin: Admin, topic: str) -> CoordinatorSample:
    """Ask the coordinator how it is.

    Raises:
        BellwireError: It does not answer.
    """
    server = await admin.server_info()
    stats = await admin.topic_stats(topic)
    return CoordinatorSample(
        time_ns=time.monotonic_ns(),
        cpu_seconds=server.cpu_seconds,
        rss_bytes=server.rss_bytes,
        commits=server.store.commits,
        commit_us_p50=server.store.commit_p50_micros,
        commit_us_p99=server.store.commit_p99_micros,
        uncommitted_messages=sum(p.next_offset - p.high_watermark for p in stats.partitions),
        dropped_messages=stats.dropped_messages.get("overflow", 0),
        low_offset_min=min((p.low_offset for p in stats.partitions), default=0),
    )


def worker_cpu_seconds(pids: Sequence[int]) -> list[float]:
    """Return the CPU time of each process since its start; 0 for one that is gone."""
    usages = [usage_of(pid) for pid in pids]
    return [0.0 if usage is None else usage.cpu_seconds for usage in usages]


@dataclass(frozen=True, slots=True)
class MachineSample:
    """CPU time of the whole machine, in clock ticks."""

    busy: int
    total: int

    def busy_share_since(self, earlier: MachineSample) -> float:
        """Return the part of all cores' time that was used, 0..1."""
        return (self.busy - earlier.busy) / max(1, self.total - earlier.total)


def machine_sample(stat: Path = Path("/proc/stat")) -> MachineSample | None:
    """Read the machine's CPU time; None where the system does not tell."""
    try:
        with stat.open() as file:
            ticks = [int(text) for text in file.readline().split()[1 : _STOLEN_END + 1]]
    except (OSError, ValueError):
        return None
    total = sum(ticks)
    return MachineSample(total - ticks[_IDLE] - ticks[_IOWAIT], total)
