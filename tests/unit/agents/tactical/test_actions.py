import itertools

import numpy as np
import pytest
from tests.unit.agents.tactical.networks.test_forward import forced_weights

from bellwire.agents.inference import InvalidTensorError
from bellwire.agents.tactical.actions import (
    EntryAction,
    FvgAction,
    MomentumAction,
    read_probabilities,
)
from bellwire.agents.tactical.networks import forward


def table(*rows):
    return np.array(rows, np.float32)


def test_direction_is_the_index_minus_one_in_every_encoding():
    assert [action - 1 for action in FvgAction] == [-1, 0, 1]
    assert [FvgAction(n).name for n in range(3)] == ["SHORT", "HOLD", "LONG"]
    assert [MomentumAction(n).name for n in range(3)] == ["DOWN", "NEUTRAL", "UP"]
    assert [EntryAction(n).share for n in range(3)] == [0.0, 0.5, 1.0]


@pytest.mark.parametrize("wanted", list(itertools.product(range(3), repeat=3)))
def test_a_network_forced_to_a_joint_action_is_read_as_that_one(wanted):
    outputs = forward(forced_weights(wanted), np.ones((1, 420), np.float32), np.zeros((1, 1), "f4"))
    joint = read_probabilities(outputs.probabilities[0])
    assert (joint.fvg, joint.momentum, joint.entry) == wanted
    assert joint.directions == (wanted[0] - 1, wanted[1] - 1)
    assert min(joint.confidences) > 0.99


def test_of_equal_probabilities_none_is_chosen():
    even = (1 / 3, 1 / 3, 1 / 3)
    joint = read_probabilities(table((0.4, 0.2, 0.4), even, even))
    assert joint[:3] == (FvgAction.HOLD, MomentumAction.NEUTRAL, EntryAction.WAIT)


@pytest.mark.parametrize(
    "wrong",
    [
        np.full((3, 3), np.nan, np.float32),
        table((0.5, 0.5, 0.5), (1, 0, 0), (1, 0, 0)),
        table((-0.5, 1.0, 0.5), (1, 0, 0), (1, 0, 0)),
        np.full((1, 3, 3), 1 / 3, np.float32),
        np.full(9, 1 / 3, np.float32),
    ],
)
def test_what_is_no_distribution_is_refused(wrong):
    with pytest.raises(InvalidTensorError, match="three probabilities"):
        read_probabilities(wrong)


def test_rows_of_eight_bit_probabilities_are_taken():
    joint = read_probabilities(table((0.2, 0.2, 0.57), (0.1, 0.1, 0.83), (0, 0, 1.0)))
    assert joint.fvg is FvgAction.LONG
