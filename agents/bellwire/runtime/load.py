"""How busy this process is, read from the operating system and plain counters."""

import os
import time
from pathlib import Path
from typing import Final

from bellwire.agent.v1.agent_pb2 import GpuLoad, LoadReport
from bellwire.runtime.counters import RunCounters
from bellwire.runtime.gpu import GpuGauge

_STATM: Final = Path("/proc/self/statm")
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
EWMA_WEIGHT: Final = 0.2  # of the newest call: the mean follows a change within about ten calls
MICROS_PER_SECOND: Final = 1e6


def resident_bytes() -> int:
    """Return the resident set of this process in bytes; 0 where /proc does not tell."""
    try:
        return int(_STATM.read_bytes().split()[1]) * _PAGE_BYTES
    except (OSError, IndexError, ValueError):
        return 0


class LoadMeter:
    """Collects what a LoadReport says."""

    def __init__(
        self, counters: RunCounters, *, restarts: int = 0, gpu: GpuGauge | None = None
    ) -> None:
        """Collect from the start.

        Args:
            counters: What the agent has done.
            restarts: Times the supervisor started it again.
            gpu: Of the GPU it is pinned to; None = it has none.
        """
        self._counters = counters
        self._restarts = restarts
        self._gpu = gpu
        self._latency_micros = 0.0
        self.in_flight = 0
        """Tool calls being worked on."""

    def call_ended(self, seconds: float) -> None:
        """Take the latency of a call into the mean."""
        micros = seconds * MICROS_PER_SECOND
        if self._latency_micros:
            self._latency_micros += EWMA_WEIGHT * (micros - self._latency_micros)
        else:
            self._latency_micros = micros

    def report(self, queue_depth: int) -> LoadReport:
        """Return the load now.

        Args:
            queue_depth: Messages that wait inside the agent.
        """
        return LoadReport(
            in_flight=self.in_flight,
            queue_depth=queue_depth,
            latency_ewma_micros=round(self._latency_micros),
            cpu_seconds=time.process_time(),
            rss_bytes=resident_bytes(),
            messages_handled=self._counters.handled,
            handler_errors=self._counters.errors,
            restarts=self._restarts,
            gpu=_gpu_load(self._gpu),
        )


def _gpu_load(gauge: GpuGauge | None) -> GpuLoad | None:
    usage = gauge.read() if gauge is not None else None
    if usage is None:
        return None
    return GpuLoad(
        memory_used_bytes=usage.used_bytes,
        memory_total_bytes=usage.total_bytes,
        utilization=usage.utilisation,
    )
