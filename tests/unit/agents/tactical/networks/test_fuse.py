import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.agents.tactical.networks.conftest import draw_batch

from bellwire.agents.tactical.networks import Variant, forward, forward_fused, fuse, initial_weights


def test_the_fused_network_says_what_the_four_say(dense_weights, batch):
    apart = forward(dense_weights, batch.observation, batch.position)
    fused = forward_fused(fuse(dense_weights), batch.observation, batch.position)
    assert np.abs(apart.probabilities - fused.probabilities).max() < 1e-6
    scale = max(1.0, float(np.abs(apart.value).max()))
    assert np.abs(apart.value - fused.value).max() / scale < 1e-6


def test_tiny_becomes_two_matrices_of_the_documented_size():
    fused = fuse(initial_weights(Variant.TINY, 0))
    assert fused.hidden.shape == (421, 224)
    assert fused.output.shape == (224, 10)
    assert np.count_nonzero(fused.output) <= 3 * 64 * 3 + 32
    assert fused.hidden_bias is None


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from([Variant.TINY, Variant.HIDDEN_128]),
    st.integers(0, 2**32 - 1),
    st.integers(1, 70),
)
def test_whatever_the_weights_and_the_batch_fused_is_the_same(variant, seed, rows):
    weights, batch = initial_weights(variant, seed), draw_batch(rows, seed)
    apart = forward(weights, batch.observation, batch.position)
    fused = forward_fused(fuse(weights), batch.observation, batch.position)
    assert np.abs(apart.probabilities - fused.probabilities).max() < 1e-6
