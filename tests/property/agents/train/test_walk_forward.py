"""bellwire.agents.train.walk_forward: order, distance and cover of any split."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from bellwire.agents.train.errors import TooFewBarsError
from bellwire.agents.train.settings import SplitSettings
from bellwire.agents.train.walk_forward import walk_forward


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
