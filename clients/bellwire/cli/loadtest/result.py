"""What one level came to, in plain figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bellwire.cli.loadtest.bottleneck import Bottleneck
from bellwire.cli.loadtest.histogram import LatencyHistogram

__all__ = ["PERCENTILES", "LevelResult", "RoleCost", "latency_json", "level_json"]

PERCENTILES: Final = {"p50": 50.0, "p95": 95.0, "p99": 99.0, "p99.9": 99.9}
MICROSECOND_NS: Final = 1_000


@dataclass(frozen=True, slots=True)
class RoleCost:
    """CPU of the processes of one role while the load was applied."""

    processes: int
    cpu_seconds: float
    """Of all of them."""
    core_share_max: float
    """Of the busiest one; 1 = a whole core."""


@dataclass(frozen=True, slots=True)
class LevelResult:
    """What was measured at one offered rate. Counts are over all subscribers together."""

    offered_tps: float
    achieved_tps: float
    """Delivered to the slowest subscriber."""
    seconds: float
    """From the first intended send to the last arrival, warm-up left out."""
    scheduled: int
    sent: int
    failed: int
    """Sent, and never acknowledged."""
    error: str
    """Of the first failure; empty without one."""
    ended: str
    """Why a subscription ended before its time; empty when none did."""
    received: int
    lost: int
    """Acknowledged and never delivered."""
    duplicates: int
    out_of_order: int
    dropped: int
    """Of the lost ones, those the coordinator says it dropped."""
    latency: LatencyHistogram
    lateness: LatencyHistogram
    publishers: RoleCost
    coordinator: RoleCost
    subscribers: RoleCost
    coordinator_rss_bytes_max: int
    machine_share: float
    """Part of all cores' time that was used, by anybody."""
    others_share: float
    """Part of it that was neither ours nor the coordinator's."""
    commit_us_p50: int
    commit_us_p99: int
    commit_share: float
    """Part of the time in which a commit was under way."""
    uncommitted_messages_max: int
    interrupted: bool = False

    def latency_us(self, name: str) -> float | None:
        """Return a percentile of the one-way latency, or its maximum; None without a message."""
        return _us(self.latency, name)


def _us(histogram: LatencyHistogram, name: str) -> float | None:
    if not histogram.count:
        return None
    if name == "max":
        return histogram.max_ns / MICROSECOND_NS
    return histogram.percentile(PERCENTILES[name]) / MICROSECOND_NS


def latency_json(histogram: LatencyHistogram, prefix: str) -> dict[str, object]:
    """Return `<prefix>_us_p50` and so on."""
    names = (*PERCENTILES, "max")
    return {f"{prefix}_us_{name.replace('.', '_')}": _us(histogram, name) for name in names}


def level_json(
    result: LevelResult, missed: tuple[str, ...], bottleneck: Bottleneck
) -> dict[str, object]:
    """Return a level for machines; units are in the names."""
    return {
        "offered_tps": result.offered_tps,
        "achieved_tps": round(result.achieved_tps, 1),
        "seconds": round(result.seconds, 3),
        **latency_json(result.latency, "latency"),
        **latency_json(result.lateness, "publisher_lateness"),
        "messages_scheduled": result.scheduled,
        "messages_unsent": result.scheduled - result.sent,
        "messages_sent": result.sent,
        "messages_failed": result.failed,
        "messages_received": result.received,
        "messages_lost": result.lost,
        "messages_duplicate": result.duplicates,
        "messages_out_of_order": result.out_of_order,
        "messages_dropped": result.dropped,
        "latency_messages": result.latency.count,
        **_cost_json("publisher", result.publishers),
        **_cost_json("coordinator", result.coordinator),
        **_cost_json("subscriber", result.subscribers),
        "coordinator_rss_bytes_max": result.coordinator_rss_bytes_max,
        "machine_cpu_share": round(result.machine_share, 3),
        "machine_cpu_share_of_others": round(result.others_share, 3),
        "commit_us_p50": result.commit_us_p50,
        "commit_us_p99": result.commit_us_p99,
        "commit_time_share": round(result.commit_share, 3),
        "uncommitted_messages_max": result.uncommitted_messages_max,
        "bottleneck": bottleneck.part,
        "bottleneck_reason": bottleneck.reason,
        "missed": list(missed),
        "error": result.error,
        "subscription_error": result.ended,
        "interrupted": result.interrupted,
    }


def _cost_json(role: str, cost: RoleCost) -> dict[str, object]:
    return {
        f"{role}_processes": cost.processes,
        f"{role}_cpu_seconds": round(cost.cpu_seconds, 3),
        f"{role}_core_share_max": round(cost.core_share_max, 3),
    }
