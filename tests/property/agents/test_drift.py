"""Drift: the rate of false alarms that is promised, bounds, and what order may not change."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellwire.agents.drift import DriftMonitor, DriftSettings, DriftVerdict
from bellwire.agents.drift.histogram import BINS, bin_of, bins_of, quantile_edges
from bellwire.agents.drift.noise import noise_of
from bellwire.agents.drift.psi import SHARE_MIN, psi, psi_by_chance, psi_limit
from bellwire.agents.drift.reference import reference_of

COUNTS = st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=2, max_size=12)
LOOKS = 400
FALSE_ALARMS = 0.05
STANDARD_ERRORS = 4.0  # seeded, so that this is the margin for another generator


@given(COUNTS, st.randoms())
def test_the_index_is_symmetric_bounded_and_blind_to_the_order_of_bins(pairs, random):
    first, second = (list(each) for each in zip(*pairs, strict=True))
    first[0] += 1
    second[-1] += 1
    index = psi(first, second)
    assert 0.0 <= index <= len(pairs) * (1.0 - SHARE_MIN) * math.log(1.0 / SHARE_MIN)
    assert psi(second, first) == pytest.approx(index)
    assert psi(first, first) == 0.0
    order = list(range(len(first)))
    random.shuffle(order)
    shuffled = psi([first[at] for at in order], [second[at] for at in order])
    assert shuffled == pytest.approx(index)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=200), st.integers(2, BINS))
def test_every_value_has_one_bin_and_edges_ascend(values, bins):
    column = np.array(values)
    edges = quantile_edges(column, bins)
    assert 1 <= len(edges) <= max(bins - 1, 2)
    assert list(edges) == sorted(set(edges))
    found = bins_of(edges, column)
    assert [bin_of(edges, value) for value in values] == found.tolist()
    assert np.bincount(found, minlength=len(edges) + 1).sum() == len(values)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=400))
def test_noise_is_never_less_than_that_of_independent_bars_allows(indices):
    noise = noise_of(np.array(indices), 4)
    assert noise.scale >= 1.0
    assert 1.0 <= noise.degrees <= 3.0


def sticky(random, bars, stay):
    """Return normal values that are kept with probability `stay`: a column with a memory."""
    values = random.normal(size=bars)
    fresh = random.random(bars) >= stay
    fresh[0] = True
    return values[np.maximum.accumulate(np.where(fresh, np.arange(bars), 0))]


def indices(random, bars, stay, edges):
    return bins_of(edges, sticky(random, bars, stay))


@pytest.mark.parametrize("stay", [0.0, 0.8])
def test_one_column_alarms_as_often_as_promised_whether_or_not_bars_resemble_their_neighbours(stay):
    random = np.random.default_rng(11)
    trained, window = 20_000, 500
    alarms, indexes = 0, []
    for _ in range(LOOKS):
        sample = sticky(random, trained, stay)
        edges = quantile_edges(sample)
        before = bins_of(edges, sample)
        noise = noise_of(before, BINS)
        seen = np.bincount(indices(random, window, stay, edges), minlength=BINS).tolist()
        usual = np.bincount(before, minlength=BINS).tolist()
        both = {"scale": noise.scale, "degrees": noise.degrees}
        indexes.append(psi(seen, usual) / psi_by_chance(window, trained, **both))
        alarms += psi(seen, usual) > psi_limit(window, trained, **both, false_alarms=FALSE_ALARMS)
    spread = math.sqrt(FALSE_ALARMS * (1 - FALSE_ALARMS) / LOOKS)
    assert alarms / LOOKS == pytest.approx(FALSE_ALARMS, abs=STANDARD_ERRORS * spread)
    assert np.mean(indexes) == pytest.approx(1.0, abs=0.1)


def sample(random, bars, stay, shift=0.0):
    """Return rows and actions whose columns all have a memory."""
    flags = [sticky(random, bars, stay) > 0.5 for _ in range(3)]
    numbers = [sticky(random, bars, stay) for _ in range(4)]
    numbers[0] += shift
    rows = np.column_stack([flags[0], flags[1], *numbers[:2], flags[2], *numbers[2:]])
    said = [np.digitize(sticky(random, bars, stay), (-0.4, 0.6)) for _ in range(3)]
    return rows, np.column_stack(said)


def looks(monitors_settings, seed, shift, times):
    """Return the verdicts of monitors that each saw one window."""
    random = np.random.default_rng(seed)
    rows, actions = sample(random, 10_000, 0.6)
    trained = reference_of("A", "1h", "0" * 64, rows=rows, actions=actions)
    for _ in range(times):
        monitor = DriftMonitor(trained, monitors_settings)
        seen, said = sample(random, monitors_settings.window_bars, 0.6, shift)
        for row, action in zip(seen.tolist(), said.tolist(), strict=True):
            monitor.observe(row, action)
        yield monitor.look()


def test_a_monitor_alarms_no_more_often_than_promised_and_finds_a_shift():
    settings = DriftSettings(window_bars=300, bars_min=300, false_alarms=0.05, psi_min=0.0)
    times = 150
    verdicts = [report.verdict for report in looks(settings, 5, 0.0, times)]
    alarms = verdicts.count(DriftVerdict.DRIFTING)
    assert DriftVerdict.TOO_FEW not in verdicts
    spread = math.sqrt(0.05 * 0.95 / times)
    assert alarms / times <= 0.05 + STANDARD_ERRORS * spread
    found = list(looks(settings, 6, 1.0, 30))
    assert {report.verdict for report in found} == {DriftVerdict.DRIFTING}
    assert all("fvg_nearest_level" in report.drifting for report in found)


@given(st.lists(st.integers(0, 1_000), min_size=1, max_size=400), st.integers(50, 80))
def test_a_window_counts_its_newest_bars_and_no_others(values, window):
    rows, actions = sample(np.random.default_rng(0), 200, 0.0)
    trained = reference_of("A", "1h", "0" * 64, rows=rows, actions=actions)
    settings = DriftSettings(window_bars=window, bars_min=50, look_bars=100_000)
    both, newest = DriftMonitor(trained, settings), DriftMonitor(trained, settings)
    for value in values:
        both.observe([value / 500 - 1.0] * 7, [value % 3] * 3)
    for value in values[-window:]:
        newest.observe([value / 500 - 1.0] * 7, [value % 3] * 3)
    assert both.look() == newest.look()
