"""A level as it might have been, to be changed where a test needs it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from bellwire.cli.loadtest.histogram import LatencyHistogram
from bellwire.cli.loadtest.result import LevelResult, RoleCost

MILLISECOND = 1_000_000

GOOD = LevelResult(
    offered_tps=1_000,
    achieved_tps=999.0,
    seconds=2.0,
    scheduled=3_000,
    sent=3_000,
    failed=0,
    error="",
    ended="",
    received=3_000,
    lost=0,
    duplicates=0,
    out_of_order=0,
    dropped=0,
    latency=LatencyHistogram.of([MILLISECOND] * 98 + [10 * MILLISECOND, 30 * MILLISECOND]),
    lateness=LatencyHistogram.of([1_000] * 100),
    publishers=RoleCost(1, 0.5, 0.25),
    coordinator=RoleCost(1, 1.0, 0.5),
    subscribers=RoleCost(2, 0.4, 0.1),
    coordinator_rss_bytes_max=80_000_000,
    machine_share=0.6,
    others_share=0.1,
    commit_us_p50=0,
    commit_us_p99=0,
    commit_share=0.0,
    uncommitted_messages_max=0,
)


@pytest.fixture
def result() -> Callable[..., LevelResult]:
    """Makes a level that was met, but for what is named."""
    return lambda **changes: replace(GOOD, **changes)
