"""bellwire.agents.train.walk_forward: a test never touches what was trained on."""

from dataclasses import replace

import numpy as np
import pytest

from bellwire.agents.bars.bar import NANOS_PER_SECOND
from bellwire.agents.train.data import generate
from bellwire.agents.train.errors import SeriesApartError, TooFewBarsError
from bellwire.agents.train.settings import SplitSettings
from bellwire.agents.train.synthetic import SyntheticSettings
from bellwire.agents.train.tape import record
from bellwire.agents.train.walk_forward import (
    Split,
    part_at,
    walk_forward,
    walk_forward_together,
)

DAY = 24 * 12  # bars of five minutes


def series(bars, *, later=0, seed=1):
    """Return the tape of a generated series that begins so many bars later than others do."""
    arrays = generate(SyntheticSettings(bars=bars, seed=seed))
    moved = arrays.open_times + later * 300 * NANOS_PER_SECOND
    return record(replace(arrays, open_times=moved))


def replace_symbol(tape, symbol):
    return replace(tape, bars=replace(tape.bars, symbol=symbol))


def test_one_fold_is_the_last_share_of_the_bars_after_the_embargo():
    found = walk_forward("X", range(79, 1_079), SplitSettings(), train_bars_min=129)
    assert found == (Split(range(79, 699), range(779, 1_079)),)


def test_folds_share_the_last_part_and_train_on_all_before_each():
    settings = SplitSettings(test_share=0.3, folds=3, embargo_bars=10)
    found = walk_forward("X", range(1_000), settings, train_bars_min=129)
    assert [split.test for split in found] == [
        range(700, 800),
        range(800, 900),
        range(900, 1_000),
    ]
    assert [split.train for split in found] == [range(690), range(790), range(890)]


def test_too_few_bars_name_how_many_are_needed():
    with pytest.raises(TooFewBarsError, match="X has 300 bars") as caught:
        walk_forward("X", range(79, 299), SplitSettings(), train_bars_min=129)
    enough = range(79, caught.value.needed - 1)
    assert walk_forward("X", enough, SplitSettings(), train_bars_min=129)


def test_an_empty_test_block_is_refused():
    settings = SplitSettings(test_share=0.05, folds=20, embargo_bars=0)
    with pytest.raises(TooFewBarsError):
        walk_forward("X", range(300), settings, train_bars_min=10)


def test_a_series_that_ended_earlier_is_not_tested_on_a_time_that_another_was_trained_on():
    tapes = series(4_000), series(3_400, seed=2)
    ((whole, shorter),) = walk_forward_together(tapes, SplitSettings(), train_bars_min=129)
    by_its_own_count = walk_forward("X", tapes[1].decisions, SplitSettings(), train_bars_min=129)
    assert whole.train.stop > by_its_own_count[0].test.start, "cut apart they would overlap"
    assert whole.test.start == shorter.test.start
    assert whole.train == shorter.train
    assert (whole.test.stop, shorter.test.stop) == (3_999, 3_399)


def test_series_that_begin_at_other_times_are_cut_at_the_same_close():
    tapes = series(4_000), series(3_400, later=600, seed=2)
    for splits in walk_forward_together(tapes, SplitSettings(folds=3), train_bars_min=129):
        first, second = (
            tape.bars.close_times[split.test.start]
            for tape, split in zip(tapes, splits, strict=True)
        )
        assert first == second


def test_one_series_is_parted_as_it_is_alone():
    tape = series(2_000)
    settings = SplitSettings(folds=4)
    together = walk_forward_together((tape,), settings, train_bars_min=129)
    alone = walk_forward("X", tape.decisions, settings, train_bars_min=129)
    assert [split for (split,) in together] == list(alone)
    cut = int(tape.bars.close_times[alone[-1].test.start])
    assert part_at(tape, cut, embargo_bars=settings.embargo_bars) == alone[-1]


@pytest.mark.parametrize("later", [3 * DAY, 30 * DAY, -30 * DAY])
def test_series_that_share_too_little_time_are_refused_by_name(later):
    tapes = series(1_000), replace_symbol(series(1_000, later=later, seed=2), "LATE")
    with pytest.raises(
        SeriesApartError, match=r"(SYNTHETIC1|LATE) has \d+ bars to train on before"
    ):
        walk_forward_together(tapes, SplitSettings(), train_bars_min=129)


def test_too_few_bars_of_all_series_together_are_refused():
    tapes = series(200), series(200, seed=2)
    with pytest.raises(TooFewBarsError, match="SYNTHETIC1, SYNTHETIC2 has 240 bars"):
        walk_forward_together(tapes, SplitSettings(test_share=0.05, folds=20), train_bars_min=1)


def test_the_next_close_of_what_is_trained_on_is_known_at_the_cut():
    tape = series(200)
    between = int(tape.bars.close_times[150]) - 1
    split = part_at(tape, between)
    assert split == Split(range(79, 149), range(150, 199))
    assert part_at(tape, between + 1) == Split(range(79, 150), range(150, 199))


def test_closes_are_opens_and_the_interval():
    bars = series(200).bars
    assert np.array_equal(bars.close_times, bars.open_times + 300 * NANOS_PER_SECOND)
    assert bars.close_time(0) == "2020-01-01T00:05:00Z"
