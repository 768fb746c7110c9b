import dataclasses
from dataclasses import dataclass

import numpy as np
import pytest

from bellwire.agents.tactical.networks import (
    ConvWeights,
    Variant,
    initial_conv_weights,
    initial_weights,
)


@dataclass(frozen=True)
class Batch:
    observation: np.ndarray
    position: np.ndarray


def draw_batch(rows, seed=7):
    """Observations of the range real ones have, columns 2 and 5 signed."""
    generator = np.random.default_rng(seed)
    matrix = generator.uniform(0.0, 1.0, (rows, 60, 7))
    matrix[:, :, 2] = generator.uniform(-5.0, 5.0, (rows, 60))
    matrix[:, :, 5] = generator.uniform(-0.964, 0.964, (rows, 60))
    position = generator.uniform(-1.0, 1.0, (rows, 1))
    return Batch(matrix.reshape(rows, 420).astype(np.float32), position.astype(np.float32))


def draw_weights(variant, seed=3):
    if variant is not Variant.CONV:
        return initial_weights(variant, seed)
    generator = np.random.default_rng(seed)

    def attentive(actor):  # what training makes of the ones it begins with
        return dataclasses.replace(actor, attention=generator.uniform(0.1, 3.0, 7))

    drawn = initial_conv_weights(seed)
    fvg, momentum, entry = map(attentive, drawn.actors)
    return ConvWeights(fvg, momentum, entry, drawn.critic)


@pytest.fixture(params=[1, 64])
def batch(request):
    return draw_batch(request.param)


@pytest.fixture(params=list(Variant))
def weights(request):
    return draw_weights(request.param)


@pytest.fixture(params=[Variant.TINY, Variant.HIDDEN_128])
def dense_weights(request):
    return draw_weights(request.param)
