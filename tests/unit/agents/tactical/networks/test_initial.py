import numpy as np

from bellwire.agents.tactical.networks import Variant, initial_conv_weights, initial_weights
from bellwire.agents.tactical.networks.storage import _named


def size_of(weights):
    return sum(array.size for name, array in _named("", weights) if "attention" not in name)


def test_the_same_seed_gives_the_same_weights_and_another_others():
    first, same, other = (initial_weights(Variant.TINY, seed) for seed in (1, 1, 2))
    assert (first.entry.hidden == same.entry.hidden).all()
    assert (first.entry.hidden != other.entry.hidden).any()
    assert (first.fvg.hidden != first.momentum.hidden).any()


def test_every_variant_has_the_documented_number_of_parameters():
    position = 3 * 64 + 32  # what the tiny one adds to 94,688 of the observation alone
    assert size_of(initial_weights(Variant.TINY, 0)) == 94_688 + position
    assert size_of(initial_weights(Variant.HIDDEN_128, 0)) == 189_834 + 3 * 128 + 64
    conv = initial_conv_weights(0)
    assert size_of(conv.fvg) + conv.fvg.attention.size == 302_602 + 256
    assert size_of(conv.critic) == 379_905 + 512


def test_tiny_weights_lie_within_a_tenth_of_zero():
    weights = initial_weights(Variant.TINY, 9)
    assert 0.099 < np.abs(weights.fvg.hidden).max() <= 0.1
