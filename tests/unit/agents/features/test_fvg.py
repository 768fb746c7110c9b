"""Fair value gaps: when a zone begins, which edge is nearest, and how it ends."""

import pytest

from bellwire.agents.features import FvgDetector, FvgState, Zone, ZoneKind
from bellwire.wire.settings import SettingsError

FLAT = (100.0, 101.0, 99.0, 100.5)  # body 0.5
SILENT = FvgState(False, False, None, 0, False)


def warmed_up(lookback: int = 20) -> FvgDetector:
    """Return a detector that has seen `lookback` + 1 flat bars."""
    detector = FvgDetector(lookback)
    for _ in range(lookback + 1):
        assert detector.update(*FLAT) == SILENT
    return detector


def with_bullish_zone(lookback: int = 20) -> FvgDetector:
    """Return a detector whose newest bar created the zone [101, 102]."""
    detector = warmed_up(lookback)
    detector.update(100.5, 104.0, 100.4, 103.8)
    state = detector.update(103.9, 105.0, 102.0, 104.5)
    assert state == FvgState(True, False, 102.0, 0, False)
    return detector


def with_bearish_zone() -> FvgDetector:
    """Return a detector whose newest bar created the zone [98, 99]."""
    detector = warmed_up()
    detector.update(99.5, 99.6, 96.0, 96.2)
    state = detector.update(96.1, 98.0, 95.0, 95.5)
    assert state == FvgState(False, True, 98.0, 0, False)
    return detector


def test_bullish_gap_leaves_the_zone_between_the_outer_bars():
    assert with_bullish_zone().zones == (Zone(ZoneKind.BULLISH, 101.0, 102.0, 22),)


def test_bearish_gap_leaves_the_zone_between_the_outer_bars():
    assert with_bearish_zone().zones == (Zone(ZoneKind.BEARISH, 98.0, 99.0, 22),)


def test_touching_bars_leave_no_zone():
    detector = warmed_up()
    detector.update(100.5, 104.0, 100.4, 103.8)
    assert detector.update(103.9, 105.0, 101.0, 104.5) == SILENT


def test_gap_with_an_ordinary_middle_body_leaves_no_zone():
    detector = warmed_up()
    detector.update(103.0, 104.0, 102.9, 103.77)  # 0.77 <= 1.5 * (19 * 0.5 + 0.77) / 20
    assert detector.update(103.9, 105.0, 102.0, 104.5) == SILENT


def test_middle_body_of_exactly_one_and_a_half_means_leaves_no_zone():
    # Bodies 0.4, 0.4, 0.6 and b: 1.5 times their mean is b when b = 0.84. Rounding must not decide.
    for scale in (1.0, 1e-5, 0.1, 3.0, 7.7, 1e5):
        detector = FvgDetector(4)
        for body in (0.3, 0.4, 0.4, 0.6):
            detector.update(*(scale * price for price in (10.0, 11.0, 9.0, 10.0 + body)))
        detector.update(*(scale * price for price in (10.0, 12.0, 10.0, 10.84)))
        gap = detector.update(*(scale * price for price in (12.0, 13.0, 11.5, 12.5)))
        assert not gap.bullish_active


def test_no_zone_before_the_body_mean_has_its_window():
    detector = FvgDetector(20)
    for _ in range(18):
        detector.update(*FLAT)
    detector.update(100.5, 104.0, 100.4, 103.8)  # bar 18
    assert detector.update(103.9, 105.0, 102.0, 104.5) == SILENT  # bar 19: 19 bodies before it


def test_zone_may_begin_on_the_first_bar_with_a_full_window():
    detector = FvgDetector(20)
    for _ in range(19):
        detector.update(*FLAT)
    detector.update(100.5, 104.0, 100.4, 103.8)  # bar 19
    assert detector.update(103.9, 105.0, 102.0, 104.5).bullish_active  # bar 20


def test_zone_is_never_mitigated_by_the_bar_that_creates_it():
    detector = warmed_up()
    detector.update(100.5, 104.0, 100.4, 103.8)
    assert not detector.update(103.9, 105.0, 102.0, 102.0).mitigated


@pytest.mark.parametrize(("low", "mitigated"), [(101.01, False), (101.0, True), (90.0, True)])
def test_bullish_zone_ends_when_price_reaches_its_lower_edge(low, mitigated):
    detector = with_bullish_zone()
    state = detector.update(104.0, 104.5, low, 104.0)
    assert state.mitigated is mitigated
    assert state.bullish_active is not mitigated
    assert detector.update(104.0, 104.5, 103.0, 104.0).mitigated is False


@pytest.mark.parametrize(("high", "mitigated"), [(98.99, False), (99.0, True), (110.0, True)])
def test_bearish_zone_ends_when_price_reaches_its_upper_edge(high, mitigated):
    detector = with_bearish_zone()
    state = detector.update(96.0, high, 95.5, 96.0)
    assert state.mitigated is mitigated
    assert state.bearish_active is not mitigated


def test_zone_lives_fifty_bars_and_expires_without_a_signal():
    detector = with_bullish_zone()
    for age in range(1, 51):
        state = detector.update(104.0, 104.5, 103.5, 104.0)
        assert (state.bullish_active, state.nearest_age_bars) == (True, age)
    assert detector.update(104.0, 104.5, 103.5, 104.0) == SILENT
    assert detector.zones == ()


def test_zone_crossed_on_the_bar_it_expires_still_counts_as_mitigated():
    detector = with_bullish_zone()
    for _ in range(50):
        detector.update(104.0, 104.5, 103.5, 104.0)
    assert detector.update(104.0, 104.5, 100.0, 104.0) == SILENT._replace(mitigated=True)


def test_nearest_edge_follows_the_close():
    detector = with_bullish_zone()
    assert detector.update(104.0, 104.0, 101.2, 101.6).nearest_edge == 102.0
    assert detector.update(101.5, 103.0, 101.2, 101.4).nearest_edge == 101.0


def test_of_equally_near_edges_the_lower_one_of_the_older_zone_counts():
    detector = with_bullish_zone()
    assert detector.update(102.0, 102.1, 101.2, 101.5).nearest_edge == 101.0


def test_body_window_ends_before_the_bar_it_judges():
    detector = FvgDetector(2)
    detector.update(10.0, 10.2, 9.8, 10.0)
    detector.update(10.0, 10.2, 9.9, 10.1)  # body 0.1
    detector.update(10.1, 10.6, 10.1, 10.5)  # body 0.4: mean of the two is 0.25, 1.5 times 0.375
    # Were this bar's own body of 5 in the window, no zone would begin.
    assert detector.update(10.5, 16.0, 10.5, 15.5).bullish_active


@pytest.mark.parametrize("lookback", [-1, 0, 1, 501])
def test_lookback_outside_its_bounds_is_refused(lookback):
    with pytest.raises(SettingsError, match="lookback_bars"):
        FvgDetector(lookback)
