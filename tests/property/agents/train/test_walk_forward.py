"""bellwire.agents.train.walk_forward: order, distance and cover of any split."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bellwire.agents.bars import interval_seconds
from bellwire.agents.bars.bar import NANOS_PER_SECOND
from bellwire.agents.train.data import BarArrays
from bellwire.agents.train.errors import SeriesApartError, TooFewBarsError
from bellwire.agents.train.settings import SplitSettings
from bellwire.agents.train.synthetic import Prices
from bellwire.agents.train.tape import BARS_MIN, Tape
from bellwire.agents.train.walk_forward import walk_forward, walk_forward_together


@st.composite
def tapes(draw):
    """Two or three series of other lengths, beginnings and intervals, with gaps; prices do not matter."""
    found = []
    for number in range(draw(st.integers(2, 3))):
        interval = draw(st.sampled_from(["1h", "4h", "1d"]))
        count = draw(st.integers(BARS_MIN, 600))
        gaps = np.random.default_rng(draw(st.integers(0, 99))).integers(1, 4, count)
        hours = draw(st.integers(0, 2_000)) + np.cumsum(gaps) * interval_seconds(interval) // 3_600
        ones = np.ones(count)
        times = hours * 3_600 * NANOS_PER_SECOND
        prices = Prices(*[ones] * 5)
        bars = BarArrays(f"S{number}", interval, times, *prices, source="", sha256=f"{number}")
        found.append(Tape(bars, np.zeros((count, 7), np.float32), np.zeros(count - 1)))
    return found


@given(
    start=st.integers(0, 100),
    length=st.integers(0, 3_000),
    share=st.floats(0.05, 0.9),
    folds=st.integers(1, 20),
    embargo=st.integers(0, 200),
    least=st.integers(1, 200),
)
def test_tests_follow_training_at_the_embargo_and_cover_the_end(
    start, length, share, folds, embargo, least
):
    decisions = range(start, start + length)
    settings = SplitSettings(test_share=share, folds=folds, embargo_bars=embargo)
    try:
        splits = walk_forward("X", decisions, settings, train_bars_min=least)
    except TooFewBarsError as refused:
        splits = ()
        needed, found = refused.needed, refused.found
    if not splits:
        assert needed > found, "it asks for more than there is"
        return
    assert len(splits) == folds
    assert splits[-1].test.stop == decisions.stop
    for split in splits:
        assert split.train.start == start
        assert len(split.train) >= least
        assert split.test.start - split.train.stop == embargo
    for before, after in pairwise(splits):
        assert before.test.stop == after.test.start
        assert len(before.test) == len(after.test)


@given(
    series=tapes(),
    share=st.floats(0.1, 0.6),
    folds=st.integers(1, 4),
    embargo=st.integers(0, 100),
)
def test_of_series_trained_on_together_none_has_seen_what_another_is_tested_on(
    series, share, folds, embargo
):
    settings = SplitSettings(test_share=share, folds=folds, embargo_bars=embargo)
    try:
        found = walk_forward_together(series, settings, train_bars_min=10)
    except (SeriesApartError, TooFewBarsError):
        return
    assert len(found) == folds
    for splits in found:
        parts = list(zip(series, splits, strict=True))
        learnt = max(tape.bars.close_times[split.train.stop] for tape, split in parts)
        tested = min(tape.bars.close_times[split.test.start] for tape, split in parts)
        assert learnt <= tested, "the last return learnt from ends before the first test"
        for tape, split in parts:
            assert len(split.train) >= 10
            assert len(split.test) >= 1
            assert split.test.start - split.train.stop >= embargo
            assert split.test.stop <= tape.decisions.stop
    for before, after in pairwise(found):
        for old, new in zip(before, after, strict=True):
            assert old.test.stop == new.test.start
