"""bellwire.cli.loadtest.soak: does memory grow?"""

from __future__ import annotations

from collections.abc import Callable

from bellwire.cli.loadtest.settings import LoadTestSettings
from bellwire.cli.loadtest.soak import Growth, growth_json, judge_growth
from bellwire.cli.loadtest.usage import CoordinatorSample

SETTINGS = LoadTestSettings()
SECOND = 1_000_000_000


def judged(rss_bytes: Callable[[int], float], seconds: int = 1_800, filled_at: int = 0) -> Growth:
    samples = [
        CoordinatorSample(
            second * SECOND,
            0.0,
            round(rss_bytes(second)),
            0,
            0,
            0,
            0,
            0,
            max(0, second - filled_at),
        )
        for second in range(seconds)
    ]
    return judge_growth(samples, SETTINGS, in_memory=True)


def test_memory_that_grows_by_more_than_the_limit_is_found():
    growth = judged(lambda second: 80e6 + 20e6 * second / 3_600)
    assert growth.grows is True
    assert growth.slope is not None
    assert round(growth.slope.value) == 20
    assert "+20.00 ± 0.00 MB/h" in growth.text
    assert growth.text.endswith("grows above the limit of 5 MB/h")


def test_growth_that_comes_to_next_to_nothing_is_left_to_a_longer_soak():
    growth = judged(lambda second: 80e6 + 20e6 * second / 3_600, seconds=300)
    assert growth.slope is not None
    assert growth.slope.is_above(5, 3)
    assert (growth.grows, round(growth.rise_mb, 1)) == (False, 1.3)


def test_memory_that_goes_up_and_down_does_not_grow():
    growth = judged(lambda second: 80e6 + 5e6 * (second % 60 < 30))
    assert growth.grows is False
    assert "does not grow noticeably above the limit of 5 MB/h" in growth.text


def test_what_fills_in_the_warm_up_is_no_growth():
    assert judged(lambda second: 60e6 + min(second, 350) * 1e5).grows is False


def test_a_retention_that_fills_later_is_no_growth_either():
    growth = judged(lambda second: 60e6 + min(second, 900) * 1e5, filled_at=900)
    assert (growth.grows, growth.samples) == (False, 899)


def test_a_retention_that_is_never_full_leaves_nothing_to_judge():
    growth = judged(lambda second: 60e6 + second * 1e5, filled_at=1_800)
    assert (growth.grows, growth.is_filled) == (None, False)
    assert growth.text == "cannot be judged: the topic's retention was not full before the end"


def test_a_short_soak_passes_no_verdict():
    growth = judged(lambda second: 80e6 + second * 1e6, seconds=10)
    assert (growth.grows, growth.samples) == (None, 8)
    assert growth.text == "too few samples to tell (8 after the warm-up)"


def test_without_a_sample_there_is_nothing_to_say():
    growth = judge_growth([], SETTINGS, in_memory=False)
    assert growth_json(growth) == {
        "rss_slope_mb_per_hour": None,
        "rss_slope_mb_per_hour_standard_error": None,
        "rss_slope_mb_per_hour_max": 5.0,
        "rss_rise_mb": 0.0,
        "rss_samples": 0,
        "retention_filled": True,
        "rss_grows": None,
    }
