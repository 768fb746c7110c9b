import numpy as np

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
