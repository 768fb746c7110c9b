from collections import Counter

import numpy as np
import pytest

from bellwire.agents.features import FeatureMatrix, InvalidBarError
from bellwire.agents.strategic import StrategicColumn, strategic_rows
from bellwire.agents.tactical.synergy_settings import SynergySettings
from bellwire.agents.tactical.synergy_watch import SynergyWatch, completed_gap
from bellwire.agents.train import load_bars
from bellwire.wire.settings import SettingsError

BARS = 1_200
SETTINGS = SynergySettings(window_bars=12, lasts_bars=1)


@pytest.fixture(scope="module")
def bars():
    loaded = load_bars("eurusd-1h")
    columns = (loaded.open, loaded.high, loaded.low, loaded.close, loaded.volume)
    return np.stack(columns, axis=1)[:BARS]


def watched(bars, settings=SETTINGS):
    features, watch = FeatureMatrix(), SynergyWatch(settings)
    found = []
    for bar in bars.tolist():
        features.push(*bar)
        found.append(watch.push(bar[3], completed_gap(features)))
    return found


@pytest.fixture(scope="module")
def found(bars):
    return watched(bars)


def test_the_first_1200_hours_of_the_euro_make_these_events(found):
    events = [(bar, event.type.value, event.direction) for bar, event in enumerate(found) if event]
    assert events[:4] == [
        (88, "TYPE_4", 1),
        (116, "TYPE_3", -1),
        (146, "TYPE_3", 1),
        (188, "TYPE_4", 1),
    ]
    counts = Counter(kind for _, kind, _ in events)
    assert counts == {"TYPE_1": 12, "TYPE_2": 2, "TYPE_3": 7, "TYPE_4": 13}


def test_every_event_is_one_that_its_indicators_gave(bars, found):
    rows = strategic_rows(bars[:, 3])
    slope = np.sign(rows[:, StrategicColumn.LINE_FAST_SLOPE])
    for bar, event in enumerate(found):
        if event is None:
            continue
        now = bar - 80
        within = slice(max(now - SETTINGS.window_bars + 1, 0), now + 1)
        assert event.direction in slope[within]
        likeness = event.direction * rows[within, StrategicColumn.NEIGHBOURS_DIRECTION]
        assert likeness.max() >= np.float32(0.6)


@pytest.mark.parametrize("step", [1.01, 1 / 1.01])
def test_a_market_that_never_turns_makes_no_event_however_many_gaps_it_leaves(step):
    watch, gap = SynergyWatch(SETTINGS), 1 if step > 1.0 else -1
    assert [watch.push(100.0 * step**bar, gap) for bar in range(120)] == [None] * 120


def test_prices_of_another_scale_make_the_same_events(bars, found):
    scaled = bars[:400] * np.array([2.0**-20] * 4 + [1.0])
    assert watched(scaled) == found[:400]


def test_a_market_turned_round_makes_the_events_of_the_other_side(bars, found):
    turned = np.stack(
        [1 / bars[:400, 0], 1 / bars[:400, 2], 1 / bars[:400, 1], 1 / bars[:400, 3]], axis=1
    )
    mirrored = watched(np.column_stack([turned, bars[:400, 4]]))
    ways = [event and event.direction for event in found[:400]]
    against = [event and event.direction for event in mirrored]
    both = [(a, b) for a, b in zip(ways, against, strict=True) if a and b]
    assert both
    assert all(a == -b for a, b in both)


def test_an_event_is_under_way_for_as_many_bars_as_set(bars, found):
    first = next(bar for bar, event in enumerate(found) if event)
    lasting = watched(bars[: first + 8], SynergySettings(window_bars=12, lasts_bars=5))
    assert lasting[:first] == [None] * first
    assert [event == found[first] for event in lasting[first:]] == [True] * 5 + [False] * 3


def test_a_price_beyond_bounds_is_refused_and_changes_nothing(bars, found):
    watch, features = SynergyWatch(SETTINGS), FeatureMatrix()
    events = []
    for bar in bars[:300].tolist():
        features.push(*bar)
        with pytest.raises(InvalidBarError):
            watch.push(1e19, 0)
        events.append(watch.push(bar[3], completed_gap(features)))
    assert events == found[:300]


def test_settings_have_bounds():
    for name, made in (
        ("window_bars", lambda: SynergySettings(window_bars=0)),
        ("lasts_bars", lambda: SynergySettings(lasts_bars=0)),
        ("neighbours_min", lambda: SynergySettings(neighbours_min=0.0)),
    ):
        with pytest.raises(SettingsError, match=name):
            made()
