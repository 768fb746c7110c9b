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
    samples: int
    """Used for it, the warm-up left out."""
    limit_mb_per_hour: float
    grows: bool | None
    """None = too few samples to tell."""

    @property
    def text(self) -> str:
        """For people."""
        if self.slope is None or self.grows is None:
            return f"too few samples to tell ({self.samples} after the warm-up)"
        figure = (
            f"{self.slope.value:+.2f} ± {self.slope.standard_error:.2f} MB/h "
            f"(standard error, {self.samples} samples)"
        )
        verdict = "grows above" if self.grows else "is not significantly above"
        return f"{figure}: {verdict} the limit of {self.limit_mb_per_hour:g} MB/h"


def judge_growth(samples: Sequence[CoordinatorSample], settings: LoadTestSettings) -> Growth:
    """Fit the resident memory over time, without the first part, in which buffers fill."""
    kept: Sequence[CoordinatorSample] = ()
    if samples:
        first_ns, last_ns = samples[0].time_ns, samples[-1].time_ns
        begin_ns = first_ns + settings.soak_warm_up_share * (last_ns - first_ns)
        kept = [sample for sample in samples if sample.time_ns >= begin_ns]
    slope = fit_slope(
        [sample.time_ns / NANOSECONDS_PER_HOUR for sample in kept],
        [sample.rss_bytes / MB for sample in kept],
    )
    limit = settings.rss_slope_mb_per_hour_max
    grows = None
    if slope is not None and len(kept) >= settings.soak_samples_min:
        grows = slope.is_above(limit, settings.rss_slope_standard_errors)
    return Growth(slope, len(kept), limit, grows)


def growth_json(growth: Growth) -> dict[str, object]:
    """Return the verdict for machines."""
    slope = growth.slope
    return {
        "rss_slope_mb_per_hour": None if slope is None else round(slope.value, 4),
        "rss_slope_mb_per_hour_standard_error": (
            None if slope is None else round(slope.standard_error, 4)
        ),
        "rss_slope_mb_per_hour_max": growth.limit_mb_per_hour,
        "rss_samples": growth.samples,
        "rss_grows": growth.grows,
    }
