"""bellwire.agents.train.walk_forward: a test never touches what was trained on."""

import pytest

from bellwire.agents.train.errors import TooFewBarsError
from bellwire.agents.train.settings import SplitSettings
from bellwire.agents.train.walk_forward import Split, walk_forward


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
