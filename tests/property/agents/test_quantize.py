"""Quantization: bounds that hold whatever the weights, the positions and the actions."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bellwire.agents.quantize.agreement import compare
from bellwire.agents.quantize.nibbles import pack
from bellwire.agents.train import SyntheticSettings, evaluate, record
from bellwire.agents.train.data import generate
from bellwire.agents.train.position import moved

TAPE = record(generate(SyntheticSettings(bars=200)))
SEEDS = st.integers(0, 2**32 - 1)


@given(SEEDS, st.integers(1, 200), st.integers(1, 9), st.sampled_from([16, 32, 64, 128]))
def test_no_weight_is_off_by_more_than_a_step_and_the_largest_of_a_block_is_exact(
    seed, inputs, outputs, block
):
    random = np.random.default_rng(seed)
    weights = random.normal(0, 10.0 ** random.integers(-6, 6), (inputs, outputs)).astype("f4")
    weights[random.random(weights.shape) < 0.2] = 0.0
    packed = pack(weights, block)
    steps = np.repeat(np.abs(packed.scales), block, axis=1)[:, :inputs].T
    unpacked = packed.unpacked()
    assert (np.abs(unpacked - weights) <= steps * 1.0001).all()
    for start in range(0, inputs, block):
        rows = slice(start, start + block)
        largest = np.abs(weights[rows]).argmax(axis=0)[np.newaxis]
        np.testing.assert_allclose(
            np.take_along_axis(unpacked[rows], largest, 0),
            np.take_along_axis(weights[rows], largest, 0),
            rtol=1e-6,
        )


@given(SEEDS, st.integers(1, 50))
def test_a_position_never_leaves_its_range_and_a_fee_never_helps(seed, bars):
    random = np.random.default_rng(seed)

    def policy(observations, positions):
        assert (np.abs(positions) <= 1.0).all()
        return random.random((len(observations), 3, 3)).astype("f4")

    done = evaluate(policy, TAPE, TAPE.decisions[:bars])
    assert np.abs(done.seen).max() <= 1.0
    assert 0.0 <= done.turnover <= 2.0 * bars
    assert done.net_log_return(5.0) <= done.gross_log_return


@given(SEEDS, st.integers(1, 50))
def test_shares_are_shares_and_a_decision_agrees_where_all_heads_do(seed, rows):
    random = np.random.default_rng(seed)
    parent, child = random.dirichlet((1.0, 1.0, 1.0), (2, rows, 3)).astype("f4")
    child[random.random(rows) < 0.5] = parent[0]
    positions = random.uniform(-1, 1, rows)
    agreement = compare(parent, child, positions)
    same = (parent.argmax(2) == child.argmax(2)).all(axis=1).mean()
    assert all(same <= share <= 1.0 for share in agreement.shares.values())
    assert 0.0 <= agreement.probability_difference_mean <= agreement.probability_difference_max
    assert agreement.probability_difference_max <= 1.0
    again = moved(positions, child.argmax(axis=2))
    assert (np.abs(again) <= 1.0).all()
