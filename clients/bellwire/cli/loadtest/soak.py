"""Does the coordinator's memory grow under a steady load?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bellwire.cli.loadtest.settings import LoadTestSettings
from bellwire.cli.loadtest.slope import Slope, fit_slope
from bellwire.cli.loadtest.usage import CoordinatorSample

__all__ = ["Growth", "growth_json", "judge_growth"]

NANOSECONDS_PER_HOUR = 3_600e9
MB = 1e6


@dataclass(frozen=True, slots=True)
class Growth:
    """The verdict on the coordinator's resident memory."""

    slope: Slope | None
    """MB per hour; None where nothing can be fitted."""
    rise_mb: float
    """What the slope comes to over the time that was looked at."""
    samples: int
    """Used for it, the warm-up left out."""
    is_filled: bool
    """Whether the topic kept all it may by then: until it does, memory grows by design."""
    limit_mb_per_hour: float
    grows: bool | None
    """None = too few samples to tell."""

    @property
    def text(self) -> str:
        """For people."""
        if not self.is_filled:
            return "cannot be judged: the topic's retention was not full before the end"
        if self.slope is None or self.grows is None:
            return f"too few samples to tell ({self.samples} after the warm-up)"
        figure = (
            f"{self.slope.value:+.2f} ± {self.slope.standard_error:.2f} MB/h "
            f"(standard error, {self.samples} samples), {self.rise_mb:+.1f} MB in all"
        )
        verdict = "grows above" if self.grows else "does not grow noticeably above"
        return f"{figure}: {verdict} the limit of {self.limit_mb_per_hour:g} MB/h"


def judge_growth(
    samples: Sequence[CoordinatorSample], settings: LoadTestSettings, *, in_memory: bool
) -> Growth:
    """Fit the resident memory over time, without the first part, in which buffers fill.

    Args:
        samples: In order of time.
        settings: What counts as growth.
        in_memory: The topic keeps its messages in memory, which fills until it lets the first go.
    """
    kept: Sequence[CoordinatorSample] = ()
    is_filled = True
    if samples:
        first, last_ns = samples[0], samples[-1].time_ns
        begin_ns = first.time_ns + settings.soak_warm_up_share * (last_ns - first.time_ns)
        kept = [sample for sample in samples if sample.time_ns >= begin_ns]
    if in_memory:
        kept = [sample for sample in kept if sample.low_offset_min > samples[0].low_offset_min]
        is_filled = bool(kept)
    slope = fit_slope(
        [sample.time_ns / NANOSECONDS_PER_HOUR for sample in kept],
        [sample.rss_bytes / MB for sample in kept],
    )
    rise_mb = 0.0
    if slope is not None:
        rise_mb = slope.value * (kept[-1].time_ns - kept[0].time_ns) / NANOSECONDS_PER_HOUR
    limit = settings.rss_slope_mb_per_hour_max
    grows = None
    if slope is not None and len(kept) >= settings.soak_samples_min:
        is_significant = slope.is_above(limit, settings.rss_slope_standard_errors)
        grows = is_significant and rise_mb >= settings.rss_rise_mb_min
    return Growth(slope, rise_mb, len(kept), is_filled, limit, grows)


def growth_json(growth: Growth) -> dict[str, object]:
    """Return the verdict for machines."""
    slope = growth.slope
    return {
        "rss_slope_mb_per_hour": None if slope is None else round(slope.value, 4),
        "rss_slope_mb_per_hour_standard_error": (
            None if slope is None else round(slope.standard_error, 4)
        ),
        "rss_slope_mb_per_hour_max": growth.limit_mb_per_hour,
        "rss_rise_mb": round(growth.rise_mb, 3),
        "rss_samples": growth.samples,
        "retention_filled": growth.is_filled,
        "rss_grows": growth.grows,
    }
