"""The fit of a leak, on series whose slope is known."""

from itertools import combinations
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellwire.testing.leak_meter import LeakMeter, LeakMeterSettings, theil_sen
from bellwire.wire.settings import SettingsError

MIB = 1 << 20


def test_line_has_its_slope_and_an_interval_of_nothing() -> None:
    slope = theil_sen([50 * MIB + 4096 * n for n in range(20)])
    assert (slope.value, slope.low, slope.high) == (4096, 4096, 4096)


def test_slope_is_the_median_of_all_pairs_as_found_by_hand() -> None:
    slope = theil_sen([0, 1, 2, 5])  # pairs: 1, 1, 1, 5/3, 2, 3
    assert slope.value == pytest.approx((1 + 5 / 3) / 2)
    # S deviates by sqrt(4 · 3 · 13 / 18) = 2.94: too few points for 95 %.
    assert (slope.low, slope.high) == (float("-inf"), float("inf"))


def test_interval_of_ten_points_ends_at_the_twelfth_slope_from_either_side() -> None:
    # Deviation sqrt(10 · 9 · 25 / 18) = 11.18; (45 - 1.96 · 11.18) / 2 = 11.5.
    values = [0, 3, 1, 4, 9, 2, 6, 5, 8, 7]
    pairs = combinations(enumerate(values), 2)
    slopes = sorted((b - a) / (j - i) for (i, a), (j, b) in pairs)
    slope = theil_sen(values)
    assert (slope.low, slope.high) == (slopes[11], slopes[-12])


def test_leak_is_seen_through_noise_and_flat_memory_is_not_called_one() -> None:
    random = Random(7)
    noise = [random.gauss(0, 20_000) for _ in range(40)]
    leaking = theil_sen([50 * MIB + 8_000 * n + each for n, each in enumerate(noise)])
    flat = theil_sen([50 * MIB + each for each in noise])
    assert leaking.low > 0
    assert leaking.low < 8_000 < leaking.high
    assert flat.low < 0 < flat.high


@pytest.mark.parametrize("spikes", [(3,), (0, 19), (5, 6, 7, 8, 9)])
def test_spikes_in_a_quarter_of_the_rounds_do_not_make_a_leak(spikes: tuple[int, ...]) -> None:
    series = [50 * MIB + (40 * MIB if n in spikes else 0) for n in range(20)]
    assert theil_sen(series).value == 0


def test_fewer_than_three_points_have_no_slope() -> None:
    with pytest.raises(ValueError, match="3 points or more, got 2"):
        theil_sen([1, 2])


numbers = st.lists(st.integers(0, 1 << 40), min_size=3, max_size=30)


@given(numbers, st.integers(-(1 << 20), 1 << 20))
def test_added_trend_adds_itself_to_the_slope(values: list[int], trend: int) -> None:
    plain = theil_sen(values)
    tilted = theil_sen([value + trend * n for n, value in enumerate(values)])
    assert tilted.value == pytest.approx(plain.value + trend, rel=1e-6, abs=1e-3)


@given(numbers)
def test_slope_lies_within_its_interval(values: list[int]) -> None:
    slope = theil_sen(values)
    assert slope.low <= slope.value <= slope.high


async def test_rounds_before_the_warm_up_is_over_do_not_count() -> None:
    seen: list[int] = []

    async def work(number: int) -> None:
        seen.append(number)

    settings = LeakMeterSettings(warm_up_rounds=4, rounds=10)
    filled_cache = LeakMeter(lambda: min(len(seen), 5) * MIB, settings)
    leak = await filled_cache.measure(work)
    assert seen == list(range(14))
    assert leak.resident_bytes == (5 * MIB,) * 10
    assert leak.bytes_per_round == 0


async def test_growth_in_each_round_is_a_leak() -> None:
    kept: list[int] = []

    async def work(number: int) -> None:
        kept.append(number)

    leak = await LeakMeter(lambda: 100 * len(kept)).measure(work)
    assert (leak.bytes_per_round, leak.bytes_per_round_low, leak.bytes_per_round_high) == (
        100, 100, 100
    )  # fmt: skip


@pytest.mark.parametrize("values", [{"rounds": 2}, {"warm_up_rounds": -1}])
def test_too_few_rounds_are_refused(values: dict[str, int]) -> None:
    with pytest.raises(SettingsError):
        LeakMeterSettings(**values)
